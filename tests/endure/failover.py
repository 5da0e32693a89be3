"""Two targets behind one name, steady callers who never try again, and one target that fails in turn in three ways."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.endure.asking import Asked, Caller, Came, Outcome
from tests.endure.figures import back_to_normal_s, percentile
from tests.endure.mocks import Mock, provider
from tests.endure.page import Report, machine, table
from tests.journey.gate import RealGate

__all__ = ["failover"]

FRAMES = 10
PROPER = "head=20ms,frames=10"
CHAT = {"path": "*/chat/completions"}
STEPS: Mapping[str, Sequence[Mapping[str, object]]] = {
    "well": [{"do": PROPER}],
    "503": [{"match": CHAT, "do": "status=503"}],
    "reset": [{"match": CHAT, "do": "refuse"}],
    "half": [{"match": CHAT, "do": "status=503", "share": 0.5}, {"do": PROPER}],
    "slow": [{"match": CHAT, "do": "head=10s,frames=10"}],
}
PHASES = (
    ("both well", "well", 15.0),
    ("one answers 503", "503", 20.0),
    ("well again", "well", 25.0),
    ("one resets every connection", "reset", 20.0),
    ("well again", "well", 25.0),
    ("one fails for 50 %", "half", 20.0),
    ("well again", "well", 25.0),
    ("one waits 10 s before it answers", "slow", 20.0),
    ("well again", "well", 25.0),
)
LEAST_SUCCESS = 0.999
LONGEST_BACK_S = 10.0


@dataclass
class Phase:
    """One stretch of time. Times are on the monotonic clock; `calls` are what each mock saw."""

    name: str
    begin: float
    end: float
    came: list[Came] = field(default_factory=list)
    calls: Sequence[int] = (0, 0)

    @property
    def success(self) -> float:
        return sum(one.outcome is Outcome.WHOLE for one in self.came) / len(self.came)

    def outcomes(self) -> Counter[Outcome]:
        return Counter(one.outcome for one in self.came)


def content_s(came: Came) -> float:
    """Until a caller has something to read: the first word, or the whole of an answer that is no stream."""
    return came.first_s if came.first_s is not None else came.took_s


async def failover(directory: Path, *, rate: float = 50.0, scale: float = 1.0) -> Report:
    """`scale` shortens every phase."""
    mocks = [Mock(directory, name, STEPS["well"], seed=at) for at, name in enumerate(("steady", "shaky"))]
    for mock in mocks:
        mock.start()
    routes = {"chat": {"targets": [f"{mock.name}/mock" for mock in mocks]}}
    gate = RealGate(directory, config={"ai": {"providers": {m.name: provider(m) for m in mocks}, "routes": routes}})
    try:
        await asyncio.to_thread(gate.start)
        phases = await through(gate, mocks, rate, scale)
    finally:
        if gate.port:
            await asyncio.to_thread(gate.stop)
        for mock in mocks:
            mock.stop()
    return told(phases, rate)


async def through(gate: RealGate, mocks: Sequence[Mock], rate: float, scale: float) -> list[Phase]:
    """Every phase, one behind the other, while callers go on."""
    idle: list[Caller] = []
    numbers = itertools.count()
    await calls_of(gate.port, idle, next(numbers), [])  # The first of all pays for imports.
    phases: list[Phase] = []
    running: set[asyncio.Task[None]] = set()
    for name, script, lasts_s in PHASES:
        before = await asyncio.to_thread(totals, mocks)
        await asyncio.to_thread(mocks[1].script, STEPS[script])
        begin = time.monotonic()
        phase = Phase(name, begin, begin + lasts_s * scale)
        phases.append(phase)
        for at in range(int(lasts_s * scale * rate)):
            await asyncio.sleep(max(0.0, begin + at / rate - time.monotonic()))
            task = asyncio.create_task(calls_of(gate.port, idle, next(numbers), phase.came))
            running.add(task)
            task.add_done_callback(running.discard)
        after = await asyncio.to_thread(totals, mocks)
        phase.calls = [late - soon for late, soon in zip(after, before, strict=True)]
    await asyncio.gather(*running)
    for caller in idle:
        caller.close()
    return phases


async def calls_of(port: int, idle: list[Caller], number: int, came: list[Came]) -> None:
    """One request, on a connection that is free."""
    caller = idle.pop() if idle else Caller(port)
    asked = Asked(id=f"f{number:06d}", model="chat", stream=number % 2 == 0, frames=FRAMES)
    came.append(await caller.ask(asked))
    idle.append(caller)


def totals(mocks: Sequence[Mock]) -> list[int]:
    return [int(mock.counts()["by_model"].get("mock", 0)) for mock in mocks]


def told(phases: Sequence[Phase], rate: float) -> Report:
    """The figures, held against what is promised."""
    report = Report()
    baseline = statistics.median(content_s(one) for one in phases[0].came)
    most = 1.5 * baseline + 0.002
    samples = sorted((one.began, content_s(one)) for phase in phases for one in phase.came)
    rows = []
    for phase in phases:
        back_s = back_to_normal_s(samples, begin=phase.begin, end=phase.end, most=most)
        rows.append(row(phase, back_s))
        counts = phase.outcomes()
        wrong = counts[Outcome.WRONG] + counts[Outcome.SILENT]
        where = f"{phase.name}, from second {phase.begin - phases[0].begin:.0f}"
        report.promise(f"{where}: success {phase.success:.4%}", is_kept=phase.success >= LEAST_SUCCESS)
        report.promise(f"{where}: p50 back after {back_s:.1f} s", is_kept=back_s <= LONGEST_BACK_S)
        report.promise(f"{where}: {wrong} wrong answers", is_kept=not wrong)
    failed = Counter(
        f"{one.outcome}: {one.why}" for phase in phases for one in phase.came if one.outcome is not Outcome.WHOLE
    )
    report.say(
        machine(),
        "",
        f"{rate:.0f} requests a second, every other a stream, none tried again by its caller. Without a fault p50 is "
        f"{baseline * 1000:.1f} ms (20 of them are the mock's own); normal is up to {most * 1000:.1f} ms.",
        "",
        *table(COLUMNS, rows),
        "",
        f"Not whole: {', '.join(f'{count} x {why}' for why, count in failed.items()) or 'none'}.",
    )
    return report


COLUMNS = (
    "phase",
    "s",
    "requests",
    "whole and right",
    "p50 normal after s",
    "p50 ms",
    "p99 ms",
    "longest ms",
    "calls per request",
    "calls to the one that fails",
)


def row(phase: Phase, back_s: float) -> list[str]:
    values = [content_s(one) for one in phase.came]
    return [
        phase.name,
        f"{phase.end - phase.begin:.0f}",
        f"{len(phase.came):,}",
        f"{phase.success:.2%}",
        f"{back_s:.1f}",
        f"{statistics.median(values) * 1000:.1f}",
        f"{percentile(values, 0.99) * 1000:.1f}",
        f"{max(values) * 1000:,.0f}",
        f"{sum(phase.calls) / len(phase.came):.3f}",
        f"{phase.calls[1] / sum(phase.calls):.0%}",
    ]
