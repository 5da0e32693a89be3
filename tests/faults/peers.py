"""The same cases against somebody else's gateway, in front of the same mock: what callers are told, who is asked."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count

from tests.faults.asking import Callers
from tests.faults.rig import judged
from tests.faults.running import Result, in_turn
from tests.faults.words import Combo, Expected, Fault, Kind, Row, Surface

from farmgate.mock import Mock

__all__ = ["PEERS", "Peer", "run_peer"]

MOST_CALLS = 4
PEERS: Mapping[str, str] = {"litellm": "", "portkey": "", "tensorzero": "tensorzero::model_name::"}
"""What stands before a model's name, where PREFIX says nothing else."""


class Peer:
    """A gateway at `url` whose only provider is the mock. It needs no second one: fallbacks are not compared."""

    def __init__(self, name: str, url: str, mock: Mock) -> None:
        self._prefix = os.environ.get("PREFIX") or PEERS.get(name, "")
        self._callers = Callers(url.removesuffix("/v1"), os.environ.get("PEER_KEY", "none"))
        self._headers = dict(one.split("=", 1) for one in os.environ.get("HEADERS", "").split() if "=" in one)
        self._mock = mock
        self._numbers = count(1)

    async def case(self, fault: Fault, combo: Combo) -> list[str]:
        """Ask for one case."""
        number = next(self._numbers)
        model, marker = f"mock:{combo.place(fault.inject)},seed={number}", f"m{number}"
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
    return not combo.falls_back and (combo.surface is Surface.CHAT or not fault.is_of_dialect)


async def run_peer(name: str, url: str, port: int, rows: Sequence[Row], told: Callable[[Result], None]) -> list[Result]:
    """Every case that the mock alone can make and that needs no second provider."""
    results = []
    async with Mock(port=port) as mock:
        peer = Peer(name, url, mock)
        for row in rows:
            faults = [fault for fault in row.faults if fault.peers and fault.provider == "first"]
            if not faults:
                continue
            result = Result(row)
            cases = ((fault, combo) for fault in faults for combo in fault.cases() if fits(fault, combo))
            began = time.monotonic()
            await in_turn(result, (peer.case(fault, combo) for fault, combo in cases))
            result.took_s = time.monotonic() - began
            results.append(result)
            told(result)
    return results
