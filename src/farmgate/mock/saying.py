"""What an answer says, before any dialect gives it a form; a dialect is a Voice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from farmgate.mock.asks import Ask
from farmgate.mock.plan import Plan
from farmgate.mock.text import DEFAULT_FRAMES, echoed, echoed_pieces, marker_in, pieces

__all__ = ["Frame", "Saying", "Trouble", "Voice", "encode_usage"]

HUGE = 10**18


@dataclass(frozen=True, slots=True)
class Frame:
    """One event of a stream, before it is bytes."""

    data: bytes
    event: str | None = None
    is_text: bool = False
    tells_finish: bool = False
    tells_usage: bool = False
    is_done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """An error, before any dialect gives it a form."""

    status: int
    message: str
    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """One answer. `number` is the call's; with `now` (seconds since 1970) it makes ids of one length."""

    ask: Ask
    plan: Plan
    number: int
    now: float

    @property
    def id(self) -> str:
        return f"{self.number:012d}"

    @property
    def model(self) -> str:
        return self.ask.model or "mock"

    def pieces(self) -> Iterator[str]:
        """The text. A piece counts as a token: no more than the caller wants."""
        plan, prompt = self.plan, self.ask.prompt
        if plan.echo:
            said = echoed(prompt, size=plan.size)
        else:
            frames = DEFAULT_FRAMES if plan.frames is None else plan.frames
            said = pieces(marker_in(prompt), frames, size=plan.size, unicode=plan.unicode)
        for at, text in enumerate(islice(said, self.ask.max_tokens)):
            yield ("x" * plan.huge if plan.huge and at == 0 else text)

    def endless(self) -> Iterator[str]:
        return pieces(marker_in(self.ask.prompt), None, size=self.plan.size, unicode=self.plan.unicode)

    @property
    def wanted(self) -> int:
        """How many pieces there are to say."""
        if self.plan.echo:
            return echoed_pieces(self.ask.prompt, size=self.plan.size)
        return DEFAULT_FRAMES if self.plan.frames is None else self.plan.frames

    @property
    def tokens(self) -> int:
        """How many are said."""
        return min(self.wanted, self.ask.max_tokens or self.wanted)

    @property
    def finish(self) -> str:
        """`stop`, `length` or `filter`."""
        return self.plan.finish or ("length" if self.tokens < self.wanted else "stop")


def encode_usage(how: str | None, figures: Mapping[str, int]) -> dict[str, object] | None:
    """What is told of an answer's cost: the truth, or the lie that `how` names. `{}`: nothing at all."""
    match how:
        case "missing":
            return {}
        case "null":
            return None
        case "negative":
            return {name: -value for name, value in figures.items()}
        case "huge":
            return dict.fromkeys(figures, HUGE)
        case "text":
            return dict.fromkeys(figures, "many")
        case _:
            return dict(figures)


class Voice(Protocol):
    """One dialect's form."""

    stream_type: str

    def frames(self, saying: Saying) -> Iterator[Frame]:
        """The whole stream."""

    def whole(self, saying: Saying) -> object:
        """The answer in one object."""

    def text_frame(self, saying: Saying, text: str) -> Frame:
        """A frame in the middle."""

    def trouble(self, trouble: Trouble, saying: Saying) -> object:
        """The body of an error."""

    def trouble_frame(self, trouble: Trouble, saying: Saying) -> Frame:
        """An error in a stream."""

    def hollow(self, saying: Saying) -> object:
        """A proper answer with nothing in it."""
