"""A real gate, two providers that fail on command, callers with real SDKs: one case, and what is wrong with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from tests.faults.asking import PROMPT, Callers
from tests.faults.process import memory_mib
from tests.faults.words import Answered, Combo, Expected, Fault, Kind, Outcome, Surface
from tests.journey.gate import KEY, SECRETS, RealGate

from farmgate.core.usage import Call
from farmgate.core.usage import Outcome as Ended
from farmgate.mock import Mock, answer_text
from farmgate.stores.journal import read_calls

__all__ = ["Address", "Rig", "entries", "fallbacks", "judged"]

AT_ONCE = 8
SETTLED_S = 5.0
PROVIDER_KEY = "canary-of-the-provider-key-91c7e2"
TIMEOUTS = {"connectS": 0.8, "firstByteS": 0.8, "idleS": 0.8}
FIRST_CONTENT_S = 1.0
DIALECTS: Mapping[str, tuple[str, str, Mapping[str, object]]] = {
    "": ("openai", "/v1", {}),
    "-claude": ("anthropic", "", {}),
    "-responses": ("openai", "/v1", {"responses": True}),
}
"""What stands behind a provider's name: its type, where its API begins, options."""
SUFFIXES = {Surface.MESSAGES: "-claude", Surface.RESPONSES: "-responses"}


class Address(Protocol):
    """A provider that the mock cannot be. `calls` tells how often it was asked for a model, None: it cannot know."""

    url: str

    def calls(self, model: str) -> int | None: ...

    @property
    def connections(self) -> int: ...


def entries(name: str, url: str, timeouts: Mapping[str, float]) -> dict[str, object]:
    """The same address once for each dialect that a provider may speak."""
    return {
        f"{name}{suffix}": {
            "provider": kind,
            "url": f"{url}{path}",
            "apiKey": f"{PROVIDER_KEY}-{name}",
            "timeouts": timeouts,
            "options": options,
        }
        for suffix, (kind, path, options) in DIALECTS.items()
    }


def fallbacks(name: str, behind: str = "well") -> dict[str, object]:
    """Names that lead to a provider and, if it fails, to another."""
    return {
        f"{name}{suffix}.or.*": [f"{name}{suffix}/*", {"target": f"{behind}{suffix}/*", "priority": 1}]
        for suffix in DIALECTS
    }


@dataclass
class Rig:
    """Use with `async with`. `first` fails as it is told to, `well` never does."""

    directory: Path
    others: Mapping[str, Address] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    changes: Mapping[str, object] = field(default_factory=dict)
    timeouts: Mapping[str, float] = field(default_factory=lambda: TIMEOUTS)
    slack: float = 1.0
    """By how much every limit on time is longer: for machines that are busy with other tests as well."""
    first: Mock = field(default_factory=Mock)
    well: Mock = field(default_factory=lambda: Mock(script=[{}]))
    numbers: Iterable[int] = field(default_factory=lambda: count(1))
    notes: list[str] = field(default_factory=list)
    """What cases measured, for the report."""
    faults: list[str] = field(default_factory=list)
    """What was wrong with gates of their own."""

    async def __aenter__(self) -> Rig:
        SECRETS.update({PROMPT.encode(), PROVIDER_KEY.encode()})
        await self.first.start()
        await self.well.start()
        self.gate = RealGate(self.directory, config=self.config())
        # Unbuffered: what it prints is seen in the row that made it.
        self.gate.environment |= {"PYTHONUNBUFFERED": "1", **self.environment}
        await asyncio.to_thread(self.gate.start)
        self.callers = Callers(self.gate.ready["url"], KEY)
        await self._warm_up()
        self.baseline = await asyncio.to_thread(self.gate.descriptors) - self.connections
        self.memory_mib = memory_mib(self.gate.pid)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.callers.__aexit__(kind, error, trace)
        await asyncio.to_thread(self.gate.stop)
        await self.first.stop()
        await self.well.stop()

    async def _warm_up(self) -> None:
        """What is opened with the first request of each kind is not a leak."""
        for surface in Surface:
            outcome = await self.ask(Combo(surface, False, True), "mock", "warm")
            assert outcome.kind is Kind.WHOLE, outcome
        await self.at_rest()

    def config(self) -> dict[str, object]:
        """What the gate is started with."""
        named = self.well.url.replace("127.0.0.1", "localhost")
        addresses = {"first": self.first.url, "well": self.well.url, "named": named}
        addresses |= {name: other.url for name, other in self.others.items()}
        providers: dict[str, object] = {}
        routes: dict[str, object] = {}
        timeouts = {name: limit_s * self.slack for name, limit_s in self.timeouts.items()}
        for name, url in addresses.items():
            providers |= entries(name, url, timeouts)
            routes |= fallbacks(name)
        attempts = {"firstContentS": FIRST_CONTENT_S * self.slack}
        config: dict[str, object] = {
            "keys": [{"name": "tests", "key": KEY}],
            "ai": {"providers": providers, "routes": routes, "attempts": attempts},
        }
        return merged(config, self.changes)

    # ------------------------------------------------------------------------------------ one case

    def name_for(self, provider: str, combo: Combo, model: str) -> str:
        """What a caller names, to be answered by that provider's model, with or without another behind it."""
        suffix = SUFFIXES.get(combo.surface, "")
        return f"{provider}{suffix}{'.or.' if combo.falls_back else '/'}{model}"

    async def ask(
        self,
        combo: Combo,
        model: str,
        marker: str,
        *,
        provider: str = "first",
        text: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Outcome:
        return await self.callers.ask(combo, self.name_for(provider, combo, model), marker, text=text, headers=headers)

    def text(self, marker: str, frames: int) -> str:
        """What the mock says in so many pieces."""
        return answer_text(marker, frames)

    def fresh(self, fault: str = "") -> str:
        """A model's name that nobody had before: calls, records and health are told apart by it."""
        number = next(iter(self.numbers))
        return f"mock:{fault},seed={number}" if fault else f"mock:seed={number}"

    async def answered(self, fault: Fault, combo: Combo) -> Answered:
        """Ask for one case."""
        model = self.fresh(combo.place(fault.inject))
        marker = f"m{model.rpartition('=')[2]}"
        expected = fault.expect(combo)
        text = None if expected.text is None else expected.text(marker)
        outcome = await self.ask(combo, model, marker, provider=fault.provider, text=text)
        return Answered(self, combo, model, marker, outcome)

    async def case(self, fault: Fault, combo: Combo) -> list[str]:
        """Ask for one case, and say what is wrong with what came of it."""
        expected = fault.expect(combo)
        answered = await self.answered(fault, combo)
        model = answered.model
        await self.settled(model)
        wrong = judged(answered.outcome, expected, answered.marker)
        wrong += swept(answered.outcome)
        seen = self.seen(fault.provider, model, expected.calls[0] if expected.calls else 0)
        if expected.calls is not None and seen != expected.calls:
            wrong.append(f"{seen} calls, not {expected.calls}")
        wrong += await self.journal_faults(model, expected, seen)
        if fault.check is not None and (told := fault.check(answered)):
            wrong.append(told)
        return [f"{combo}: {fault.inject or fault.provider}: {one} [{answered.outcome}]" for one in wrong]

    def seen(self, provider: str, model: str, unknown: int = 0) -> tuple[int, int]:
        """Calls of the first provider and of the one that is well, as they count them. `unknown`: what to take for one
        that cannot count."""
        other = self.others.get(provider)
        first = sum(call.model == model for call in self.first.calls) if other is None else other.calls(model)
        return unknown if first is None else first, sum(call.model == model for call in self.well.calls)

    async def settled(self, model: str) -> None:
        """Wait until neither provider answers to that model any more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLED_S):
                await self.first.counted.until(lambda: not is_open(self.first, model))
                await self.well.counted.until(lambda: not is_open(self.well, model))

    def open_calls(self, model: str) -> int:
        return sum(is_open(mock, model) for mock in (self.first, self.well))

    async def journal_faults(self, model: str, expected: Expected, seen: tuple[int, int]) -> list[str]:
        """What is wrong with the records of a model's calls."""
        wrong = []
        if self.open_calls(model):
            wrong.append(f"a provider still answers {SETTLED_S:g} s later")
        rows: list[Call] = []
        for _ in range(3):
            # A record is written when the reply is closed, which may be a moment after the caller has its end.
            rows = await asyncio.to_thread(self.records, model)
            if all(row.outcome is not Ended.OPEN for row in rows) and rows:
                break
            await asyncio.to_thread(self.gate.is_idle)
        wanted = sum(seen) if expected.rows is None else expected.rows
        if len(rows) != wanted:
            wrong.append(f"{len(rows)} records of {wanted} calls")
        ends = Counter(row.outcome for row in rows)
        if ends[Ended.OPEN] or ends[Ended.LOST]:
            wrong.append(f"records without an end: {dict(ends)}")
        good = 1 if expected.kinds == (Kind.WHOLE,) else 0
        if len(expected.kinds) == 1 and ends[Ended.OK] != good:
            wrong.append(f"{ends[Ended.OK]} calls on record as good, not {good}")
        return wrong

    def records(self, model: str | None = None) -> list[Call]:
        """What the journal says, of one model or of all."""
        return [row for row in read_calls(self.gate.home / "journal") if model in (None, row.model)]

    # ------------------------------------------------------------------------------------ afterwards

    @property
    def connections(self) -> int:
        """The gate's to its providers, as those count them."""
        return self.first.connections + self.well.connections + sum(one.connections for one in self.others.values())

    async def at_rest(self) -> list[str]:
        """Let go of every connection of ours and of the gate's answers: what is still held is a leak."""
        await self.callers.__aexit__(None, None, None)
        self.callers = Callers(self.gate.ready["url"], KEY)
        wrong = []
        for mock in (self.first, self.well):
            try:
                await mock.settled(within_s=SETTLED_S)
            except TimeoutError:
                wrong.append(f"{mock.counted.open} calls are still open at a provider")
        if not await asyncio.to_thread(self.gate.is_idle):
            wrong.append("requests are still in flight at the gate")
        return wrong

    async def leaks(self) -> list[str]:
        """What is held after a row that was not held before it."""
        wrong = await self.at_rest()
        held = 0
        for _ in range(200):
            held = await asyncio.to_thread(self.gate.descriptors) - self.connections
            if held <= self.baseline:
                return wrong
            await asyncio.to_thread(self.gate.metric, "farmgate_requests_in_flight")
        return [*wrong, f"{held - self.baseline} file descriptors more than before"]

    def take_notes(self) -> list[str]:
        notes, self.notes = self.notes, []
        return notes

    def log_faults(self) -> list[str]:
        """What the gate has printed since it was last asked that it should not have."""
        wrong, self.faults = self.faults, []
        lines = self.gate.heard()
        wrong += [f"the gate said: {line[:200]}" for line in lines if "Traceback" in line or "request_failed" in line]
        told = "".join(lines).encode()
        return wrong + [f"a secret was printed: {secret!r}" for secret in SECRETS if secret in told]

    def home_faults(self) -> list[str]:
        """Secrets in the gate's files."""
        files = [file for file in self.gate.home.rglob("*") if file.is_file() and not file.is_symlink()]
        return [
            f"a secret is in {file.name}" for file in files if any(secret in file.read_bytes() for secret in SECRETS)
        ]

    @contextlib.asynccontextmanager
    async def another(
        self, name: str, *, timeouts: Mapping[str, float] = TIMEOUTS, **changes: object
    ) -> AsyncIterator[Rig]:
        """A gate of its own for one case, with other settings."""
        directory = self.directory / name
        directory.mkdir()
        rig = Rig(
            directory,
            changes=changes,
            environment=self.environment,
            timeouts=timeouts,
            slack=self.slack,
            numbers=self.numbers,
        )
        async with rig:
            yield rig
            self.faults += [f"{name}: {one}" for one in (*rig.log_faults(), *rig.home_faults())]


def merged(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with others in their place, section by section."""
    both = dict(config)
    for name, value in changes.items():
        known = both.get(name)
        both[name] = merged(known, value) if isinstance(known, dict) and isinstance(value, Mapping) else value
    return both


def is_open(mock: Mock, model: str) -> int:
    return sum(call.model == model and call.ended == "open" for call in mock.calls)


def judged(outcome: Outcome, expected: Expected, marker: str) -> list[str]:
    """What is wrong with what a caller was left with."""
    if outcome.kind not in expected.kinds:
        return [f"a caller should be left with: {' or '.join(expected.kinds)}"]
    wrong = []
    text = answer_text(marker) if expected.text is None else expected.text(marker)
    if not text.startswith(outcome.text):
        wrong.append(f"text that was never said: {outcome.text[:80]!r}")
    if outcome.kind is Kind.REFUSED and expected.status not in (None, outcome.status):
        wrong.append(f"the status should be {expected.status}")
    if outcome.kind in (Kind.REFUSED, Kind.BROKEN) and expected.codes and outcome.code not in expected.codes:
        wrong.append(f"the code should be {' or '.join(expected.codes)}")
    if outcome.kind is Kind.BROKEN and (b"[DONE]" in outcome.raw or b"message_stop" in outcome.raw):
        wrong.append("an end behind an error")
    if expected.within_s is not None and outcome.took_s > expected.within_s:
        wrong.append(f"{outcome.took_s:.3f} s, not within {expected.within_s:g} s")
    return wrong


def swept(outcome: Outcome) -> list[str]:
    """Secrets in what a caller was told."""
    told = b"\n".join((outcome.raw, outcome.said.encode(), repr(outcome.headers).encode()))
    return [f"a secret was told: {secret!r}" for secret in SECRETS if secret in told]
