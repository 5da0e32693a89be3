"""What is asked: a Request on its way.

A Request carries its Body in the dialect it came in. A provider of the same dialect forwards those bytes;
any other asks the Body for the typed words, which are decoded once.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from farmgate.core.identity import Principal
from farmgate.core.words import Ask

__all__ = ["Body", "Dialect", "Kind", "Request", "Typed"]


class Kind(StrEnum):
    """What kind of answer is wanted."""

    CHAT = "chat"
    COMPLETION = "completion"
    EMBEDDING = "embedding"
    RERANK = "rerank"
    MODERATION = "moderation"
    IMAGE = "image"
    SPEECH = "speech"
    TRANSCRIPTION = "transcription"

    # Enum's own hash is a Python function, and kinds are keys on the hot path.
    __hash__ = str.__hash__


class Dialect(StrEnum):
    """The wire formats bytes may be in. TYPED means: no bytes, only words."""

    OPENAI = "openai"
    RESPONSES = "responses"
    ANTHROPIC = "anthropic"
    OLLAMA = "ollama"
    GEMINI = "gemini"
    BEDROCK = "bedrock"
    COHERE = "cohere"
    TRITON = "triton"
    TYPED = "typed"


class Body(Protocol):
    """What was asked, in the dialect it came in.

    `model`, `stream` and `want_usage` (a stream should show its usage) are as the caller said.
    """

    @property
    def dialect(self) -> Dialect: ...

    @property
    def model(self) -> str | None: ...

    @property
    def stream(self) -> bool: ...

    @property
    def want_usage(self) -> bool: ...

    @property
    def raw(self) -> bytes:
        """The bytes as they came; empty for a typed body."""

    @property
    def fields(self) -> Mapping[str, object]:
        """The decoded top-level object; empty for a typed body."""

    def ask(self) -> Ask:
        """The typed words, decoded on the first call. Raises a BadRequest that names the field."""

    def own_name(self, param: str) -> str:
        """The caller's own name for a field that is called `param` in our words (which are OpenAI's)."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A Body that was never bytes: our own API, the command line, tests."""

    words: Ask
    dialect: Dialect = Dialect.TYPED
    raw: bytes = b""
    fields: Mapping[str, object] = field(default_factory=dict)
    model: str | None = None
    stream: bool = False
    want_usage: bool = False

    def ask(self) -> Ask:
        """The words themselves."""
        return self.words

    def own_name(self, param: str) -> str:
        """The same name: there is no other."""
        return param


class Request:
    """One request on its way. Never changed: routing makes a new one with `to()`.

    A plain class because one is built per request on the hot path; a frozen dataclass costs three times as much.
    """

    __slots__ = (
        "asked_id",
        "body",
        "deadline",
        "id",
        "is_batch",
        "kind",
        "model",
        "principal",
        "provider",
        "started",
        "stream",
        "want_usage",
    )

    def __init__(
        self,
        *,
        id: str,
        kind: Kind,
        body: Body,
        principal: Principal,
        deadline: float,
        started: float,
        model: str | None = None,
        provider: str | None = None,
        stream: bool = False,
        want_usage: bool = False,
        asked_id: str | None = None,
        is_batch: bool = False,
    ) -> None:
        """`deadline` is on the event loop's clock, `started` on `time.monotonic`, both in seconds.

        `model` and `provider` are as the caller named them until routing has decided; `want_usage` says whether a
        stream should show its usage; `asked_id` is the caller's own name for the request.
        `is_batch`: nobody waits for its answer, so that it may wait for others.
        """
        self.id = id
        self.kind = kind
        self.body = body
        self.principal = principal
        self.deadline = deadline
        self.started = started
        self.model = model
        self.provider = provider
        self.stream = stream
        self.want_usage = want_usage
        self.asked_id = asked_id
        self.is_batch = is_batch

    def to(self, *, provider: str, model: str, call: int = 1, waited_s: float = 0.0) -> Request:
        """The same request, addressed to one provider's model. `call` counts from 1; each has an id of its own.

        `waited_s`: for how long others were waited for before, which is none of the gate's own time.
        """
        # Passing all of it by name costs twice as much.
        addressed = Request.__new__(Request)
        addressed.id = self.id if call == 1 else f"{self.id}.{call}"
        addressed.kind = self.kind
        addressed.body = self.body
        addressed.principal = self.principal
        addressed.deadline = self.deadline
        addressed.started = self.started + waited_s
        addressed.model = model
        addressed.provider = provider
        addressed.stream = self.stream
        addressed.want_usage = self.want_usage
        addressed.asked_id = self.asked_id
        addressed.is_batch = self.is_batch
        return addressed

    def later(self, waited_s: float) -> Request:
        """The same request; it waited so long for its turn, which is none of the gate's own time."""
        same = copy(self)
        same.started = self.started + waited_s
        return same
