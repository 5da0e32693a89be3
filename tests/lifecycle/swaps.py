"""Versions are swapped under callers who never stop asking, and engines are killed in the middle of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.endure.figures import percentile
from tests.endure.page import Report, table
from tests.lifecycle.asking import QUESTIONS, Came, Outcome, ask
from tests.lifecycle.stage import Stage, stage

__all__ = ["kills", "swaps"]

CALLERS = 32
BETWEEN_S = 0.2
BACK_S = 5.0


@dataclass
class Crowd:
    """Callers who ask without a pause until they are told to stop."""

    stage: Stage
    seed: int
    came: list[Came] = field(default_factory=list)
    is_over: bool = False

    async def caller(self, number: int) -> None:
        chance = random.Random(f"{self.seed} {number}")
        while not self.is_over:
            came = await ask(self.stage.port, chance.choice(QUESTIONS))
            self.came.append(came)
            if came.outcome is not Outcome.WHOLE:
                # A caller with manners comes back a little later.
                await asyncio.sleep(0.05)

    def counts(self) -> Counter[Outcome]:
        return Counter(came.outcome for came in self.came)


async def swaps(directory: Path, *, count: int, seed: int) -> Report:
    """Nobody is let down by a swap."""
    report = Report()
    took: list[float] = []
    failed: list[object] = []
    async with stage(directory, guide={"parallel": 8, "keptS": 0}) as here, asyncio.TaskGroup() as group:
        crowd = Crowd(here, seed)
        await here.do("load")
        for number in range(CALLERS):
            group.create_task(crowd.caller(number))
        for number in range(count):
            await asyncio.sleep(BETWEEN_S)
            began = time.monotonic()
            job = await here.do("reload", {"version": str(2 - number % 2)})
            took.append(time.monotonic() - began)
            if job["error"] is not None:
                failed.append(job["error"])
        crowd.is_over = True
    counts = crowd.counts()
    versions = Counter(came.version for came in crowd.came if came.outcome is Outcome.WHOLE)
    waits = [came.first_s for came in crowd.came if came.first_s is not None]
    report.say(
        f"{count} swaps between two versions, {CALLERS} callers streaming without a pause.",
        "",
        *table(
            ("", ""),
            [
                ("Answers, whole and in one version's words", f"{counts[Outcome.WHOLE]:,}"),
                ("of them by version 1, by version 2", f"{versions[1]:,}, {versions[2]:,}"),
                ("**Failed, cut, wrong, hung**", f"**{len(crowd.came) - counts[Outcome.WHOLE]}**"),
                ("A swap took, s: p50, longest", f"{percentile(took, 0.5):.2f}, {max(took):.2f}"),
                (
                    "First word, ms: p50, p99",
                    f"{percentile(waits, 0.5) * 1e3:.0f}, {percentile(waits, 0.99) * 1e3:.0f}",
                ),
            ],
        ),
    )
    bad = [came for came in crowd.came if came.outcome is not Outcome.WHOLE]
    report.promise(f"requests were let down: {[(one.outcome, one.why) for one in bad[:3]]}", is_kept=not bad)
    report.promise(f"swaps failed: {failed[:2]}", is_kept=not failed)
    report.promise("one version never answered", is_kept=min(versions[1], versions[2]) > 0)
    return report


async def kills(directory: Path, *, count: int, seed: int) -> Report:
    """A kill -9 of either engine during a swap costs what was being said by it, and nothing else."""
    report = Report()
    chance = random.Random(seed)
    back: list[float] = []
    moments: list[float] = []
    killed = Counter[str]()
    async with stage(directory, guide={"parallel": 8, "keptS": 0}) as here, asyncio.TaskGroup() as group:
        crowd = Crowd(here, seed)
        await here.do("load")
        for number in range(CALLERS):
            group.create_task(crowd.caller(number))
        for _ in range(count):
            await asyncio.sleep(BETWEEN_S)
            old = next(one for one in await here.processes() if one["answers"])
            wanted = "2" if old["version"] == "1" else "1"
            swap = asyncio.create_task(here.do("reload", {"version": wanted}))
            await asyncio.sleep(chance.uniform(0.0, 0.4))
            victim = chance.choice(await victims(here))
            here.kill(victim["pid"])
            at = time.monotonic()
            moments.append(at)
            killed["the old" if victim["version"] == old["version"] else "the new"] += 1
            await swap
            back.append(await until_answered(crowd, at))
        crowd.is_over = True
    counts = crowd.counts()
    strangers = [
        one
        for one in crowd.came
        if one.outcome is Outcome.TOLD and not any(one.began <= at <= one.began + one.took_s for at in moments)
    ]
    told = Counter(came.why for came in crowd.came if came.outcome is Outcome.TOLD)
    report.say(
        f"{count} times `kill -9` of an engine during a swap ({killed['the old']} the old one, {killed['the new']} the "
        f"new one), {CALLERS} callers.",
        "",
        *table(
            ("", ""),
            [
                ("Answers, whole and in one version's words", f"{counts[Outcome.WHOLE]:,}"),
                ("Told to be broken by an error", f"{counts[Outcome.TOLD]:,}"),
                ("of them not under way when an engine was killed", str(len(strangers))),
                ("**Cut without a word, wrong, hung**", f"**{bad_of(counts)}**"),
                (
                    "From the kill to the next whole answer, s: p50, longest",
                    f"{percentile(back, 0.5):.2f}, {max(back):.2f}",
                ),
            ],
        ),
        "",
        "What those were told: " + (", ".join(f"{n:,} x {why}" for why, n in told.most_common()) or "nothing") + ".",
    )
    worst = [came for came in crowd.came if came.outcome in (Outcome.CUT, Outcome.WRONG, Outcome.HUNG)]
    report.promise(f"answers were cut or wrong: {[(one.outcome, one.why) for one in worst[:3]]}", is_kept=not worst)
    report.promise(f"service was away for {max(back):.1f} s", is_kept=max(back) <= BACK_S)
    report.promise(
        f"{len(strangers)} were told so who were at no engine that was killed: {[one.why for one in strangers[:3]]}",
        is_kept=not strangers,
    )
    most = count * 8
    report.promise(
        f"{counts[Outcome.TOLD]} answers broke, more than the {most} places there were at the killed",
        is_kept=counts[Outcome.TOLD] <= most,
    )
    return report


async def victims(here: Stage) -> list[dict[str, Any]]:
    """Those that can be killed: there may be none for a moment, after the last kill."""
    while not (there := [one for one in await here.processes() if one["pid"] and one["state"] != "stopping"]):
        await asyncio.sleep(0.01)
    return there


def bad_of(counts: Counter[Outcome]) -> int:
    return counts[Outcome.CUT] + counts[Outcome.WRONG] + counts[Outcome.HUNG]


async def until_answered(crowd: Crowd, at: float) -> float:
    """Seconds from a moment to the end of the first whole answer that was asked for after it."""
    while True:
        ends = [one.began + one.took_s for one in crowd.came if one.began > at and one.outcome is Outcome.WHOLE]
        if ends:
            return min(ends) - at
        if time.monotonic() - at > 30:
            return 30.0
        await asyncio.sleep(0.02)
