"""Anthropic's streams, read from a provider: relayed as they came, never taken for whole when they are cut off."""

from __future__ import annotations

import msgspec

from farmgate.core.errors import FarmError, UpstreamInvalidResponse, UpstreamStreamTruncated
from farmgate.core.reply import Event, Part, Reasoning, Text, ToolDelta, Usage
from farmgate.core.request import Dialect
from farmgate.wire.anthropic.errors import decode_told_error
from farmgate.wire.anthropic.usage import ToldUsage, decode_usage
from farmgate.wire.anthropic.words import Told, ToldBlock, ToldDelta, annotation, arguments, decode_told, finish_of
from farmgate.wire.sse import FrameTooLarge, Splitter

__all__ = ["Frames", "StreamReader", "event_frame"]

ANTHROPIC = Dialect.ANTHROPIC
QUIET = ("text", "thinking", "")
"""Blocks whose beginning says nothing yet."""


def event_frame(name: str, data: bytes) -> bytes:
    """One event; `data` must be a single line."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


class Frames(Event):
    """Whole events as they came from a provider of this dialect."""

    __slots__ = ()

    def __init__(self, raw: bytes, parts: tuple[Part, ...], *, bears_content: bool, usage: Usage | None) -> None:
        self.raw = raw
        self.said = parts
        self.dialect = ANTHROPIC
        self.bears_content = bears_content
        self.usage = usage


class StreamReader:
    """Reads one stream of a provider: bytes in, events out, and whether the answer came to its end: `message_stop`."""

    __slots__ = ("_begun", "_model", "_provider", "_splitter", "_tools", "_unsaid", "_usage", "failure", "is_done")

    def __init__(self, *, provider: str, model: str = "", frame_bytes: int = 8 << 20) -> None:
        self._splitter = Splitter(frame_bytes, joint=b" ")
        self._provider = provider
        self._model = model
        self._begun: ToldUsage | None = None
        self._usage: ToldUsage | None = None
        self._tools: dict[int, int] = {}
        """The number of each call, by the index of its block."""
        self._unsaid: set[int] = set()
        """Blocks of calls without arguments so far."""
        self.is_done = False
        self.failure: FarmError | None = None
        """What broke the stream behind events that are still to be relayed; `end` raises it."""

    def feed(self, data: bytes) -> Event | None:
        """What `data` completes, in one event; None if nothing. Raises FarmError for an error event or nonsense."""
        try:
            payloads = self._splitter.feed(data)
        except FrameTooLarge as error:
            raise UpstreamInvalidResponse(f"{self._provider} sent an event larger than the limit.") from error
        kept: list[bytes] = []
        parts: list[Part] = []
        content = False
        for payload in payloads:
            if self.is_done:
                break
            try:
                told = self._look(payload)
            except FarmError as error:
                if not kept:
                    raise
                self.failure, self.is_done = error, True
                break
            kept.append(event_frame(told.type, payload))
            content = self._note(told, parts) or content
        if not kept:
            return None
        usage = parts[-1] if parts and isinstance(parts[-1], Usage) else None
        return Frames(b"".join(kept), tuple(parts), bears_content=content, usage=usage)

    def end(self) -> Event | None:
        """The stream ended. Raises what broke it, or UpstreamStreamTruncated unless the answer is whole."""
        if self.failure is not None:
            raise self.failure
        if not self.is_done:
            raise UpstreamStreamTruncated(
                f"{self._provider}'s stream ended before the answer did: what came is not the whole answer."
            )
        return None

    def _look(self, payload: bytes) -> Told:
        try:
            if not payload.isascii():
                payload.decode()
            told = decode_told(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UpstreamInvalidResponse(f"{self._provider} sent an event that is no piece of an answer.") from error
        if told.type == "error":
            raise decode_told_error(payload, provider=self._provider, model=self._model)
        if not told.type.isidentifier() or not told.type.isascii():
            raise UpstreamInvalidResponse(f"{self._provider} sent an event without a proper name.")
        return told

    def _note(self, told: Told, parts: list[Part]) -> bool:
        """Add what an event says to `parts`; whether it bears content."""
        match told.type:
            case "content_block_delta":
                if told.delta is not None:
                    self._add(told.index, told.delta, parts)
                return True
            case "content_block_start":
                block = told.content_block or ToldBlock()
                self._begin(told.index, block, parts)
                return block.type not in QUIET or bool(parts)
            case "content_block_stop":
                if told.index in self._unsaid:
                    self._unsaid.discard(told.index)
                    parts.append(ToolDelta(index=self._tools[told.index], arguments="{}"))
            case "message_start":
                self._begun = told.message.usage if told.message else None
            case "message_delta":
                self._usage = told.usage or self._usage
                if told.delta is not None and told.delta.stop_reason:
                    parts.append(finish_of(told.delta.stop_reason, told.delta.stop_sequence))
            case "message_stop":
                self.is_done = True
                usage = decode_usage(self._usage, self._begun)
                parts += [usage] if usage else []
        return False

    def _begin(self, index: int, block: ToldBlock, parts: list[Part]) -> None:
        if block.type == "tool_use":
            number = self._tools[index] = len(self._tools)
            said = arguments(block)
            if not said:
                self._unsaid.add(index)
            parts.append(ToolDelta(index=number, id=block.id, name=block.name, arguments=said))
        elif block.type == "redacted_thinking" and block.data:
            parts.append(Reasoning("", redacted=block.data))
        elif block.text:
            parts.append(Text(block.text))
        elif block.thinking:
            parts.append(Reasoning(block.thinking))

    def _add(self, index: int, delta: ToldDelta, parts: list[Part]) -> None:
        if delta.text:
            parts.append(Text(delta.text))
        elif delta.partial_json:
            if index in self._tools:
                self._unsaid.discard(index)
                parts.append(ToolDelta(index=self._tools[index], arguments=delta.partial_json))
        elif delta.thinking:
            parts.append(Reasoning(delta.thinking))
        elif delta.signature:
            parts.append(Reasoning("", signature=delta.signature))
        elif delta.citation:
            parts.append(annotation(delta.citation))
