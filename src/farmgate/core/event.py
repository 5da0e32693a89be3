"""What one piece of an answer says: the words of answers, and the Event that carries them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from farmgate.core.request import Dialect

__all__ = [
    "Annotation",
    "Event",
    "Finish",
    "FinishReason",
    "Logprobs",
    "Part",
    "Ranked",
    "Reasoning",
    "Refusal",
    "Said",
    "Text",
    "ToolDelta",
    "Usage",
    "Vector",
]


class FinishReason(StrEnum):
    """Why a model stopped, in OpenAI's words."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer; `choice` counts from 0 where several answers were asked for."""

    text: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of the model's thinking.

    `signature` is the provider's proof of it, `redacted` thinking only the provider can read; both come whole, with an
    empty text.
    """

    text: str
    choice: int = 0
    signature: str | None = None
    redacted: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A piece of a refusal to answer."""

    text: str
    choice: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolDelta:
    """A piece of a tool call: `id` and `name` on its first piece, `arguments` as JSON text in pieces.

    `signature` is the provider's proof of the thinking that led to it.
    """

    index: int
    arguments: str = ""
    id: str | None = None
    name: str | None = None
    choice: int = 0
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class Logprobs:
    """Log probabilities of a piece's tokens, as OpenAI writes each: `{"token", "logprob", "bytes", "top_logprobs"}`."""

    tokens: tuple[Mapping[str, object], ...]
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Annotation:
    """What a piece of text rests on, as OpenAI writes it: `{"type": "url_citation", "url_citation": {...}}`."""

    data: Mapping[str, object]
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Finish:
    """One answer is complete. `stop`: the stop sequence that ended it, where the provider tells."""

    reason: FinishReason = FinishReason.STOP
    choice: int = 0
    stop: str | None = None


@dataclass(frozen=True, slots=True)
class Vector:
    """One input's embedding."""

    values: tuple[float, ...]
    index: int = 0


@dataclass(frozen=True, slots=True)
class Ranked:
    """How well one document answers the query; `index` is its place among those that were sent."""

    index: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens used. `estimated` marks figures no provider gave.

    `prompt_tokens` includes what was read from (`cached_tokens`) and written to (`cache_write_tokens`) the provider's
    cache; `completion_tokens` includes `reasoning_tokens`.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


Said: TypeAlias = Text | Reasoning | Refusal | ToolDelta | Logprobs | Annotation | Finish
"""What one of several answers says."""
Part: TypeAlias = Said | Vector | Ranked | Usage

CONTENT = (Text, Reasoning, Refusal, ToolDelta, Vector, Ranked)


class Event:
    """What one piece of an answer says.

    `raw` holds whole frames of `dialect`, relayed untouched to a caller who speaks the same dialect; a subclass
    in `wire/` decodes `parts` on demand. `bears_content` tells text, tool calls, thinking, refusals and vectors
    from role-only frames, pings and bookkeeping.
    """

    __slots__ = ("bears_content", "dialect", "raw", "said", "usage")

    def __init__(
        self,
        parts: tuple[Part, ...] = (),
        *,
        raw: bytes = b"",
        dialect: Dialect = Dialect.TYPED,
        bears_content: bool | None = None,
        usage: Usage | None = None,
    ) -> None:
        self.said = parts
        self.raw = raw
        self.dialect = dialect
        if bears_content is None:
            bears_content = any(isinstance(part, CONTENT) for part in parts)
        self.bears_content = bears_content
        if usage is None:
            usage = next((part for part in parts if isinstance(part, Usage)), None)
        self.usage = usage

    @property
    def parts(self) -> tuple[Part, ...]:
        """The words in it."""
        return self.said
