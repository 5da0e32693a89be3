"""The words of the fault matrix: what is asked how, what a caller was left with, what should have come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from tests.faults.rig import Rig

__all__ = [
    "COMBOS",
    "Answered",
    "Check",
    "Combo",
    "Expected",
    "Fault",
    "Kind",
    "Outcome",
    "Row",
    "Special",
    "Surface",
    "broken",
    "refused",
    "whole",
]


class Surface(StrEnum):
    """What a caller asks for."""

    CHAT = "chat"
    MESSAGES = "messages"
    RESPONSES = "responses"
    EMBEDDINGS = "embeddings"


FIRST_TEXT = {Surface.CHAT: 1, Surface.MESSAGES: 3, Surface.RESPONSES: 4, Surface.EMBEDDINGS: 0}
"""The frame of the mock's stream that holds the first text."""


@dataclass(frozen=True)
class Combo:
    """One way to ask. `falls_back`: whether a second provider, which is well, stands behind the first."""

    surface: Surface
    streams: bool
    falls_back: bool

    def __str__(self) -> str:
        return f"{self.surface} {'stream' if self.streams else 'whole'}{' +fallback' if self.falls_back else ''}"

    def place(self, fault: str) -> str:
        """A fault with its places filled in: `{role}` is behind what opens a stream, `{mid}` within its text. What
        comes whole has two frames, its halves."""
        first = FIRST_TEXT[self.surface]
        return fault.format(role=first, mid=first + 2) if self.streams else fault.format(role=1, mid=1)


COMBOS: list[Combo] = [
    Combo(surface, streams, falls_back)
    for surface in Surface
    for streams in (True, False)
    for falls_back in (True, False)
    if not (streams and surface is Surface.EMBEDDINGS)
]


class Kind(StrEnum):
    """What a caller was left with, as its SDK tells it. Everything behind BROKEN is always wrong."""

    WHOLE = "whole"
    REFUSED = "refused"
    """An error with an HTTP status, before anything of an answer."""
    BROKEN = "broken"
    """The beginning of an answer, then an error that the SDK raises with its code."""
    CUT = "cut"
    """The connection broke: an error, but one that tells nothing."""
    SILENT = "SILENT"
    """No error, and not the answer."""
    ODD = "ODD"
    """Something an application is not prepared for: a decoder's error, a field that is None."""


@dataclass
class Outcome:
    """`raw` is all that came of the answer's body; `said` what the SDK's error says."""

    kind: Kind = Kind.ODD
    pieces: list[str] = field(default_factory=list)
    status: int | None = None
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes = b""
    said: str = ""
    took_s: float = 0.0

    @property
    def text(self) -> str:
        """All that was said."""
        return "".join(self.pieces)

    def __str__(self) -> str:
        told = " ".join(str(one) for one in (self.kind.value, self.status, self.code) if one is not None)
        return f"{told} {self.said[:160]}".strip()


@dataclass(frozen=True)
class Expected:
    """What should have come of a case. `calls`: of the first provider and of the one that is well; None: anything."""

    kinds: tuple[Kind, ...]
    status: int | None = None
    codes: tuple[str, ...] = ()
    calls: tuple[int, int] | None = None
    text: Callable[[str], str] | None = None
    """What is said to a marker, where it is not what the mock says by itself."""
    within_s: float | None = None
    rows: int | None = None
    """Records in the journal, where they are not as many as calls."""


Check: TypeAlias = "Callable[[Answered], str | None]"
"""What else must hold of a case: what is wrong, or None."""


@dataclass(frozen=True)
class Answered:
    """A case that was asked. `model` is unique, so that calls and records can be told apart by it."""

    rig: Rig
    combo: Combo
    model: str
    marker: str
    outcome: Outcome


def always(_: Combo) -> bool:
    return True


@dataclass(frozen=True)
class Fault:
    """What is injected, in the name of the mock's model or by asking another `provider`, and what must come of it."""

    inject: str
    expect: Callable[[Combo], Expected]
    applies: Callable[[Combo], bool] = always
    provider: str = "first"
    check: Check | None = None
    peers: bool = True
    """Whether it can be shown to a peer: the mock alone makes it."""
    is_of_dialect: bool = False
    """Whether what must come of it depends on the dialect the provider is asked in: peers are asked for chats only."""

    def cases(self) -> Iterator[Combo]:
        return (combo for combo in COMBOS if self.applies(combo))


class Special(Protocol):
    """A case of its own: says what is wrong, one line each."""

    async def __call__(self, rig: Rig) -> list[str]: ...


@dataclass(frozen=True)
class Row:
    """One row of the matrix. `waits`: for what it waits, where it cannot be tried yet."""

    number: int
    name: str
    faults: tuple[Fault, ...] = ()
    specials: tuple[tuple[str, Special], ...] = ()
    waits: str = ""
    is_quick: bool = False
    """Whether it is among those that `make test` tries."""
    takes: str = ""
    """How the times of the original are scaled, or what else a reader should know."""


# ------------------------------------------------------------------------------------------ what should come


def whole(
    calls: tuple[int, int] = (1, 0), *, text: Callable[[str], str] | None = None, rows: int | None = None
) -> Expected:
    """All of the answer."""
    return Expected((Kind.WHOLE,), calls=calls, text=text, rows=rows)


def refused(status: int, *codes: str, calls: tuple[int, int]) -> Expected:
    """An error with a status."""
    return Expected((Kind.REFUSED,), status=status, codes=codes, calls=calls)


def broken(*codes: str, calls: tuple[int, int] = (1, 0)) -> Expected:
    """The beginning, and an error that says so."""
    return Expected((Kind.BROKEN,), codes=codes, calls=calls)
