"""Cohere's streams: server-sent events, each of a type, read as the pieces of one answer."""

from __future__ import annotations

import msgspec

from farmgate.core.errors import FarmError, UpstreamInvalidResponse, UpstreamStreamTruncated
from farmgate.core.reply import Event, Part, Reasoning, Text, ToolDelta
from farmgate.wire.cohere.words import ToldCitation, ToldUsage, annotations_of, finish_of, usage_of
from farmgate.wire.sse import FrameTooLarge, Splitter

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

    __slots__ = ("_calls", "_provider", "_splitter", "_unsaid", "failure", "is_done")

    def __init__(self, *, provider: str, frame_bytes: int = 8 << 20) -> None:
        self._splitter = Splitter(frame_bytes, joint=b" ")
        self._provider = provider
        self._calls: dict[int, int] = {}
        self._unsaid: set[int] = set()
        self.is_done = False
        self.failure: FarmError | None = None
        """What broke the stream behind pieces that are still to be relayed; `end` raises it."""

    def feed(self, data: bytes) -> Event | None:
        """What `data` completes, in one event; None if nothing. Raises FarmError for an error or nonsense."""
        try:
            payloads = self._splitter.feed(data)
        except FrameTooLarge as error:
            raise UpstreamInvalidResponse(f"{self._provider} sent an event larger than the limit.") from error
        parts: list[Part] = []
        for payload in payloads:
            if self.is_done:
                break
            try:
                parts += self._parts(payload)
            except FarmError as error:
                if not parts:
                    raise
                self.failure, self.is_done = error, True
        return Event(tuple(parts)) if parts else None

    def end(self) -> Event | None:
        """The stream ended. Raises what broke it, or UpstreamStreamTruncated unless the answer is whole."""
        if self.failure is not None:
            raise self.failure
        if not self.is_done:
            raise UpstreamStreamTruncated(
                f"{self._provider}'s stream ended before the answer did: what came is not the whole answer."
            )
        return None

    def _parts(self, payload: bytes) -> list[Part]:
        try:
            if not payload.isascii():
                payload.decode()
            told = decode_told(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UpstreamInvalidResponse(f"{self._provider} sent an event that is no piece of an answer.") from error
        delta = told.delta or Delta()
        match told.type:
            case "message-end":
                return self._finished(delta)
            case "tool-call-start" | "tool-call-delta":
                return self._called(told.index or 0, delta)
            case "tool-call-end":
                return self._ended(told.index or 0)
        return [] if delta.message is None else said(delta.message)

    def _finished(self, delta: Delta) -> list[Part]:
        finish = finish_of(delta.finish_reason or "", (delta.error or "")[:2_000], provider=self._provider)
        self.is_done = True
        usage = usage_of(delta.usage)
        return [finish] if usage is None else [finish, usage]

    def _called(self, place: int, delta: Delta) -> list[Part]:
        calls = delta.message.tool_calls if delta.message else None
        call = calls[0] if isinstance(calls, list) and calls else calls
        if not isinstance(call, Call):
            return []
        function = call.function or Function()
        begins = place not in self._calls
        index = self._calls.setdefault(place, len(self._calls))
        arguments = function.arguments or ""
        if begins:
            self._unsaid.add(place)
        if arguments:
            self._unsaid.discard(place)
        if begins:
            return [ToolDelta(index=index, id=call.id or f"call_{index}", name=function.name, arguments=arguments)]
        return [ToolDelta(index=index, arguments=arguments)] if arguments else []

    def _ended(self, place: int) -> list[Part]:
        """A call without a piece of arguments is one without arguments: an empty object, as JSON has it."""
        if place not in self._unsaid:
            return []
        self._unsaid.discard(place)
        return [ToolDelta(index=self._calls[place], arguments="{}")]


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
