"""Anthropic's streams, read from a provider: relayed as they came, never taken for whole when they are cut off."""

from __future__ import annotations

from farmgate.core.errors import FarmError, UpstreamInvalidResponse
from farmgate.core.event import Event, Part, Reasoning, Text, Usage
from farmgate.core.request import Dialect
from farmgate.wire.anthropic.errors import decode_told_error
from farmgate.wire.anthropic.usage import ToldUsage, decode_usage
from farmgate.wire.anthropic.words import Told, ToldBlock, ToldDelta, annotation, arguments, decode_told, finish_of
from farmgate.wire.calls import CallNumbers
from farmgate.wire.sse import Splitter
from farmgate.wire.upstream import frames_of, prove_end, proved

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

    __slots__ = ("_begun", "_calls", "_model", "_provider", "_splitter", "_usage", "failure", "is_done")

    def __init__(self, *, provider: str, model: str = "", frame_bytes: int = 8 << 20) -> None:
        self._splitter = Splitter(frame_bytes, joint=b" ")
        self._provider = provider
        self._model = model
        self._begun: ToldUsage | None = None
        self._usage: ToldUsage | None = None
        self._calls = CallNumbers()
        self.is_done = False
        self.failure: FarmError | None = None
        """What broke the stream behind events that are still to be relayed; `end` raises it."""

    def feed(self, data: bytes) -> Event | None:
        """What `data` completes, in one event; None if nothing. Raises FarmError for an error event or nonsense."""
        kept: list[bytes] = []
        parts: list[Part] = []
        content = False
        try:
            for payload in frames_of(self._splitter, data, self, provider=self._provider):
                told = self._look(payload)
                kept.append(event_frame(told.type, payload))
                content = self._note(told, parts) or content
        except FarmError as error:
            if not kept:
                raise
            self.failure, self.is_done = error, True
        if not kept:
            return None
        usage = parts[-1] if parts and isinstance(parts[-1], Usage) else None
        return Frames(b"".join(kept), tuple(parts), bears_content=content, usage=usage)

    def end(self) -> Event | None:
        """The stream ended. Raises what broke it, or UpstreamStreamTruncated unless the answer is whole."""
        prove_end(self, is_whole=self.is_done, provider=self._provider)
        return None

    def _look(self, payload: bytes) -> Told:
        told = proved(payload, decode_told, self._provider, "sent an event that is no piece of an answer")
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
                before = len(parts)
                self._begin(told.index, block, parts)
                return block.type not in QUIET or len(parts) > before
            case "content_block_stop":
                parts += self._calls.end(told.index)
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
            parts.append(self._calls.begin(index, id=block.id, name=block.name, arguments=arguments(block)))
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
            parts += self._calls.go_on(index, delta.partial_json)
        elif delta.thinking:
            parts.append(Reasoning(delta.thinking))
        elif delta.signature:
            parts.append(Reasoning("", signature=delta.signature))
        elif delta.citation:
            parts.append(annotation(delta.citation))
