"""ConverseStream: messages of AWS's event stream, read as the pieces of one answer."""

from __future__ import annotations

import msgspec

from farmgate.core.errors import FarmError, UpstreamInvalidResponse
from farmgate.core.event import Event, Part, Reasoning, Text
from farmgate.wire.bedrock.errors import decode_exception
from farmgate.wire.bedrock.usage import ToldUsage, usage_of
from farmgate.wire.bedrock.words import ModelFields, ToldCitation, annotation_of, finish_of
from farmgate.wire.calls import CallNumbers
from farmgate.wire.eventstream import Message, Splitter
from farmgate.wire.upstream import messages_of, prove_end, proved, said_in

__all__ = ["StreamReader"]

SERVER_TOOL = "server_tool_use"


class ToolBegun(msgspec.Struct, rename="camel"):
    """A call begins."""

    tool_use_id: str
    name: str
    type: str | None = None


class ToolGoesOn(msgspec.Struct):
    """A piece of a call's arguments, as JSON text."""

    input: str = ""


class ThoughtGoesOn(msgspec.Struct, rename="camel"):
    """A piece of thinking, its proof, or what only its maker can read."""

    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class Start(msgspec.Struct, rename="camel"):
    """What kind of block begins, where that must be known."""

    tool_use: ToolBegun | None = None


class Delta(msgspec.Struct, rename="camel"):
    """What a block goes on with: one of these is there."""

    text: str | None = None
    tool_use: ToolGoesOn | None = None
    reasoning_content: ThoughtGoesOn | None = None
    citation: ToldCitation | None = None


class Told(msgspec.Struct, rename="camel"):
    """The payload of any event."""

    content_block_index: int | None = None
    start: Start | None = None
    delta: Delta | None = None
    stop_reason: str | None = None
    additional_model_response_fields: ModelFields | None = None
    usage: ToldUsage | None = None


decode_told = msgspec.json.Decoder(Told).decode


class StreamReader:
    """Reads one stream: bytes in, events out, and whether the answer came to its end.

    Complete means: `messageStop` came. The usage follows it, in `metadata`, and ends the stream.
    """

    __slots__ = ("_calls", "_has_stopped", "_model", "_provider", "_splitter", "failure", "is_done")

    def __init__(self, *, provider: str, model: str = "", frame_bytes: int = 8 << 20) -> None:
        self._splitter = Splitter(frame_bytes)
        self._provider = provider
        self._model = model
        self._calls = CallNumbers()
        self._has_stopped = False
        self.is_done = False
        self.failure: FarmError | None = None
        """What broke the stream behind pieces that are still to be relayed; `end` raises it."""

    def feed(self, data: bytes) -> Event | None:
        """What `data` completes, in one event; None if nothing. Raises FarmError for an exception or nonsense."""
        return said_in(messages_of(self._splitter, data, self, provider=self._provider), self._parts, self)

    def end(self) -> Event | None:
        """The stream ended. Raises what broke it, or UpstreamStreamTruncated unless the answer is whole."""
        prove_end(self, is_whole=self._has_stopped, provider=self._provider)
        return None

    def _parts(self, message: Message) -> list[Part]:
        headers = message.headers
        kind = headers.get(":message-type")
        if kind != "event" and self._has_stopped:
            self.is_done = True  # The answer is whole, whatever is said behind it.
            return []
        match kind:
            case "event":
                return self._event(headers.get(":event-type", ""), message.payload)
            case "exception":
                name = headers.get(":exception-type", "")
                raise decode_exception(name, message.payload, provider=self._provider, model=self._model)
            case "error":
                told = msgspec.json.encode({"message": headers.get(":error-message", "")})
                raise decode_exception(headers.get(":error-code", ""), told, provider=self._provider, model=self._model)
        raise UpstreamInvalidResponse(f"{self._provider} sent a message that says not what it is.")

    def _event(self, kind: str, payload: bytes) -> list[Part]:
        told = proved(payload, decode_told, self._provider, "sent an event that is no piece of an answer")
        match kind:
            case "contentBlockDelta":
                return [] if told.delta is None else self._delta(told.delta, told.content_block_index or 0)
            case "contentBlockStart":
                return self._start(told)
            case "contentBlockStop":
                return [*self._calls.end(told.content_block_index or 0)]
            case "messageStop":
                self._has_stopped = True
                fields = told.additional_model_response_fields
                return [finish_of(told.stop_reason or "", fields, provider=self._provider)]
            case "metadata":
                self.is_done = self._has_stopped
                usage = usage_of(told.usage)
                return [] if usage is None else [usage]
        return []  # messageStart, and what may come to be.

    def _start(self, told: Told) -> list[Part]:
        begun = told.start.tool_use if told.start else None
        if begun is None or begun.type == SERVER_TOOL:
            return []
        return [self._calls.begin(told.content_block_index or 0, id=begun.tool_use_id, name=begun.name)]

    def _delta(self, delta: Delta, block: int) -> list[Part]:
        if delta.text:
            return [Text(delta.text)]
        if delta.tool_use is not None:
            return [*self._calls.go_on(block, delta.tool_use.input)]
        if (thought := delta.reasoning_content) is not None:
            if thought.text:
                return [Reasoning(thought.text)]
            if thought.signature:
                return [Reasoning("", signature=thought.signature)]
            return [Reasoning("", redacted=thought.redacted_content)] if thought.redacted_content else []
        annotation = annotation_of(delta.citation) if delta.citation else None
        return [] if annotation is None else [annotation]
