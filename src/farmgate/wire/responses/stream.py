"""Streams of Responses: typed events read from a provider, typed events written for a caller."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from farmgate.core.errors import FarmError, UpstreamInvalidResponse
from farmgate.core.event import Event, Part, Reasoning, Refusal, Text, ToolDelta, Usage
from farmgate.core.request import Dialect
from farmgate.wire.responses.answers import (
    Envelope,
    decode_failure,
    decode_response,
    decode_usage,
    encode_failure,
    finish_of,
)
from farmgate.wire.responses.output import Output, Told
from farmgate.wire.sse import Splitter
from farmgate.wire.strictjson import encode
from farmgate.wire.upstream import frames_of, prove_end, proved

__all__ = ["Frames", "StreamReader", "StreamWriter", "failed_frame"]

NONE = msgspec.Raw(b"")
ENDS = frozenset({"response.completed", "response.incomplete"})
FAILS = frozenset({"response.failed", "error"})


class HeadItem(msgspec.Struct):
    """What an item is."""

    type: str = ""
    call_id: str | None = None
    name: str | None = None


class HeadResponse(msgspec.Struct):
    """What must be known of the response an event holds."""

    usage: msgspec.Raw = NONE
    error: msgspec.Raw = NONE


class Head(msgspec.Struct):
    """What must be known of an event to relay it; decoding this also proves that the frame is JSON."""

    type: str = ""
    sequence_number: int = 0
    response: msgspec.Raw = NONE
    error: msgspec.Raw = NONE
    item: HeadItem | None = None
    output_index: int = 0
    delta: msgspec.Raw = NONE


decode_head = msgspec.json.Decoder(Head).decode
decode_head_response = msgspec.json.Decoder(HeadResponse).decode
decode_text = msgspec.json.Decoder(str).decode


def typed_frame(kind: str, payload: bytes) -> bytes:
    """One event with its name."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), payload)


class Frames(Event):
    """Events as they came from a provider of this dialect; the words are decoded on demand.

    `sequence`: the number of the last; `response`: the newest whole response in them; `is_last`: it is the final one.
    """

    __slots__ = ("heads", "is_last", "response", "sequence")

    def __init__(self, raw: bytes, heads: list[Head], *, bears_content: bool, usage: Usage | None) -> None:
        self.raw = raw
        self.dialect = Dialect.RESPONSES
        self.bears_content = bears_content
        self.usage = usage
        self.heads = heads
        self.sequence = heads[-1].sequence_number
        self.is_last = heads[-1].type in ENDS
        self.response = next((bytes(head.response) for head in reversed(heads) if head.response is not NONE), None)

    @property
    def parts(self) -> tuple[Part, ...]:
        parts = [part for head in self.heads for part in head_parts(head)]
        return (*parts, self.usage) if self.usage else tuple(parts)


def head_parts(head: Head) -> list[Part]:
    """The words of one event."""
    match head.type:
        case "response.output_text.delta":
            return [Text(text_of(head))]
        case "response.refusal.delta":
            return [Refusal(text_of(head))]
        case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
            return [Reasoning(text_of(head))]
        case "response.function_call_arguments.delta":
            return [ToolDelta(index=head.output_index, arguments=text_of(head))]
        case "response.output_item.added" if head.item is not None and head.item.type == "function_call":
            return [ToolDelta(index=head.output_index, id=head.item.call_id, name=head.item.name)]
        case "response.completed" | "response.incomplete":
            return [finish_of(decode_response(bytes(head.response)))]
        case _:
            return []


def text_of(head: Head) -> str:
    """The piece an event brings."""
    try:
        return decode_text(head.delta)
    except msgspec.DecodeError as error:
        raise UpstreamInvalidResponse("The provider sent a piece of an answer that is no text.") from error


class StreamReader:
    """Reads one stream of a provider: bytes in, events out, and whether the answer came to its end.

    Complete means `response.completed` or `response.incomplete`; `response.failed` and `error` are raised.
    """

    __slots__ = ("_provider", "_splitter", "failure", "is_done")

    def __init__(self, *, provider: str, frame_bytes: int = 8 << 20) -> None:
        self._splitter = Splitter(frame_bytes, joint=b" ")
        self._provider = provider
        self.is_done = False
        self.failure: FarmError | None = None
        """What broke the stream behind events that are still to be relayed; `end` raises it."""

    def feed(self, data: bytes) -> Event | None:
        """What `data` completes, in one event; None if nothing. Raises FarmError for a failure or nonsense."""
        heads: list[Head] = []
        frames: list[bytes] = []
        usage: Usage | None = None
        try:
            for payload in frames_of(self._splitter, data, self, provider=self._provider):
                head = self._look(payload)
                if head.type in ENDS:
                    usage = self._last(head)
                heads.append(head)
                frames.append(typed_frame(head.type, payload))
        except FarmError as error:
            if not heads:
                raise
            self.failure, self.is_done = error, True
        if not heads:
            return None
        return Frames(b"".join(frames), heads, bears_content=any(map(bears_content, heads)), usage=usage)

    def end(self) -> Event | None:
        """The stream ended. Raises what broke it, or UpstreamStreamTruncated unless the answer is whole."""
        prove_end(self, is_whole=self.is_done, provider=self._provider)
        return None

    def _look(self, payload: bytes) -> Head:
        head = proved(payload, decode_head, self._provider, "sent a frame that is not an event")
        # The type becomes a line of our own stream.
        if not head.type.isascii() or not head.type.isprintable() or not head.type:
            if head.error is NONE:
                raise UpstreamInvalidResponse(f"{self._provider} sent an event without a proper type.")
            raise decode_failure(bytes(head.error), provider=self._provider)
        if head.type in FAILS:
            raise self._failed(head, payload)
        return head

    def _failed(self, head: Head, payload: bytes) -> FarmError:
        """What a failure means: told in the response, in an `error` object, or flat."""
        error = bytes(head.error)
        if head.type == "response.failed":
            try:
                error = bytes(decode_head_response(head.response).error)
            except (msgspec.DecodeError, RecursionError):
                error = b""
        return decode_failure(error or payload, provider=self._provider)

    def _last(self, head: Head) -> Usage | None:
        """The usage told by the last event."""
        try:
            told = decode_head_response(head.response)
        except (msgspec.DecodeError, RecursionError) as error:
            raise UpstreamInvalidResponse(f"{self._provider} ended its stream without a response.") from error
        self.is_done = True
        return decode_usage(bytes(told.usage))


def bears_content(head: Head) -> bool:
    """Whether an event says something, rather than only that a message begins."""
    if head.type == "response.output_item.added":
        return head.item is None or head.item.type != "message"
    return head.type.endswith((".delta", ".output_item.done", ".partial_image"))


class StreamWriter:
    """Writes one stream for a caller. `finished` is told the id and the bytes of the whole response, once there is one.

    Events of a provider that speaks this dialect go through as they are.
    """

    __slots__ = ("_began", "_envelope", "_finished", "_now_unix", "_output", "_relayed", "_sequence")

    def __init__(
        self,
        envelope: Envelope,
        output: Output,
        *,
        now_unix: Callable[[], float],
        finished: Callable[[bytes, list[dict[str, object]] | None], None],
    ) -> None:
        """`finished` gets a response and its output; None for the output of one that a provider wrote."""
        self._envelope = envelope
        self._output = output
        self._now_unix = now_unix
        self._finished = finished
        self._began = False
        self._sequence = 0
        self._relayed: bytes | None = None
        """The newest response a provider of this dialect told."""

    def write(self, event: Event) -> bytes:
        """The frames of an event."""
        if type(event) is Frames:
            return self._relay(event)
        told = self._output.add(event.parts)
        return (b"" if self._began else self._begin()) + b"".join(map(self._frame, told))

    def end(self) -> bytes:
        """What follows the last event of a whole answer."""
        if self._relayed is not None:
            return b""
        output = self._output
        begun = b"" if self._began else self._begin()
        closed = b"".join(map(self._frame, output.close()))
        told = self._envelope.told(
            output.status,
            output.items,
            usage=output.usage,
            incomplete=output.incomplete,
            completed_unix=None if output.incomplete else int(self._now_unix()),
        )
        response = encode(told)
        self._finished(response, output.items)
        return begun + closed + self._frame((f"response.{output.status}", {"response": msgspec.Raw(response)}))

    def fail(self, error: FarmError) -> bytes:
        """The last frames of a stream that broke: one for those who follow events, one for those who raise."""
        begun = b"" if self._began else self._begin()
        relayed = msgspec.json.decode(self._relayed) if self._relayed is not None else None
        if isinstance(relayed, dict):
            response: dict[str, object] = relayed | {"status": "failed", "error": encode_failure(error)}
        else:
            response = self._envelope.told("failed", self._output.items, usage=self._output.usage, error=error)
        failed = self._frame(("response.failed", {"response": response}))
        return begun + failed + self._frame(("error", told_twice(error)))

    def _begin(self) -> bytes:
        self._began = True
        response = msgspec.Raw(encode(self._envelope.told("in_progress", [])))
        return b"".join(
            self._frame((f"response.{name}", {"response": response})) for name in ("created", "in_progress")
        )

    def _frame(self, told: Told) -> bytes:
        kind, fields = told
        payload = encode({"type": kind, "sequence_number": self._sequence, **fields})
        self._sequence += 1
        return typed_frame(kind, payload)

    def _relay(self, event: Frames) -> bytes:
        self._began = True
        self._sequence = event.sequence + 1
        self._relayed = event.response or self._relayed
        if event.is_last and event.response is not None:
            self._finished(event.response, None)
        return event.raw


def told_twice(error: FarmError) -> dict[str, object]:
    """Nested for the SDKs, which raise it, and flat for those who follow events."""
    fields = {"message": error.message, "code": error.code, "param": error.param}
    return {**fields, "error": {"type": error.type, **fields}}


def failed_frame(error: FarmError) -> bytes:
    """The last frame of a stream in which nothing has been said."""
    return typed_frame("error", encode({"type": "error", "sequence_number": 0, **told_twice(error)}))
