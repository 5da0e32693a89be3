"""The same cases against somebody else's gateway, in front of the same mock: what callers are told, who is asked."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count

from tests.faults.asking import Callers
from tests.faults.rig import judged
from tests.faults.running import Result, in_turn
from tests.faults.words import COMBOS, Combo, Expected, Fault, Kind, Outcome, Row, Surface

from farmgate.mock import Mock

__all__ = ["PEERS", "NotThere", "Peer", "run_peer"]

MOST_CALLS = 4
RECOVERS_S = 180.0
LONG_S = 2.0
AGAIN_S = 0.5
PEERS: Mapping[str, str] = {"litellm": "", "portkey": "", "tensorzero": "tensorzero::model_name::"}
"""What stands before a model's name, where PREFIX says nothing else."""


class NotThere(Exception):
    """It answers nothing at all; the text says what came instead."""


class Peer:
    """A gateway at `url` whose only provider is the mock. It needs no second one: fallbacks are not compared."""

    def __init__(self, name: str, url: str, mock: Mock) -> None:
        self._prefix = os.environ.get("PREFIX") or PEERS.get(name, "")
        self._callers = Callers(url.removesuffix("/v1"), os.environ.get("PEER_KEY", "none"))
        self._headers = dict(one.split("=", 1) for one in os.environ.get("HEADERS", "").split() if "=" in one)
        self._mock = mock
        self._numbers = count(1)

    async def plain(self, combo: Combo) -> Outcome:
        """Ask for what is well."""
        number = next(self._numbers)
        model = f"{self._prefix}mock:seed={number}"
        return await self._callers.ask(combo, model, f"m{number}", headers=self._headers)

    async def recovered(self, combo: Combo) -> float | None:
        """Wait until it answers what is well, so that no row suffers from the one before: how long that took; None
        where it does not."""
        began = time.monotonic()
        while (await self.plain(combo)).kind is not Kind.WHOLE:
            if time.monotonic() > began + RECOVERS_S:
                return None
            await asyncio.sleep(AGAIN_S)
        return time.monotonic() - began

    async def case(self, fault: Fault, combo: Combo) -> list[str]:
        """Ask for one case."""
        number = next(self._numbers)
        # LiteLLM takes a name with commas for several models.
        model, marker = f"mock:{combo.place(fault.inject)};seed={number}".replace(",", ";"), f"m{number}"
        expected = told_of(fault.expect(combo))
        text = None if expected.text is None else expected.text(marker)
        outcome = await self._callers.ask(combo, self._prefix + model, marker, text=text, headers=self._headers)
        wrong = judged(outcome, expected, marker)
        calls = sum(call.model == model for call in self._mock.calls)
        if not 1 <= calls <= MOST_CALLS:
            wrong.append(f"{calls} calls")
        return [f"{combo}: {fault.inject}: {one} [{outcome}]" for one in wrong]


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
    """Every case that the mock alone can make and that needs no second provider; and what the peer does not answer even
    where all is well, which is left out. Raises NotThere where that is everything."""
    results: list[Result] = []
    async with Mock(port=port) as mock:
        peer = Peer(name, url, mock)
        asked = [combo for combo in COMBOS if not combo.falls_back]
        came = {combo: await peer.plain(combo) for combo in asked}
        left_out = [combo for combo, outcome in came.items() if outcome.kind is not Kind.WHOLE]
        if len(left_out) == len(asked):
            raise NotThere(f"{name} at {url} answers nothing, without any fault: {came[asked[0]]}")
        able = [combo for combo in asked if combo not in left_out]
        for row in rows:
            faults = [fault for fault in row.faults if fault.peers and fault.provider == "first"]
            if not faults:
                continue
            result = Result(row)
            cases = (
                (fault, combo) for fault in faults for combo in fault.cases() if combo in able and fits(fault, combo)
            )
            began = time.monotonic()
            await in_turn(result, (peer.case(fault, combo) for fault, combo in cases))
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
