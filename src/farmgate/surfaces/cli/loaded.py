"""`ps` and `top`: what a running Farmgate has in memory, where, and how busy it is."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from farmgate.core.errors import FarmError
from farmgate.core.model import ModelInfo
from farmgate.surfaces.cli.exits import Exit
from farmgate.surfaces.cli.models import record
from farmgate.surfaces.cli.remote import RemoteGate, required
from farmgate.surfaces.cli.session import Session
from farmgate.surfaces.cli.words import UNKNOWN, columns, duration, size

__all__ = ["ps", "top"]

HEAD = ("NAME", "PROVIDER", "VERSION", "STATE", "DEVICE", "MEMORY", "ANSWERING", "WAITING", "TOK/S", "LEAVES")
TOLD_HEAD = ("BATCH", "QUEUE", "CACHE")
"""What an engine tells of itself; columns that only some tables have."""
DEVICE_HEAD = ("DEVICE", "MEMORY", "MODELS", "BUSY", "HEAT", "POWER", "WHAT")
EVERY_S = 2.0
NOT_ADMIN = 403
GONE = ("failed", "on_disk")

Entry: TypeAlias = Mapping[str, Any]


def ps(session: Session) -> Exit:
    """Raises UpstreamUnreachable when no Farmgate runs."""
    running = required(session.load())
    processes, others = seen(session, running)
    if session.out.json:
        for process in processes:
            session.out.record({**process, "provider": "local"})
        for model in others:
            session.out.record(record(model))
    elif rows := rows_of(processes, others):
        session.out.table(head_of(processes), rows)
    else:
        session.out.say("no model is loaded")
    if not session.out.json:
        for trouble in troubles(processes):
            session.out.say(trouble)
    return Exit.OK


def top(session: Session, *, once: bool) -> Exit:
    """Until it is interrupted, on a terminal; once elsewhere. Raises UpstreamUnreachable when no Farmgate runs."""
    running = required(session.load())
    goes_on = not once and session.out.data_moves
    while True:
        devices = running.devices()
        processes, others = seen(session, running)
        if session.out.json:
            session.out.record({"devices": devices, "processes": processes})
        else:
            lines = [*columns(DEVICE_HEAD, list(map(device_row, devices))), ""]
            rows = rows_of(processes, others)
            lines += columns(head_of(processes), rows) if rows else ["no model is loaded"]
            lines += troubles(processes)
            if goes_on:
                session.out.clear()
            session.out.data("\n".join(lines))
        if not goes_on:
            return Exit.OK
        time.sleep(EVERY_S)


def seen(session: Session, running: RemoteGate) -> tuple[Sequence[Entry], Sequence[ModelInfo]]:
    """Processes that are there or were not to be had, and the loaded models of other providers."""
    loaded = [model for model in running.models() if model.loaded]
    try:
        processes = [one for one in running.processes() if one.get("state") != "on_disk" or one.get("failure")]
    except FarmError as error:
        if error.status != NOT_ADMIN:
            raise
        session.out.say("note: who is busy with what is shown to admins: set FARM_KEY to an admin's key")
        return [], loaded
    return processes, [model for model in loaded if model.provider != "local"]


def troubles(processes: Sequence[Entry]) -> list[str]:
    """What went wrong with those that are not well."""
    return [f"{one['name']} {one['version']} {one['failure']}" for one in processes if one.get("failure")]


def is_told(processes: Sequence[Entry]) -> bool:
    return any(process.get("engineLoad") for process in processes)


def head_of(processes: Sequence[Entry]) -> Sequence[str]:
    return (*HEAD, *TOLD_HEAD) if is_told(processes) else HEAD


def rows_of(processes: Sequence[Entry], others: Iterable[ModelInfo]) -> list[Sequence[str]]:
    more = is_told(processes)
    rows: list[Sequence[str]] = [(*process_row(one), *(told_row(one) if more else ())) for one in processes]
    for model in others:
        unknown = (UNKNOWN,) * (4 + more * len(TOLD_HEAD))
        rows.append((model.name, model.provider, UNKNOWN, "loaded", UNKNOWN, size(model.size_bytes), *unknown))
    return rows


def process_row(process: Entry) -> Sequence[str]:
    memory: Mapping[str, int] = process["memory"]
    purpose = "" if process["purpose"] == "generate" else f" ({process['purpose']})"
    adapters = "".join(f" +{name}" for name in process.get("adapters", ()))
    set_aside = "" if process["answers"] else ", set aside"
    return (
        f"{process['name']}{purpose}{adapters}",
        "local",
        process["version"],
        f"{process['state']}{set_aside}",
        ", ".join(memory) or UNKNOWN,
        size(sum(memory.values())) if memory else UNKNOWN,
        str(process["inFlight"]),
        str(process["waiting"]),
        f"{process['tokensPerS']:.0f}",
        leaves(process),
    )


def told_row(process: Entry) -> Sequence[str]:
    told: Entry = process.get("engineLoad") or {}
    running, waiting, used = told.get("running"), told.get("waiting"), told.get("cacheUsed")
    return (
        UNKNOWN if running is None else f"{running:g}",
        UNKNOWN if waiting is None else f"{waiting:g}",
        UNKNOWN if used is None else f"{used:.0%}",
    )


def leaves(process: Entry) -> str:
    """When it leaves if nobody uses it."""
    if process["state"] in GONE:
        return UNKNOWN
    left_s: float | None = process["ttlLeftS"]
    if process["pinned"]:
        return "never"
    return "when room is needed" if left_s is None else f"in {duration(left_s)}"


def device_row(device: Entry) -> Sequence[str]:
    heat, power, busy = device["temperatureC"], device["powerW"], device["utilisation"]
    return (
        f"{device['name']}",
        f"{size(device['memoryUsed'])} of {size(device['memoryTotal'])}",
        size(sum(device["models"].values())),
        UNKNOWN if busy is None else f"{busy:.0%}",
        UNKNOWN if heat is None else f"{heat:.0f} °C",
        UNKNOWN if power is None else f"{power:.0f} W",
        device["title"],
    )
