"""Cohere's streams: server-sent events, each of a type, read as the pieces of one answer."""

from __future__ import annotations

import msgspec

from farmgate.core.errors import FarmError
from farmgate.core.event import Event, Part, Reasoning, Text
from farmgate.wire.calls import CallNumbers
from farmgate.wire.cohere.words import ToldCitation, ToldUsage, annotations_of, finish_of, usage_of
from farmgate.wire.failures import MESSAGE_LIMIT
from farmgate.wire.sse import Splitter
from farmgate.wire.upstream import frames_of, prove_end, proved, said_in

__all__ = ["StreamReader"]


class Piece(msgspec.Struct):
    """A piece of text, or of a thought."""

    text: str | None = None
    thinking: str | None = None


class Function(msgspec.Struct):
    """A called function, or a piece of its arguments."""

    name: str | None = None
    arguments: str | None = None


class Call(msgspec.Struct):
    """A tool call, or a piece of one."""

    id: str | None = None
    function: Function | None = None


class ToldMessage(msgspec.Struct):
    """What an event adds. The first event has empty lists where later ones have one object."""

    content: Piece | list[Piece] | None = None
    tool_plan: str | None = None
    tool_calls: Call | list[Call] | None = None
    citations: ToldCitation | list[ToldCitation] | None = None


class Delta(msgspec.Struct):
    """What an event says; the fields but `message` with the last one."""

    message: ToldMessage | None = None
    finish_reason: str | None = None
    error: str | None = None
    usage: ToldUsage | None = None


class Told(msgspec.Struct):
    """Any event."""

    type: str = ""
    index: int | None = None
    delta: Delta | None = None
    message: object = None


decode_told = msgspec.json.Decoder(Told).decode


class StreamReader:
    """Reads one stream: bytes in, events out, and whether the answer came to its end: `message-end`."""

    __slots__ = ("_calls", "_provider", "_splitter", "failure", "is_done")

    def __init__(self, *, provider: str, frame_bytes: int = 8 << 20) -> None:
        self._splitter = Splitter(frame_bytes, joint=b" ")
        self._provider = provider
        self._calls = CallNumbers()
        self.is_done = False
        self.failure: FarmError | None = None
        """What broke the stream behind pieces that are still to be relayed; `end` raises it."""

    def feed(self, data: bytes) -> Event | None:
        """What `data` completes, in one event; None if nothing. Raises FarmError for an error or nonsense."""
        return said_in(frames_of(self._splitter, data, self, provider=self._provider), self._parts, self)

    def end(self) -> Event | None:
        """The stream ended. Raises what broke it, or UpstreamStreamTruncated unless the answer is whole."""
        prove_end(self, is_whole=self.is_done, provider=self._provider)
        return None

    def _parts(self, payload: bytes) -> list[Part]:
        told = proved(payload, decode_told, self._provider, "sent an event that is no piece of an answer")
        delta = told.delta or Delta()
        match told.type:
            case "message-end":
                return self._finished(delta)
            case "tool-call-start" | "tool-call-delta":
                return self._called(told.index or 0, delta)
            case "tool-call-end":
                return [*self._calls.end(told.index or 0)]
        return [] if delta.message is None else said(delta.message)

    def _finished(self, delta: Delta) -> list[Part]:
        finish = finish_of(delta.finish_reason or "", (delta.error or "")[:MESSAGE_LIMIT], provider=self._provider)
        self.is_done = True
        usage = usage_of(delta.usage)
        return [finish] if usage is None else [finish, usage]

    def _called(self, place: int, delta: Delta) -> list[Part]:
        calls = delta.message.tool_calls if delta.message else None
        call = calls[0] if isinstance(calls, list) and calls else calls
        if not isinstance(call, Call):
            return []
        function = call.function or Function()
        arguments = function.arguments or ""
        if place in self._calls:
            return [*self._calls.go_on(place, arguments)]
        own = call.id or f"call_{len(self._calls)}"
        return [self._calls.begin(place, id=own, name=function.name, arguments=arguments)]


def said(message: ToldMessage) -> list[Part]:
    """What an event says, but tool calls."""
    parts: list[Part] = [Text(message.tool_plan)] if message.tool_plan else []
    for piece in listed(message.content):
        if piece.thinking:
            parts.append(Reasoning(piece.thinking))
        if piece.text:
            parts.append(Text(piece.text))
    for citation in message.citations if isinstance(message.citations, list) else (message.citations,):
        parts += annotations_of(citation) if citation is not None else []
    return parts


def listed(content: Piece | list[Piece] | None) -> list[Piece]:
    if content is None:
        return []
    return content if isinstance(content, list) else [content]
