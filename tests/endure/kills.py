"""The gate is killed under load, again and again; every call that a provider saw must be on record."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.endure.asking import Asked, Caller, Came, Outcome
from tests.endure.figures import percentile
from tests.endure.mocks import Mock, provider
from tests.endure.page import Report, machine, table
from tests.journey.gate import RealGate

from farmgate.core.usage import Call
from farmgate.core.usage import Outcome as Ending
from farmgate.stores.journal import read_calls

__all__ = ["Kept", "accounted", "kills"]

CALLERS = 16
FRAMES = 10
LEAST_S, MOST_S = 0.02, 1.0
"""When it is killed, counted from the first request."""
SCRIPT = ({"do": "status=503", "share": 0.05}, {"do": f"frames={FRAMES},between=5ms"})
SETTLE_S = 15.0


@dataclass
class Life:
    """One gate from its start to its kill."""

    name: str
    started_s: float
    lived_s: float = 0.0
    came: list[Came] = field(default_factory=list)

    @property
    def in_flight(self) -> int:
        """Requests that were sent and not answered."""
        return sum(one.outcome is Outcome.BROKEN for one in self.came)


@dataclass
class Kept:
    """What the journal has and the provider saw, by the caller's id of the request."""

    records: Counter[str]
    calls: Counter[str]
    endings: Counter[Ending] = field(default_factory=Counter)
    unended: set[str] = field(default_factory=set)

    @property
    def lost(self) -> Counter[str]:
        """Calls without a record."""
        return self.calls - self.records

    @property
    def orphans(self) -> Counter[str]:
        """Records without a call."""
        return self.records - self.calls


async def kills(directory: Path, count: int, *, seed: int, lanes: int) -> Report:
    """So many kills, in gates side by side, each with a directory of its own."""
    mock = Mock(directory, "mock", SCRIPT, seed=seed)
    mock.start()
    try:
        left = iter(range(count))
        homes = [directory / f"gate-{lane}" for lane in range(lanes)]
        lives = await asyncio.gather(*(lane(home, mock, left, random.Random(f"{seed} {home.name}")) for home in homes))
        await settled(mock)
    finally:
        mock.stop()
    lived = [life for told in lives for life in told]
    kept = await asyncio.to_thread(accounted, homes, mock, lived)
    return told(lived, kept, seed=seed, lanes=lanes)


async def lane(directory: Path, mock: Mock, left: Iterator[int], chance: random.Random) -> list[Life]:
    """One gate after the other in the same place."""
    directory.mkdir()
    gate = RealGate(directory, config={"ai": {"providers": {"up": provider(mock)}}})
    lives = []
    for number in left:
        began = time.monotonic()
        await asyncio.to_thread(gate.start)
        life = Life(f"k{number:04d}", time.monotonic() - began)
        await until_killed(gate, life, chance.uniform(LEAST_S, MOST_S))
        lives.append(life)
    said = await asyncio.to_thread(gate.everything_said)
    assert "Traceback" not in said, said
    return lives


async def until_killed(gate: RealGate, life: Life, after_s: float) -> None:
    """Callers who ask without a pause, until there is nobody to ask."""
    began = time.monotonic()
    numbers = itertools.count()
    tasks = [asyncio.create_task(ask_on(gate.port, life, numbers)) for _ in range(CALLERS)]
    await asyncio.sleep(after_s)
    gate.process.kill()
    life.lived_s = time.monotonic() - began
    await asyncio.gather(*tasks)
    await asyncio.to_thread(gate.process.wait)


async def ask_on(port: int, life: Life, numbers: Iterator[int]) -> None:
    caller = Caller(port)
    for number in numbers:
        came = await caller.ask(Asked(id=f"{life.name}-{number}", model="mock", stream=number % 3 > 0, frames=FRAMES))
        if came.outcome is Outcome.BROKEN and "Refused" in came.why:
            break  # Nobody was asked.
        life.came.append(came)
        if came.outcome is Outcome.BROKEN:
            break
    caller.close()


async def settled(mock: Mock) -> None:
    """The mock has noticed that everybody left."""
    deadline = time.monotonic() + SETTLE_S
    while (await asyncio.to_thread(mock.counts))["open"]:
        assert time.monotonic() < deadline, "calls are open in the mock though every gate is dead"
        await asyncio.sleep(0.05)


def accounted(homes: Sequence[Path], mock: Mock, lives: Sequence[Life]) -> Kept:
    """Match calls and records. A body is forwarded as it came, so that its hash tells whose it is."""
    ids = {hashlib.sha256(came.asked.body).hexdigest(): came.asked.id for life in lives for came in life.came}
    calls = Counter(ids.get(call["body_sha256"], f"unknown {call['number']}") for call in mock.calls())
    records: list[Call] = [call for home in homes for call in read_calls(home / "home/journal")]
    whole = {came.asked.id for life in lives for came in life.came if came.outcome is Outcome.WHOLE}
    return Kept(
        records=Counter(record.asked_id or f"unknown {record.id}" for record in records),
        calls=calls,
        endings=Counter(record.outcome for record in records),
        unended={record.asked_id or "" for record in records if record.outcome is Ending.LOST} & whole,
    )


def told(lives: Sequence[Life], kept: Kept, *, seed: int, lanes: int) -> Report:
    """The figures, held against what is promised."""
    report = Report()
    orphans = Counter(name.split("-")[0] for name in kept.orphans.elements())
    too_many = [life.name for life in lives if orphans[life.name] > life.in_flight]
    lost = kept.lost.total()
    outcomes = Counter(one.outcome for life in lives for one in life.came)
    wrong = outcomes[Outcome.WRONG] + outcomes[Outcome.SILENT]
    idle = sum(not life.in_flight for life in lives)
    report.promise(f"{lost} calls are not on record: {sorted(kept.lost)[:10]}", is_kept=not lost)
    report.promise(f"more records without a call than requests in flight: {too_many}", is_kept=not too_many)
    report.promise(f"records of nobody's request: {orphans}", is_kept=not set(orphans) - {one.name for one in lives})
    report.promise(f"{wrong} wrong answers", is_kept=not wrong)
    report.promise("no kill met a request in flight: nothing was measured", is_kept=idle < len(lives))
    starts = [life.started_s for life in lives]
    in_flight = [life.in_flight for life in lives]
    endings = ", ".join(f"{count:,} {ending}" for ending, count in sorted(kept.endings.items()))
    rows = [
        ("Kills", f"{len(lives):,}"),
        ("Requests in flight at a kill: least, median, most", three(in_flight)),
        ("Kills with none in flight", f"{idle:,}"),
        ("Requests sent", f"{sum(len(life.came) for life in lives):,}"),
        ("Calls the mock saw", f"{kept.calls.total():,}"),
        ("Records in the journal", f"{kept.records.total():,}"),
        ("**Calls without a record**", f"**{lost:,}**"),
        ("Records without a call", f"{kept.orphans.total():,}"),
        ("Answers that a caller had whole while their record has no end", f"{len(kept.unended):,}"),
        ("Start on the same directory, s: p50, p99, longest", spans(starts)),
    ]
    report.say(
        machine(),
        "",
        f"`SEED={seed}`, {lanes} gates side by side with {CALLERS} callers each, who ask without a pause; killed "
        f"{LEAST_S:g} to {MOST_S:g} s after their first request. One call of twenty is answered 503 and tried again.",
        "",
        *table(("", ""), rows),
        "",
        f"Records by how their calls ended: {endings}.",
    )
    return report


def three(values: Sequence[int]) -> str:
    return f"{min(values)}, {percentile(values, 0.5)}, {max(values)}"


def spans(values: Sequence[float]) -> str:
    return f"{percentile(values, 0.5):.2f}, {percentile(values, 0.99):.2f}, {max(values):.2f}"
