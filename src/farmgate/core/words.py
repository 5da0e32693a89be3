"""The words of each kind of ask: a conversation, a text, texts to embed, documents to rank. No dialect, no bytes.

Every dialect is read into these words and written from them. What a caller's dialect says beyond them travels in
`extra`, under that dialect's own names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

__all__ = [
    "Ask",
    "AudioPart",
    "CacheMark",
    "Chat",
    "Complete",
    "Content",
    "ContentPart",
    "Embed",
    "FilePart",
    "FormatKind",
    "HostedTool",
    "ImagePart",
    "Message",
    "OtherPart",
    "Rerank",
    "ResponseFormat",
    "Role",
    "Sampling",
    "TextPart",
    "Thinking",
    "ThinkingPart",
    "Tool",
    "ToolChoice",
    "ToolMode",
    "ToolUse",
    "parts_of",
]


class Role(StrEnum):
    """Who speaks in a conversation."""

    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheMark:
    """Up to here the prompt should be cached by the provider; `ttl` as Anthropic writes it (`5m`, `1h`)."""

    ttl: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPart:
    """A piece of text in a message."""

    text: str
    cache: CacheMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePart:
    """An image, as a `data:` URL or an address. Farmgate never fetches it. `detail`: OpenAI's low, high or auto."""

    url: str
    detail: str | None = None
    cache: CacheMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioPart:
    """Sound: base64, and its container (`wav`, `mp3`)."""

    data: str
    format: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePart:
    """A document: base64 in `data`, an address, a provider's id for it, or plain text. One of the four is there."""

    data: str | None = None
    url: str | None = None
    id: str | None = None
    text: str | None = None
    media_type: str = "application/pdf"
    name: str | None = None
    cache: CacheMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkingPart:
    """What an assistant thought in an earlier turn, to be given back to the provider it came from.

    `signature` is that provider's proof; `redacted` is thinking only the provider can read, with an empty text.
    """

    text: str = ""
    signature: str | None = None
    redacted: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherPart:
    """A content part without a typed form: `data` is its JSON as it came, in the caller's dialect."""

    kind: str
    data: Mapping[str, object]


ContentPart: TypeAlias = TextPart | ImagePart | AudioPart | FilePart | ThinkingPart | OtherPart
Content: TypeAlias = str | tuple[ContentPart, ...] | None


def parts_of(content: Content) -> tuple[ContentPart, ...]:
    """The parts of a content that may be one text, or nothing."""
    if content is None:
        return ()
    return (TextPart(text=content),) if isinstance(content, str) else content


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """A tool call the assistant made; `arguments` is JSON text; `signature` is the provider's proof of its thinking."""

    id: str
    name: str
    arguments: str
    signature: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn. `tool_call_id` says which call a `tool` message answers, `is_error` that the tool failed.

    `place` is where the caller wrote it (`messages[3]`), for errors; empty where that is its index.
    """

    role: Role
    content: Content = None
    name: str | None = None
    tool_uses: tuple[ToolUse, ...] = ()
    tool_call_id: str | None = None
    is_error: bool = False
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function the model may call; `parameters` is a JSON schema."""

    name: str
    description: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    strict: bool | None = None
    cache: CacheMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedTool:
    """A tool the provider runs itself (web search, code). `data` is its JSON in the caller's dialect."""

    kind: str
    data: Mapping[str, object]


class ToolMode(StrEnum):
    """AUTO: the model decides; REQUIRED: it must call one; NAMED: it must call the one that is named."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    NAMED = "named"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolChoice:
    """Whether tools are called; `name` with NAMED only."""

    mode: ToolMode
    name: str | None = None


class FormatKind(StrEnum):
    """The form an answer must have."""

    TEXT = "text"
    JSON = "json"
    SCHEMA = "schema"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseFormat:
    """The form an answer must have; the other fields with SCHEMA only."""

    kind: FormatKind
    schema: Mapping[str, object] = field(default_factory=dict)
    name: str = "answer"
    description: str | None = None
    strict: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """How much to think before answering. `is_enabled` None: the model's own habit.

    `effort` is a word (none, minimal, low, medium, high, xhigh, max); `is_shown`: thoughts are part of the answer.
    """

    is_enabled: bool | None = None
    effort: str | None = None
    budget_tokens: int | None = None
    is_shown: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to pick tokens. None means: the provider's own default.

    `count`: how many answers; `top_logprobs`: log probabilities wanted, with so many alternatives.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    count: int = 1
    top_logprobs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """A conversation to continue. `parallel_tools`: several calls in one turn are welcome."""

    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    tools: tuple[Tool | HostedTool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tools: bool | None = None
    response_format: ResponseFormat | None = None
    thinking: Thinking | None = None
    user: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    """A text to continue."""

    prompt: str
    suffix: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    user: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Embed:
    """Texts to turn into vectors; `dimensions` shortens the vectors where the model can."""

    inputs: tuple[str, ...]
    dimensions: int | None = None
    user: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerank:
    """Documents to order by how well they answer a query; `most`: only the best so many."""

    query: str
    documents: tuple[str, ...]
    most: int | None = None
    extra: Mapping[str, object] = field(default_factory=dict)


Ask: TypeAlias = Chat | Complete | Embed | Rerank
