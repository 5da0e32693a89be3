"""Rows 40 to 49: the gate itself is stopped, killed, frozen, starved, or given nonsense to be configured with."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import resource
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence

from tests.faults.rig import Rig
from tests.faults.words import COMBOS, Combo, Kind, Outcome, Row, Surface

from farmgate.core.usage import Outcome as Ended

__all__ = ["GATE"]

STREAMS = 300
ROUNDS, IN_FLIGHT = 20, 10
BACK_S = 3.0
RECOVERED_S = 10.0
FROZEN_S = 2.0
LEAST_DESCRIPTORS = 4
NEARLY_ALL = 0.84
RELOADS = 100
PATIENCE_S = 15.0
CHAT = Combo(Surface.CHAT, False, False)
STREAM = Combo(Surface.CHAT, True, False)


async def told_to_stop(rig: Rig) -> list[str]:
    """SIGTERM while hundreds of streams are under way: none is cut, all are on record, and it ends well."""
    wrong = []
    async with rig.another("drain", server={"drain": {"timeoutS": 60}}) as own:
        model = own.fresh("between=30ms,frames=60")
        text = own.text("drain", 60)
        streams = [asyncio.create_task(own.ask(STREAM, model, "drain", text=text)) for _ in range(STREAMS)]
        async with asyncio.timeout(30):
            await own.first.counted.until(lambda: own.first.counted.by_model[model] == STREAMS)
        began = time.monotonic()
        own.gate.process.send_signal(signal.SIGTERM)
        outcomes = await asyncio.gather(*streams)
        code = await asyncio.to_thread(own.gate.process.wait, 30)
        kinds = Counter(str(outcome.kind) for outcome in outcomes)
        rig.notes.append(
            f"{STREAMS} streams: {dict(kinds)}; the gate ended {time.monotonic() - began:.1f} s after SIGTERM"
        )
        if kinds != {Kind.WHOLE.value: STREAMS}:
            wrong.append(f"{dict(kinds)}: {next(one for one in outcomes if one.kind is not Kind.WHOLE)}")
        if code != 0:
            wrong.append(f"the gate ended with {code}")
        ends = Counter(str(row.outcome) for row in own.records(model))
        if ends != {Ended.OK.value: STREAMS}:
            wrong.append(f"on record: {dict(ends)}")
    return wrong


async def killed(rig: Rig) -> list[str]:
    """kill -9 at any moment, again and again: no call is missing on record, and the gate is back at once."""
    wrong = []
    chance = random.Random(41)
    slowest, lost = 0.0, 0
    async with rig.another("kill") as own:
        for turn in range(ROUNDS):
            model = own.fresh("between=10ms,frames=40")
            tasks = [asyncio.create_task(own.ask(STREAM, model, "kill")) for _ in range(IN_FLIGHT)]
            await asyncio.sleep(chance.random() * 0.3)
            own.gate.process.kill()
            outcomes = await asyncio.gather(*tasks)
            if any(outcome.kind in (Kind.SILENT, Kind.ODD) for outcome in outcomes):
                wrong.append(f"round {turn}: {Counter(str(outcome.kind) for outcome in outcomes)}")
            await asyncio.to_thread(own.gate.process.wait)
            await own.first.settled()
            calls = sum(call.model == model for call in own.first.calls)
            rows = own.records(model)
            orphans = sum(row.outcome is Ended.LOST for row in rows)
            lost += orphans
            if len(rows) < calls or orphans > IN_FLIGHT:
                wrong.append(f"round {turn}: {len(rows)} records of {calls} calls, {orphans} without an end")
            began = time.monotonic()
            await asyncio.to_thread(own.gate.start, "--port", str(own.gate.port))
            slowest = max(slowest, time.monotonic() - began)
            outcome = await own.ask(CHAT, own.fresh(), "back")
            if outcome.kind is not Kind.WHOLE:
                wrong.append(f"round {turn}: the gate that is back: {outcome}")
    rig.notes.append(f"{ROUNDS} kills: {lost} calls on record without an end, back in {slowest:.1f} s at most")
    return wrong + ([f"back after {slowest:.1f} s"] if slowest > BACK_S else [])


async def frozen(rig: Rig) -> list[str]:
    """SIGSTOP: whoever asks meanwhile is answered once it goes on."""
    os.kill(rig.gate.pid, signal.SIGSTOP)
    tasks = [asyncio.create_task(rig.ask(combo, rig.fresh(), "frozen")) for combo in COMBOS]
    await asyncio.wait(tasks, timeout=FROZEN_S)
    early = sum(task.done() for task in tasks)
    os.kill(rig.gate.pid, signal.SIGCONT)
    began = time.monotonic()
    outcomes = await asyncio.gather(*tasks)
    took_s = time.monotonic() - began
    wrong = [f"{outcome}" for outcome in outcomes if outcome.kind is not Kind.WHOLE]
    if early or took_s > RECOVERED_S:
        wrong.append(f"{early} answered while it was frozen; the rest {took_s:.1f} s later")
    return wrong


async def starved(rig: Rig) -> list[str]:
    """Descriptors run short: who asks is told to come back. None is left: it lives, and serves again once there are."""
    wrong = []
    async with rig.another("starved") as own:
        pid = own.gate.pid
        usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        held = [await asyncio.open_connection("127.0.0.1", own.gate.port) for _ in range(10)]
        used = await asyncio.to_thread(own.gate.descriptors)
        few = max(used + LEAST_DESCRIPTORS, round(used / NEARLY_ALL))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (few, usual[1]))
        if not await sheds(own, is_so=True):
            wrong.append("it takes new requests with hardly a descriptor left")
        for _ in range(10):
            refused = await own.ask(CHAT, own.fresh(), "short")
            if (refused.kind, refused.status, refused.code) != (Kind.REFUSED, 503, "overloaded"):
                wrong.append(f"short of descriptors: {refused}")
        tasks = [asyncio.create_task(own.ask(CHAT, own.fresh(), "starved")) for _ in range(100)]
        done, _ = await asyncio.wait(tasks, timeout=FROZEN_S)
        told = Counter(str(task.result().kind) for task in done)
        odd = [task.result() for task in done if task.result().kind not in (Kind.WHOLE, Kind.REFUSED, Kind.CUT)]
        wrong += [f"meanwhile: {one}" for one in odd[:3]]
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
        for _, writer in held:
            writer.close()
        began = time.monotonic()
        await asyncio.gather(*tasks)
        await sheds(own, is_so=False)
        outcome = await own.ask(CHAT, own.fresh(), "after")
        took_s = time.monotonic() - began
        rig.notes.append(f"{few - used} descriptors left for 100 requests: {dict(told)}; all well {took_s:.1f} s later")
        if outcome.kind is not Kind.WHOLE or took_s > RECOVERED_S:
            wrong.append(f"afterwards, {took_s:.1f} s: {outcome}")
        wrong += await own.leaks()
        own.gate.heard()  # It says that it has no descriptors left, with its place: once or often.
    return wrong


async def sheds(own: Rig, *, is_so: bool) -> bool:
    """Wait until it refuses new requests, or takes them."""
    return await asyncio.to_thread(own.gate.comes, lambda: own.gate.metric("farmgate_shedding") == is_so)


@contextlib.asynccontextmanager
async def load(rig: Rig, callers: int = 4) -> AsyncIterator[list[Outcome]]:
    """Requests without a pause; what came of each."""
    outcomes: list[Outcome] = []
    is_over = asyncio.Event()

    async def ask() -> None:
        for turn, combo in enumerate(COMBOS * 1000):
            if is_over.is_set() and turn:
                return
            outcomes.append(await rig.ask(combo, "mock", "load"))

    tasks = [asyncio.create_task(ask()) for _ in range(callers)]
    try:
        yield outcomes
    finally:
        is_over.set()
        await asyncio.gather(*tasks)


def bad_files(good: dict[str, object]) -> dict[str, bytes]:
    """What an operator's file may become."""
    text = json.dumps(good).encode()
    ai = good["ai"]
    assert isinstance(ai, dict)
    cycle = {"a": {"targets": ["first/m"], "fallback": ["b"]}, "b": {"targets": ["first/m"], "fallback": ["a"]}}
    return {
        "garbage": bytes(range(256)) * 40,
        "nothing": b"",
        "an unknown key": json.dumps({**good, "serverr": {}}).encode(),
        "half of it": text[: len(text) // 2],
        "a NUL": text[:40] + b"\0" + text[40:],
        "a list": b"[]",
        "50 MB": b'{"version": 1, "x": "' + b"x" * 50_000_000 + b'"}',
        "no such target": json.dumps({**good, "ai": {**ai, "routes": {"x": ["nobody/m"]}}}).encode(),
        "a missing secret": json.dumps({**good, "keys": [{"name": "tests", "key": "${NO_SUCH_VARIABLE}"}]}).encode(),
        "a cycle": json.dumps({**good, "ai": {**ai, "routes": cycle}}).encode(),
    }


async def configured_badly(rig: Rig, content: bytes) -> list[str]:
    """Put that in place of the gate's file, and see that it is read and not taken."""
    gate = rig.gate
    before = gate.metric("farmgate_config_reloads_total")
    draft = gate.config_file.with_suffix(".bad")
    draft.write_bytes(content)
    draft.replace(gate.config_file)
    os.kill(gate.pid, signal.SIGHUP)
    was_read = await asyncio.to_thread(
        gate.comes, lambda: gate.metric("farmgate_config_reloads_total") > before, PATIENCE_S
    )
    if not was_read:
        return ["it was never read"]
    return ["it was taken"] if gate.metric("farmgate_config_last_reload_success") else []


async def badly_configured(rig: Rig) -> list[str]:
    """Each of these under load: the last good configuration stays, and no request fails."""
    wrong = []
    async with rig.another("config") as own:
        good = own.config()
        async with load(own) as outcomes:
            for what, content in bad_files(good).items():
                wrong += [f"{what}: {one}" for one in await configured_badly(own, content)]
            own.gate.configure(good)
            os.kill(own.gate.pid, signal.SIGHUP)
            back = await asyncio.to_thread(
                own.gate.comes, lambda: own.gate.metric("farmgate_config_last_reload_success") == 1, 10.0
            )
            wrong += [] if back else ["the good configuration was not taken again"]
            for _ in range(RELOADS):
                os.kill(own.gate.pid, signal.SIGHUP)
                await asyncio.sleep(0.01)
        failed = [outcome for outcome in outcomes if outcome.kind is not Kind.WHOLE]
        rig.notes.append(f"{len(outcomes)} requests meanwhile, {len(failed)} failed")
        wrong += [f"a request failed: {failed[0]}"] if failed or len(outcomes) < 50 else []
        wrong += await own.leaks()
    return wrong


async def journal_is_full(rig: Rig) -> list[str]:
    """No room for the journal: answers go on, and the loss is counted."""
    wrong = []
    async with rig.another("full", journal={"segmentBytes": 4096, "keepSegments": 2}) as own:
        resource.prlimit(own.gate.pid, resource.RLIMIT_FSIZE, (1024, resource.RLIM_INFINITY))
        outcomes = [await own.ask(combo, own.fresh(), "full") for combo in COMBOS * 3]
        wrong += [f"{one}" for one in outcomes if one.kind is not Kind.WHOLE][:3]
        lost = own.gate.metric("farmgate_journal_failures_total")
        resource.prlimit(own.gate.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        model = own.fresh()
        await own.ask(CHAT, model, "again")
        await asyncio.to_thread(own.gate.is_idle)
        rig.notes.append(f"{len(outcomes)} answers, {lost:.0f} records lost and counted")
        if not lost:
            wrong.append("nothing was counted as lost")
        if len(own.records(model)) != 1:
            wrong.append("the journal is not kept again once there is room")
    return wrong


async def log_is_blocked(rig: Rig) -> list[str]:
    """Nobody reads what the gate says: it answers as ever."""
    wrong, times = [], []
    async with rig.another("blocked", log={"level": "debug"}) as own:
        with own.gate.unread():
            for turn in range(300):
                # A target that fails again and again, and is well again, is logged: more than a pipe holds.
                outcome = await own.ask(CHAT, own.fresh(f"status=401,header=x:{'y' * 200}"), "blocked")
                times.append(outcome.took_s)
                if outcome.kind is not Kind.REFUSED:
                    wrong.append(f"request {turn}: {outcome}")
                    break
    rig.notes.append(f"{len(times)} requests while nobody read its log, the slowest in {max(times):.2f} s")
    return wrong + ([f"a request took {max(times):.1f} s"] if max(times) > 1.0 else [])


GATE: Sequence[Row] = (
    Row(
        40,
        "SIGTERM under 300 streams",
        specials=(("drain", told_to_stop),),
        takes="one replica: that another takes the new requests is not tried",
    ),
    Row(41, "kill -9, 20 times", specials=(("kill", killed),), takes="one process: that others go on is not tried"),
    Row(
        42,
        "frozen; out of file descriptors",
        specials=(("SIGSTOP", frozen), ("descriptors", starved)),
        takes="frozen 2 s instead of 30; killed for memory is not tried, and to the journal as row 41",
    ),
    Row(
        45,
        "no room for the journal",
        specials=(("full", journal_is_full),),
        takes="there is no SQLite yet: the journal's files",
    ),
    Row(48, "ten bad configurations, 100 reloads in a second", specials=(("config", badly_configured),)),
    Row(49, "nobody reads the log", specials=(("blocked", log_is_blocked),)),
)
