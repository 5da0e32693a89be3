"""Streams that break off at random bytes, through a real gate: what each caller was told, and whether that was true."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.cuts.hearing import Heard, hear
from tests.cuts.streams import ARGUMENTS, STREAMS, TEXT
from tests.cuts.upstream import Cut, How, Upstream
from tests.journey.gate import KEY, RealGate, request

__all__ = ["SURFACES", "Outcome", "Run", "cuts_for", "judged", "run"]

SURFACES = ("openai", "anthropic", "ollama")
AT_ONCE = 8
LONGEST_S = 60.0
TAIL_BYTES, TAIL_SHARE = 500, 0.25
TOOL = {"name": "weather", "description": "the weather", "parameters": {"type": "object", "properties": {}}}
TRUE_FAILURES = frozenset({502})


class Outcome(StrEnum):
    """What a caller was left with. Everything behind LOUD is a fault of the gate."""

    WHOLE = "whole"
    ERROR_FRAME = "error frame"
    STATUS = "error status"
    BROKEN = "connection broken"
    SILENT = "SILENT TRUNCATION"
    WRONG = "WRONG"


LOUD = frozenset({Outcome.ERROR_FRAME, Outcome.STATUS, Outcome.BROKEN})


@dataclass
class Run:
    """How it went. `faults` tells each wrong outcome with its cut, fit to be run again."""

    outcomes: Counter[tuple[str, str, How, Outcome]] = field(default_factory=Counter)
    lost_nothing: Counter[Outcome] = field(default_factory=Counter)
    """What callers were told of cuts behind the end of the answer."""
    faults: list[str] = field(default_factory=list)

    def note(self, cut: Cut, outcome: Outcome, why: str) -> None:
        self.outcomes[cut.surface, cut.provider, cut.how, outcome] += 1
        if cut.has_all:
            self.lost_nothing[outcome] += 1
        if outcome in (Outcome.SILENT, Outcome.WRONG):
            self.faults.append(f"{outcome}: {why}: {cut}")

    def table(self) -> str:
        """Who asked whom, and what came of it."""
        lines = [f"{'asked as':<11}{'answered as':<13}" + "".join(f"{outcome:>19}" for outcome in Outcome)]
        for surface in SURFACES:
            for provider in STREAMS:
                counts = [self.count(surface=surface, provider=provider, outcome=outcome) for outcome in Outcome]
                lines.append(f"{surface:<11}{provider:<13}" + "".join(f"{count:>19}" for count in counts))
        lines.append("")
        lines += [
            f"{how:<32}" + "".join(f"{outcome} {self.count(how=how, outcome=outcome)}  " for outcome in Outcome)
            for how in How
        ]
        behind = ", ".join(f"{outcome} {count}" for outcome, count in sorted(self.lost_nothing.items()))
        return "\n".join([*lines, "", f"cut behind the end of the answer: {behind or 'none'}"])

    def count(
        self, *, outcome: Outcome, surface: str | None = None, provider: str | None = None, how: How | None = None
    ) -> int:
        return sum(
            count
            for (asked, answered, ended, came), count in self.outcomes.items()
            if came is outcome and surface in (None, asked) and provider in (None, answered) and how in (None, ended)
        )


def cuts_for(count: int, seed: int) -> list[Cut]:
    """The same for the same seed: every pair of dialects and every way to break off in turn, at any byte, a quarter
    of them where the answer ends."""
    chance = random.Random(seed)
    ways = [(surface, provider, how) for how in How for surface in SURFACES for provider in STREAMS]
    cuts = []
    for number in range(count):
        surface, provider, how = ways[number % len(ways)]
        size = len(STREAMS[provider].body)
        at = size - chance.randrange(1, TAIL_BYTES) if chance.random() < TAIL_SHARE else chance.randrange(size)
        cuts.append(Cut(number, surface, provider, how, at, seed=chance.getrandbits(32)))
    return cuts


# ------------------------------------------------------------------------------------------------ asking


def asked(cut: Cut) -> bytes:
    """The question, as bytes on a connection of its own."""
    body: dict[str, Any] = {"model": f"{cut.provider}/m", "stream": True}
    body["messages"] = [{"role": "user", "content": f"cut:{cut.number}"}]
    if cut.surface == "anthropic":
        tool = {"name": TOOL["name"], "description": TOOL["description"], "input_schema": TOOL["parameters"]}
        body |= {"max_tokens": 999, "tools": [tool]}
        return request("POST", "/v1/messages", body, {"connection": "close", "anthropic-version": "2023-06-01"})
    body["tools"] = [{"type": "function", "function": TOOL}]
    if cut.surface == "ollama":
        return request("POST", "/api/chat", body, {"connection": "close"})
    body["stream_options"] = {"include_usage": cut.seed % 2 == 0}
    return request("POST", "/v1/chat/completions", body, {"connection": "close"})


async def answer(port: int, cut: Cut) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(asked(cut))
        pieces = []
        while data := await reader.read(65536):
            pieces.append(data)
    except ConnectionResetError:
        pass
    finally:
        writer.close()
    return b"".join(pieces)


# ------------------------------------------------------------------------------------------------ judging


def judged(cut: Cut, heard: Heard) -> tuple[Outcome, str]:
    """What a caller was left with, and why that is wrong where it is."""
    if not TEXT.startswith(heard.text):
        return Outcome.WRONG, "text that was never said"
    if cut.must_be_whole and not (heard.is_ended and heard.is_closed):
        return Outcome.WRONG, "a whole answer that was spoiled"
    if heard.status not in (0, 200):
        is_true = heard.status in TRUE_FAILURES and heard.error != "internal_error"
        return (Outcome.STATUS, "") if is_true else (Outcome.WRONG, f"status {heard.status} {heard.error}")
    if heard.error is not None:
        is_one = not heard.is_ended and heard.error != "internal_error"
        return (Outcome.ERROR_FRAME, "") if is_one else (Outcome.WRONG, f"{heard.error}, and an end")
    if not heard.is_closed:
        return Outcome.BROKEN, ""
    if not heard.is_ended:
        return Outcome.SILENT, "neither an end nor an error"
    if not cut.has_all:
        return Outcome.SILENT, "an end that the provider never told"
    return (Outcome.WHOLE, "") if is_whole(heard) else (Outcome.SILENT, "an end, and something is missing")


def is_whole(heard: Heard) -> bool:
    """Whether all of the answer is there."""
    return heard.text == TEXT and heard.name == "weather" and json.loads(heard.arguments) == ARGUMENTS


def config(port: int) -> Mapping[str, object]:
    url = f"http://127.0.0.1:{port}"
    providers = {
        "openai": {"url": f"{url}/v1", "apiKey": "key-of-openai-0123456789"},
        "anthropic": {"url": url, "apiKey": "key-of-anthropic-0123456789"},
        "ollama": {"url": url, "models": ["m"]},
    }
    return {"keys": [{"name": "tests", "key": KEY}], "ai": {"providers": providers}}


async def run(directory: Path, cuts: list[Cut]) -> Run:
    """Ask for every cut, a few at once; the gate must be alive and idle behind the last."""
    told = Run()
    async with Upstream({cut.number: cut for cut in cuts}) as upstream:
        gate = RealGate(directory, config=config(upstream.port))
        await asyncio.to_thread(gate.start)
        try:
            left = iter(cuts)
            await asyncio.gather(*(ask_in_turn(gate.port, left, told) for _ in range(AT_ONCE)))
            missing = [cut for cut in cuts if not upstream.asked.get(cut.number)]
            told.faults += [f"the provider was never asked: {cut}" for cut in missing]
            told.faults += await asyncio.to_thread(what_is_wrong_with, gate)
        finally:
            await asyncio.to_thread(gate.stop)
        told.faults += [
            f"the gate said: {line}" for line in gate.log if "Traceback" in line or "request_failed" in line
        ]
    return told


async def ask_in_turn(port: int, cuts: Any, told: Run) -> None:
    for cut in cuts:
        try:
            data = await asyncio.wait_for(answer(port, cut), LONGEST_S)
            told.note(cut, *judged(cut, hear(cut.surface, data)))
        except (AssertionError, ValueError, KeyError, TypeError, OSError, TimeoutError) as error:
            told.note(cut, Outcome.WRONG, f"{type(error).__name__} {error}")


def what_is_wrong_with(gate: RealGate) -> list[str]:
    wrong = [] if gate.is_idle() else ["requests are still in flight"]
    if gate.call("GET", "/health/ready").status != 200:
        wrong.append("the gate is not well")
    return wrong
