"""What is asked: a Request on its way, and the typed words of each kind of ask.

A Request carries its Body in the dialect it came in. A provider of the same dialect forwards those bytes;
any other asks the Body for the typed words, which are decoded once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeAlias

from farmgate.core.identity import Principal

__all__ = [
    "Ask",
    "Body",
    "Chat",
    "Complete",
    "Content",
    "ContentPart",
    "Dialect",
    "Embed",
    "ImagePart",
    "Kind",
    "Message",
    "OtherPart",
    "Request",
    "Role",
    "Sampling",
    "TextPart",
    "Tool",
    "ToolUse",
    "Typed",
]


class Kind(StrEnum):
    """What kind of answer is wanted."""

    CHAT = "chat"
    COMPLETION = "completion"
    EMBEDDING = "embedding"

    # Enum's own hash is a Python function, and kinds are keys on the hot path.
    __hash__ = str.__hash__


class Dialect(StrEnum):
    """The wire formats bytes may be in. TYPED means: no bytes, only words."""

    OPENAI = "openai"
    OLLAMA = "ollama"
    TYPED = "typed"


class Role(StrEnum):
    """Who speaks in a conversation."""

    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPart:
    """A piece of text in a message."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePart:
    """An image, as a `data:` URL or an address. Farmgate never fetches it."""

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherPart:
    """A content part without a typed form yet (audio, file): `data` is its JSON as it came."""

    kind: str
    data: Mapping[str, object]


ContentPart: TypeAlias = TextPart | ImagePart | OtherPart
Content: TypeAlias = str | tuple[ContentPart, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """A tool call the assistant made; `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn. `tool_call_id` says which call a `tool` message answers."""

    role: Role
    content: Content = None
    name: str | None = None
    tool_uses: tuple[ToolUse, ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function the model may call; `parameters` is a JSON schema."""

    name: str
    description: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to pick tokens. None means: the provider's own default."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """A conversation to continue. `response_format`, `tool_choice` and `extra` are OpenAI's JSON."""

    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    tools: tuple[Tool, ...] = ()
    tool_choice: object = None
    response_format: Mapping[str, object] | None = None
    reasoning_effort: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    """A text to continue. `extra` is OpenAI's JSON."""

    prompt: str
    suffix: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Embed:
    """Texts to turn into vectors; `dimensions` shortens the vectors where the model can."""

    inputs: tuple[str, ...]
    dimensions: int | None = None
    extra: Mapping[str, object] = field(default_factory=dict)


Ask: TypeAlias = Chat | Complete | Embed


class Body(Protocol):
    """What was asked, in the dialect it came in."""

    @property
    def dialect(self) -> Dialect: ...

    @property
    def raw(self) -> bytes:
        """The bytes as they came; empty for a typed body."""

    @property
    def fields(self) -> Mapping[str, object]:
        """The decoded top-level object; empty for a typed body."""

    def ask(self) -> Ask:
        """The typed words, decoded on the first call. Raises a BadRequest that names the field."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A Body that was never bytes: our own API, the command line, tests."""

    words: Ask
    dialect: Dialect = Dialect.TYPED
    raw: bytes = b""
    fields: Mapping[str, object] = field(default_factory=dict)

    def ask(self) -> Ask:
        """The words themselves."""
        return self.words


class Request:
    """One request on its way. Never changed: routing makes a new one with `to()`.

    A plain class because one is built per request on the hot path; a frozen dataclass costs three times as much.
    """

    __slots__ = (
        "asked_id",
        "body",
        "deadline",
        "id",
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
    ) -> None:
        """`deadline` is on the event loop's clock, `started` on `time.monotonic`, both in seconds.

        `model` and `provider` are as the caller named them until routing has decided; `want_usage` says whether a
        stream should show its usage; `asked_id` is the caller's own name for the request.
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

    def to(self, *, provider: str, model: str) -> Request:
        """The same request, addressed to one provider's model."""
        return Request(
            id=self.id,
            kind=self.kind,
            body=self.body,
            principal=self.principal,
            deadline=self.deadline,
            started=self.started,
            model=model,
            provider=provider,
            stream=self.stream,
            want_usage=self.want_usage,
            asked_id=self.asked_id,
        )
