"""Many streaming users for a long time, while providers fail, restart and are configured anew."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.endure.asking import Asked, Caller
from tests.endure.loaded import Loaded, Sample, told, used_s
from tests.endure.mocks import Mock, provider
from tests.endure.page import Report
from tests.journey.gate import RealGate

__all__ = ["load"]

FRAMES = 20
THINK_S = 4.0
PROPER = f"head=20ms,between=50ms,frames={FRAMES}"
FAULTS = ("status=503", "refuse", "cut=2000", "stall=8")
SHARE = 0.05
IDLE_S = (2.0, 2.5)
"""How long a provider may be silent: after every change of the configuration the other one."""
AWAY_S = 1.5
DIRECT = "direct"
DIRECTLY = 10
"""One in so many users asks the mocks themselves as well, to have something to compare with."""
PATIENCE_S = 30.0


def script() -> list[Mapping[str, object]]:
    """Whoever asks directly is served well; else each fault has an equal part of the share."""
    faulty: list[Mapping[str, object]] = []
    for at, fault in enumerate(FAULTS):
        part = SHARE / len(FAULTS)
        ends = fault in ("status=503", "refuse")
        said = fault if ends else f"{PROPER},{fault}"
        faulty.append({"match": {"path": "*/chat/completions"}, "do": said, "share": part / (1 - at * part)})
    return [{"match": {"model": DIRECT}, "do": PROPER}, *faulty, {"do": PROPER}]


@dataclass
class Stage:
    """What all that goes on at the same time shares. `over` is when nobody asks any more."""

    gate: RealGate
    mocks: list[Mock]
    over: float
    seed: int
    loaded: Loaded
    numbers: Iterator[int] = field(default_factory=itertools.count)
    away: set[str] = field(default_factory=set)

    @property
    def left_s(self) -> float:
        return self.over - time.monotonic()


async def load(directory: Path, *, seconds: float, users: int, seed: int) -> Report:
    mocks = [Mock(directory, name, script(), seed=seed + at) for at, name in enumerate(("first", "second"))]
    before, began = used_s(), time.monotonic()
    for mock in mocks:
        mock.start()
    gate = RealGate(directory, config=configuration(mocks, 0))
    try:
        await asyncio.to_thread(gate.start)
        loaded = Loaded(seconds=seconds, users=users, seed=seed, think_s=THINK_S, share=SHARE)
        stage = Stage(gate, mocks, time.monotonic() + seconds, seed, loaded)
        loaded.began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(users):
                group.create_task(user(stage, number))
            for number in range(max(1, users // DIRECTLY)):
                group.create_task(direct(stage, number))
            group.create_task(restarts(stage))
            group.create_task(reloads(stage))
            group.create_task(samples(stage))
        loaded.reloaded = int(await asyncio.to_thread(gate.metric, 'farmgate_config_reloads_total{outcome="changed"}'))
        loaded.is_idle = await asyncio.to_thread(gate.is_idle)
    finally:
        if gate.port:
            loaded.exit_code = await asyncio.to_thread(gate.stop)
        for mock in mocks:
            mock.stop()
    machine, ours = (late - soon for late, soon in zip(used_s(), before, strict=True))
    loaded.others_cores = max(0.0, machine - ours) / (time.monotonic() - began)
    loaded.tracebacks = sum("Traceback" in line for line in gate.log)
    return told(loaded)


def configuration(mocks: list[Mock], change: int) -> Mapping[str, object]:
    """The same in all but one value."""
    idle_s = IDLE_S[change % len(IDLE_S)]
    providers = {mock.name: provider(mock, timeouts={"idleS": idle_s}) for mock in mocks}
    return {"ai": {"providers": providers, "routes": {"chat": {"targets": [f"{m.name}/mock" for m in mocks]}}}}


async def user(stage: Stage, number: int) -> None:
    """Thinks, asks, reads to the end, and thinks again."""
    chance = random.Random(f"{stage.seed} {number}")
    caller = Caller(stage.gate.port, patience_s=PATIENCE_S)
    await asyncio.sleep(chance.uniform(0.0, stage.loaded.ramp_s))
    while stage.left_s > 0:
        asked = Asked(id=f"u{next(stage.numbers):07d}", model="chat", stream=True, frames=FRAMES)
        stage.loaded.note(await caller.ask(asked))
        await asyncio.sleep(max(0.0, min(chance.expovariate(1 / THINK_S), stage.left_s)))
    caller.close()


async def direct(stage: Stage, number: int) -> None:
    """The same, without the gate: what a mock that is there takes by itself."""
    chance = random.Random(f"{stage.seed} direct {number}")
    mock = stage.mocks[number % len(stage.mocks)]
    caller = Caller(mock.port, patience_s=PATIENCE_S)
    await asyncio.sleep(chance.uniform(0.0, stage.loaded.ramp_s))
    while stage.left_s > 0:
        if mock.name not in stage.away:
            asked = Asked(id=f"d{next(stage.numbers):07d}", model=DIRECT, stream=True, frames=FRAMES)
            stage.loaded.note_direct(await caller.ask(asked))
        await asyncio.sleep(max(0.0, min(chance.expovariate(1 / THINK_S), stage.left_s)))
    caller.close()


async def restarts(stage: Stage) -> None:
    """The mocks in turn; what they were saying breaks off."""
    every_s = min(max(stage.loaded.seconds / 4, 15.0), 60.0)
    for mock in itertools.cycle(stage.mocks):
        if stage.left_s < every_s + AWAY_S:
            return
        await asyncio.sleep(every_s)
        stage.away.add(mock.name)
        await asyncio.to_thread(mock.stop)
        await asyncio.sleep(AWAY_S)
        await asyncio.to_thread(mock.start)
        stage.away.discard(mock.name)
        stage.loaded.restarts += 1


async def reloads(stage: Stage) -> None:
    """Another configuration, by its file."""
    every_s = 15.0 if stage.loaded.seconds <= 120 else 60.0
    await asyncio.sleep(min(every_s / 2, max(0.0, stage.left_s)))
    while stage.left_s > 1:
        stage.loaded.changes += 1
        stage.gate.configure(configuration(stage.mocks, stage.loaded.changes))
        await asyncio.sleep(min(every_s, max(0.0, stage.left_s)))


async def samples(stage: Stage) -> None:
    """The gate's memory and processor, each second."""
    while stage.left_s > 0:
        stage.loaded.samples.append(Sample.of(stage.gate.pid))
        await asyncio.sleep(min(1.0, max(0.0, stage.left_s)))
