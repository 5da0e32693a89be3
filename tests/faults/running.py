"""Rows in turn: each case asked, each wrong outcome told in one line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.broken import addresses
from tests.faults.rig import AT_ONCE, Rig
from tests.faults.words import Row

__all__ = ["Result", "in_turn", "run"]

LONGEST_CASE_S = 60.0


@dataclass
class Result:
    """What came of a row. `notes`: what was measured on the way."""

    row: Row
    cases: int = 0
    failed: int = 0
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    took_s: float = 0.0

    @property
    def verdict(self) -> str:
        if self.row.waits and not self.cases:
            return "waiting"
        return "FAILED" if self.faults else "passed"

    def note(self, wrong: Sequence[str]) -> None:
        """One more case."""
        self.cases += 1
        if wrong:
            self.failed += 1
            self.faults += wrong


async def run(
    directory: Path, rows: Sequence[Row], told: Callable[[Result], None] = lambda _: None, *, slack: float = 1.0
) -> list[Result]:
    """Try every case of these rows on one gate. `slack`: see `Rig`."""
    results: list[Result] = []
    try:
        async with (
            addresses(directory) as (others, environment),
            Rig(directory, others, environment, slack=slack) as rig,
        ):
            for row in rows:
                results.append(await try_row(rig, row))
                told(results[-1])
    except AssertionError as error:
        if not results:
            raise
        results[-1].faults.append(f"when the gate had ended: {error}")
        told(results[-1])
    return results


async def try_row(rig: Rig, row: Row) -> Result:
    result = Result(row)
    began = time.monotonic()
    rig.first.counted.forget()
    rig.well.counted.forget()
    await in_turn(result, cases(rig, row))
    for name, special in row.specials:
        result.note([f"{name}: {wrong}" for wrong in await kept_short(special(rig))])
    if result.cases:
        after = [*await rig.leaks(), *rig.log_faults(), *rig.home_faults()]
        result.faults += [f"afterwards: {wrong}" for wrong in after]
    result.notes += rig.take_notes()
    result.took_s = time.monotonic() - began
    return result


def cases(rig: Rig, row: Row) -> Iterator[Coroutine[None, None, list[str]]]:
    for fault in row.faults:
        for combo in fault.cases():
            yield rig.case(fault, combo)


async def in_turn(result: Result, left: Iterator[Coroutine[None, None, list[str]]]) -> None:
    """A few at once."""

    async def take() -> None:
        for one in left:
            result.note(await kept_short(one))

    await asyncio.gather(*(take() for _ in range(AT_ONCE)))


async def kept_short(case: Coroutine[None, None, list[str]]) -> list[str]:
    """A case that breaks or never ends is one that failed."""
    try:
        async with asyncio.timeout(LONGEST_CASE_S):
            return await case
    except TimeoutError:
        return [f"not over after {LONGEST_CASE_S:g} s"]
    except Exception as error:  # noqa: BLE001 - whatever breaks a case, the others are still tried
        return [f"{type(error).__name__}: {error}"]
