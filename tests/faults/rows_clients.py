"""Rows 36 to 39: clients who leave, dawdle, take nothing, or never say all they began to say."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Sequence

from tests.faults.asking import prompt_of
from tests.faults.process import memory_mib
from tests.faults.rig import Rig
from tests.faults.words import COMBOS, Combo, Kind, Row, Surface
from tests.journey.gate import Wire, request

from farmgate.core.usage import Outcome as Ended

__all__ = ["CLIENTS"]

NOTICED_S = 2.0
CANCELS, AT_ONCE = 10_000, 50
HALF_SENT = 500
OTHERS_S = 1.0
GROWTH_MIB = 24.0
CHAT = Combo(Surface.CHAT, False, False)
STREAM = Combo(Surface.CHAT, True, False)
PHASES = {"head=30s": "before the head", "first=30s": "before the first content", "stall={mid}": "within the answer"}


def asked(model: str, marker: str, *, streams: bool, whole_body: bool = True) -> bytes:
    """A chat's request, as bytes."""
    turns = [{"role": "user", "content": prompt_of(marker)}]
    body = {"model": model, "messages": turns, "stream": streams}
    data = request("POST", "/v1/chat/completions", body)
    return data if whole_body else data[:-20]


async def leave(rig: Rig, combo: Combo, fault: str) -> list[str]:
    """One client that leaves once its provider was asked; the provider must see it at once."""
    model = rig.fresh(combo.place(fault))
    task = asyncio.create_task(rig.ask(combo, model, "leave"))
    async with asyncio.timeout(10):
        await rig.first.counted.until(lambda: any(call.model == model for call in rig.first.calls))
    (call,) = [one for one in rig.first.calls if one.model == model]
    if fault.startswith("stall") and combo.streams:
        async with asyncio.timeout(10):
            while call.sent_frames < 3:
                await asyncio.sleep(0.005)
    began = time.monotonic()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await rig.settled(model)
    took_s = time.monotonic() - began
    wrong = [] if call.ended == "left" and took_s < NOTICED_S else [f"{call.ended} after {took_s:.2f} s"]
    await asyncio.to_thread(rig.gate.is_idle)
    ends = Counter(str(row.outcome) for row in rig.records(model))
    return wrong if ends == {Ended.CANCELLED.value: 1} else [*wrong, f"on record: {dict(ends)}"]


async def clients_leave(rig: Rig) -> list[str]:
    """In every phase of every kind of request."""
    wrong = []
    patient = {"connectS": 5, "firstByteS": 30, "idleS": 30}
    async with rig.another("leave", timeouts=patient, ai={"attempts": {"firstContentS": 30}}) as own:
        for fault, phase in PHASES.items():
            for combo in COMBOS:
                wrong += [f"{combo}: {phase}: {one}" for one in await leave(own, combo, fault)]
        wrong += await own.leaks()
    return wrong


async def queued_clients_leave(rig: Rig) -> list[str]:
    """One who waits in line leaves it; the line moves on, and nobody asks a provider for one who has left."""
    wrong = []
    limits = {"inFlight": 1, "queue": 10, "queueTimeoutS": 30}
    async with rig.another("queue", server={"limits": limits}) as own:
        holding, waiting = own.fresh("hang"), own.fresh()
        held = asyncio.create_task(own.ask(STREAM, holding, "hold"))
        async with asyncio.timeout(10):
            await own.first.counted.until(lambda: any(call.model == holding for call in own.first.calls))
        tasks = [asyncio.create_task(own.ask(CHAT, waiting, "wait")) for _ in range(5)]
        if not await asyncio.to_thread(own.gate.comes, lambda: own.gate.metric("farmgate_requests_waiting") == 5):
            wrong.append("five requests should wait")
        for task in tasks[:4]:
            task.cancel()
        await asyncio.wait(tasks[:4])
        if not await asyncio.to_thread(own.gate.comes, lambda: own.gate.metric("farmgate_requests_waiting") == 1):
            wrong.append("those who left still wait")
        held.cancel()
        outcome = await tasks[4]
        if outcome.kind is not Kind.WHOLE or own.seen("first", waiting) != (1, 0):
            wrong.append(f"the one who stayed: {own.seen('first', waiting)} calls: {outcome}")
        wrong += await own.leaks()
    return wrong


async def churn(rig: Rig) -> list[str]:
    """Thousands of clients who leave at any moment; then the gate serves as ever."""
    chance = random.Random(37)
    models = [rig.fresh(fault) for fault in ("first=3ms", "between=2ms", "head=2ms")]
    left = iter(range(CANCELS))

    async def go() -> None:
        for number in left:
            _, writer = await asyncio.open_connection("127.0.0.1", rig.gate.port)
            name = rig.name_for("first", STREAM, models[number % len(models)])
            writer.write(asked(name, "churn", streams=number % 2 == 0))
            await asyncio.sleep(chance.random() * 0.006)
            writer.transport.abort()

    began = time.monotonic()
    before = memory_mib(rig.gate.pid)
    await asyncio.gather(*(go() for _ in range(AT_ONCE)))
    grown = memory_mib(rig.gate.pid) - before
    rig.notes.append(f"{CANCELS} clients left in {time.monotonic() - began:.0f} s, memory {grown:+.0f} MiB")
    wrong = await rig.at_rest()
    for combo in COMBOS:
        outcome = await rig.ask(combo, rig.fresh(), "after")
        if outcome.kind is not Kind.WHOLE:
            wrong.append(f"afterwards: {combo}: {outcome}")
    total = sum(rig.first.counted.by_model[model] for model in models)
    rows = [row for row in rig.records() if row.model in models]
    # A client may leave when its call is on record and its provider not asked yet: never the other way round.
    if len(rows) < total:
        wrong.append(f"{len(rows)} records of {total} calls")
    opened = sum(row.outcome is Ended.OPEN for row in rows)
    return [*wrong, f"{opened} calls are open on record"] if opened else wrong


async def reader(rig: Rig, model: str) -> Wire:
    """A client with a small window, who has asked and reads nothing by itself."""
    wire = await asyncio.to_thread(rig.gate.wire, receive_bytes=4096)
    wire.send(asked(rig.name_for("first", STREAM, model), "slow", streams=True))
    return wire


async def slow_and_stopped_clients(rig: Rig) -> list[str]:
    """Who reads little holds the provider back, who reads nothing is given up; memory stays as it was."""
    wrong = []
    async with rig.another("slow", server={"limits": {"clientStallS": 2}}) as own:
        models = {speed: own.fresh("endless,size=4000") for speed in (0, 1000)}
        before = memory_mib(own.gate.pid)
        stopped, slow = [await reader(own, model) for model in models.values()]
        async with asyncio.timeout(10):
            await own.first.counted.until(lambda: own.first.counted.open == 2)
        began = time.monotonic()
        read = 0
        while own.open_calls(models[0]) and time.monotonic() - began < 12:
            read += len(await asyncio.to_thread(slow.socket.recv, 1500))
            await asyncio.sleep(0.1)
        took_s, grown = time.monotonic() - began, memory_mib(own.gate.pid) - before
        rig.notes.append(f"one who reads nothing is given up after {took_s:.1f} s; memory {grown:+.1f} MiB")
        if own.open_calls(models[0]):
            wrong.append("one who reads nothing is never given up")
        if not own.open_calls(models[1000]) or not read:
            wrong.append("one who reads slowly was cut off")
        if grown > GROWTH_MIB:
            wrong.append(f"{grown:.0f} MiB more memory")
        stopped.close()
        slow.close()
        wrong += await own.leaks()
    return wrong


async def half_sent_bodies(rig: Rig) -> list[str]:
    """Hundreds who never finish what they say: each is told 408, and others are served as ever meanwhile."""
    wrong = []
    async with rig.another("half", server={"limits": {"bodyTimeoutS": 1.5}}) as own:
        data = asked("first/mock", "half", streams=False, whole_body=False)

        async def half() -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", own.gate.port)
            try:
                writer.write(data)
                return await asyncio.wait_for(reader.read(), 20)
            finally:
                writer.close()

        waiting = [asyncio.create_task(half()) for _ in range(HALF_SENT)]
        slowest = 0.0
        while not all(task.done() for task in waiting):
            outcome = await own.ask(CHAT, own.fresh(), "other")
            slowest = max(slowest, outcome.took_s)
            if outcome.kind is not Kind.WHOLE:
                wrong.append(f"somebody else: {outcome}")
        told = Counter(
            answer[:12]
            for answer in await asyncio.gather(*waiting, return_exceptions=True)
            if isinstance(answer, bytes)
        )
        rig.notes.append(f"{dict(told)}; others were answered meanwhile, the slowest in {slowest:.2f} s")
        if told != {b"HTTP/1.1 408": HALF_SENT}:
            wrong.append(f"they were told {dict(told)}")
        if slowest > OTHERS_S:
            wrong.append(f"somebody else waited for {slowest:.2f} s")
        wrong += await own.leaks()
    return wrong


CLIENTS: Sequence[Row] = (
    Row(
        36,
        "a client leaves: in line, before the first content, within the answer",
        specials=(("leaves", clients_leave), ("leaves the line", queued_clients_leave)),
    ),
    Row(37, "10,000 clients leave, 50 at once", specials=(("churn", churn),)),
    Row(
        38,
        "a client reads 1 KB/s, or nothing",
        specials=(("slow", slow_and_stopped_clients),),
        takes="given up after 2 s instead of 30, and 15 KB/s for 1",
    ),
    Row(39, "500 bodies, each half sent", specials=(("half", half_sent_bodies),), takes="1.5 s instead of 60"),
)
