"""ConverseStream: messages of AWS's event stream, read as the pieces of one answer."""

from __future__ import annotations

import msgspec

from farmgate.core.errors import FarmError, UpstreamInvalidResponse, UpstreamStreamTruncated
from farmgate.core.reply import Event, Part, Reasoning, Text, ToolDelta
from farmgate.wire.bedrock.errors import decode_exception
from farmgate.wire.bedrock.usage import ToldUsage, usage_of
from farmgate.wire.bedrock.words import ModelFields, ToldCitation, annotation_of, finish_of
from farmgate.wire.eventstream import Garbled, Message, MessageTooLarge, Splitter

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

    __slots__ = ("_calls", "_has_stopped", "_model", "_provider", "_splitter", "_unsaid", "failure", "is_done")

    def __init__(self, *, provider: str, model: str = "", frame_bytes: int = 8 << 20) -> None:
        self._splitter = Splitter(frame_bytes)
        self._provider = provider
        self._model = model
        self._calls: dict[int, int] = {}
        self._unsaid: set[int] = set()
        self._has_stopped = False
        self.is_done = False
        self.failure: FarmError | None = None
        """What broke the stream behind pieces that are still to be relayed; `end` raises it."""

    def feed(self, data: bytes) -> Event | None:
        """What `data` completes, in one event; None if nothing. Raises FarmError for an exception or nonsense."""
        try:
            messages = self._splitter.feed(data)
        except Garbled as error:
            raise UpstreamInvalidResponse(f"{self._provider} sent a garbled stream: {error}.") from error
        except MessageTooLarge as error:
            raise UpstreamInvalidResponse(f"{self._provider} sent a message larger than the limit.") from error
        parts: list[Part] = []
        for message in messages:
            if self.is_done:
                break
            try:
                parts += self._parts(message)
            except FarmError as error:
                if not parts:
                    raise
                self.failure, self.is_done = error, True
        return Event(tuple(parts)) if parts else None

    def end(self) -> Event | None:
        """The stream ended. Raises what broke it, or UpstreamStreamTruncated unless the answer is whole."""
        if self.failure is not None:
            raise self.failure
        if not self._has_stopped:
            raise UpstreamStreamTruncated(
                f"{self._provider}'s stream ended before the answer did: what came is not the whole answer."
            )
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
        try:
            if not payload.isascii():
                payload.decode()
            told = decode_told(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UpstreamInvalidResponse(f"{self._provider} sent an event that is no piece of an answer.") from error
        match kind:
            case "contentBlockDelta":
                return [] if told.delta is None else self._delta(told.delta, told.content_block_index or 0)
            case "contentBlockStart":
                return self._start(told)
            case "contentBlockStop":
                return self._stop(told.content_block_index or 0)
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
        block = told.content_block_index or 0
        index = self._calls.setdefault(block, len(self._calls))
        self._unsaid.add(block)
        return [ToolDelta(index=index, id=begun.tool_use_id, name=begun.name)]

    def _delta(self, delta: Delta, block: int) -> list[Part]:
        if delta.text:
            return [Text(delta.text)]
        if delta.tool_use is not None and block in self._calls and delta.tool_use.input:
            self._unsaid.discard(block)
            return [ToolDelta(index=self._calls[block], arguments=delta.tool_use.input)]
        if (thought := delta.reasoning_content) is not None:
            if thought.text:
                return [Reasoning(thought.text)]
            if thought.signature:
                return [Reasoning("", signature=thought.signature)]
            return [Reasoning("", redacted=thought.redacted_content)] if thought.redacted_content else []
        annotation = annotation_of(delta.citation) if delta.citation else None
        return [] if annotation is None else [annotation]

    def _stop(self, block: int) -> list[Part]:
        """A call without a piece of arguments is one without arguments: an empty object, as JSON has it."""
        if block not in self._unsaid:
            return []
        self._unsaid.discard(block)
        return [ToolDelta(index=self._calls[block], arguments="{}")]
