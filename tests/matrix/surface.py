"""A surface of the matrix: how a caller of one dialect asks for a feature, and what it makes of the answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

from tests.matrix.facts import FACTS, VALUES, Fact, Feature, Heard, Tokens

__all__ = ["Answered", "Json", "Surface", "events", "value", "whole_number"]

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What came back over HTTP. `is_closed`: the answer's body ended in order."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_closed: bool = True
    pieces: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def dropped(self) -> tuple[str, ...]:
        """What the header announces."""
        told = self.headers.get("x-farmgate-dropped", "")
        return tuple(filter(None, told.split(", ")))


class Surface:
    """One dialect that callers speak. Subclasses say how."""

    name: ClassVar[str]
    title: ClassVar[str]
    version: ClassVar[str]
    dialect: ClassVar[str]
    untold: ClassVar[Mapping[str, str]] = {}
    """What this dialect has no place for in an answer, with the reason."""
    unsaid: ClassVar[frozenset[Fact]] = frozenset()
    """What this dialect has no word for in a request, so that nobody can ask for it here."""

    last_words: ClassVar[int] = 1
    """How many events tell an error in a stream."""

    def path(self, *, stream: bool) -> str:
        raise NotImplementedError

    def headers(self) -> Mapping[str, str]:
        return {}

    def body(self, feature: Feature, model: str, *, stream: bool) -> Json:
        raise NotImplementedError

    def hear(self, answered: Answered, *, stream: bool) -> Heard:
        """What the answer says; an error in another shape than this dialect's is an AssertionError."""
        if answered.status != 200:
            return self.error(json.loads(answered.body))
        return self.streamed(answered) if stream else self.whole(json.loads(answered.body))

    def whole(self, told: Json) -> Heard:
        raise NotImplementedError

    def streamed(self, answered: Answered) -> Heard:
        raise NotImplementedError

    def error(self, told: Json) -> Heard:
        raise NotImplementedError

    def says(self, feature: Feature) -> frozenset[Fact]:
        """What a request for that feature says here."""
        return FACTS[feature] - self.unsaid


def value(fact: Fact) -> Any:
    return VALUES[fact]


def asks(feature: Feature, fact: Fact) -> bool:
    """Whether that feature's request says this."""
    return fact in FACTS[feature]


def events(body: bytes) -> Iterator[str]:
    """The data of each server-sent event. An event that was cut off is none."""
    for block in body.decode().split("\n\n")[:-1]:
        lines = [line.removeprefix("data:").removeprefix(" ") for line in block.split("\n") if line.startswith("data:")]
        if lines:
            yield "\n".join(lines)


def whole_number(told: Mapping[str, Any], *names: str) -> int:
    """A count within objects; 0 where it is not told."""
    found: Any = told
    for name in names:
        found = (found or {}).get(name)
    return int(found or 0)


def tokens(told: Json | None, prompt: str, completion: str, cached: str, reasoning: str) -> Tokens | None:
    """A usage object of OpenAI's kind."""
    if told is None:
        return None
    return Tokens(
        prompt=told[prompt],
        completion=told[completion],
        cached=whole_number(told, f"{prompt}_details", cached),
        reasoning=whole_number(told, f"{completion}_details", reasoning),
    )
