"""The same cases against somebody else's gateway, in front of the same mock: what callers are told, who is asked."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, groupby

from tests.faults.asking import Callers
from tests.faults.rig import judged
from tests.faults.running import Result, in_turn
from tests.faults.words import COMBOS, Combo, Expected, Fault, Kind, Outcome, Row, Surface

from farmgate.mock import Mock

__all__ = ["PEERS", "NotThere", "Peer", "models", "run_peer"]

MOST_CALLS = 4
RECOVERS_S = 180.0
LONG_S = 2.0
AGAIN_S = 0.5
PEERS: Mapping[str, str] = {"litellm": "", "portkey": "", "tensorzero": "tensorzero::model_name::"}
"""What stands before a model's name, where PREFIX says nothing else."""
WELL, WELL_MARKER = "mock:seed=0", "m0"
ASKED = tuple(combo for combo in COMBOS if not combo.falls_back)


class NotThere(Exception):
    """It answers nothing at all; the text says what came instead."""


class Peer:
    """A gateway at `url` whose only provider is the mock. It needs no second one: fallbacks are not compared."""

    def __init__(self, name: str, url: str, mock: Mock) -> None:
        self._prefix = os.environ.get("PREFIX") or PEERS.get(name, "")
        self._callers = Callers(url.removesuffix("/v1"), os.environ.get("PEER_KEY", "none"))
        self._headers = dict(one.split("=", 1) for one in os.environ.get("HEADERS", "").split() if "=" in one)
        self._mock = mock

    async def plain(self, combo: Combo) -> Outcome:
        """Ask for what is well."""
        return await self._callers.ask(combo, self._prefix + WELL, WELL_MARKER, headers=self._headers)

    async def recovered(self, combo: Combo) -> float | None:
        """Wait until it answers what is well, so that no row suffers from the one before: how long that took; None
        where it does not."""
        began = time.monotonic()
        while (await self.plain(combo)).kind is not Kind.WHOLE:
            if time.monotonic() > began + RECOVERS_S:
                return None
            await asyncio.sleep(AGAIN_S)
        return time.monotonic() - began

    async def case(self, case: Case) -> list[str]:
        """Ask for one case."""
        fault, combo, model, marker = case.fault, case.combo, case.model, case.marker
        expected = told_of(fault.expect(combo))
        text = None if expected.text is None else expected.text(marker)
        outcome = await self._callers.ask(combo, self._prefix + model, marker, text=text, headers=self._headers)
        wrong = judged(outcome, expected, marker)
        calls = sum(call.model == model for call in self._mock.calls)
        if not 1 <= calls <= MOST_CALLS:
            wrong.append(f"{calls} calls")
        return [f"{combo}: {fault.inject}: {one} [{outcome}]" for one in wrong]


@dataclass(frozen=True)
class Case:
    """One fault, shown in one way of asking; the number makes its model's name the only one of its kind."""

    row: Row
    fault: Fault
    combo: Combo
    number: int

    @property
    def model(self) -> str:
        # LiteLLM takes a name with commas for several models.
        return f"mock:{self.combo.place(self.fault.inject)};seed={self.number}".replace(",", ";")

    @property
    def marker(self) -> str:
        return f"m{self.number}"


def cases_of(rows: Sequence[Row]) -> list[Case]:
    """Every case that the mock alone can make and that needs no second provider, always under the same names."""
    numbers = count(1)
    return [
        Case(row, fault, combo, next(numbers))
        for row in rows
        for fault in row.faults
        if fault.peers and fault.provider == "first"
        for combo in fault.cases()
        if combo in ASKED and fits(fault, combo)
    ]


def models(rows: Sequence[Row]) -> list[str]:
    """The name of every model that is asked for, for peers that know only those of their configuration."""
    return [WELL, *(case.model for case in cases_of(rows))]


def told_of(expected: Expected) -> Expected:
    """What a caller must be left with, whatever the peer's ways: all of the answer where it can be had, else any error.
    All of it is never wrong: a peer may speak another dialect to its provider, in which nothing is missing."""
    kinds = (Kind.WHOLE,) if expected.kinds == (Kind.WHOLE,) else (Kind.WHOLE, Kind.REFUSED, Kind.BROKEN, Kind.CUT)
    return replace(expected, kinds=kinds, status=None, codes=())


def fits(fault: Fault, combo: Combo) -> bool:
    return combo.surface is Surface.CHAT or not fault.is_of_dialect


async def run_peer(
    name: str, url: str, port: int, rows: Sequence[Row], told: Callable[[Result], None]
) -> tuple[list[Result], list[Combo]]:
    """What came of each row, as far as the peer is well; and what it does not answer even where all is well, which is
    left out. Raises NotThere where that is everything."""
    results: list[Result] = []
    async with Mock(port=port) as mock:
        peer = Peer(name, url, mock)
        came = {combo: await peer.plain(combo) for combo in ASKED}
        left_out = [combo for combo, outcome in came.items() if outcome.kind is not Kind.WHOLE]
        if len(left_out) == len(ASKED):
            raise NotThere(f"{name} at {url} answers nothing, without any fault: {came[ASKED[0]]}")
        able = [combo for combo in ASKED if combo not in left_out]
        for row, cases in groupby(cases_of(rows), key=lambda case: case.row):
            result = Result(row)
            began = time.monotonic()
            await in_turn(result, (peer.case(case) for case in cases if case.combo in able))
            result.took_s = time.monotonic() - began
            later_s = await peer.recovered(able[0])
            if later_s is None:
                result.notes.append(f"{RECOVERS_S:.0f} s later it still answered nobody: what follows is not tried")
            elif later_s > LONG_S:
                result.notes.append(f"it answered others again {later_s:.0f} s later")
            results.append(result)
            told(result)
            if later_s is None:
                break
    return results, left_out
