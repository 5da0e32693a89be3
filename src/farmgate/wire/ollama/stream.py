"""Ollama's answers to chat and generate: lines read, one after the other, until the one that says `done`.

A whole answer is a stream of one line.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from farmgate.core.errors import FarmError, UpstreamInvalidResponse
from farmgate.core.event import Event, Finish, FinishReason, Logprobs, Part, Reasoning, Text, ToolDelta, Usage
from farmgate.core.request import Dialect
from farmgate.wire.counts import tokens
from farmgate.wire.ndjson import Splitter
from farmgate.wire.ollama.errors import decode_error_line
from farmgate.wire.upstream import lines_of, prove_end, proved, truncated

__all__ = ["StreamReader"]

NOTHING = (b"", b"null", b'""')
NONE = msgspec.Raw(b"")


class CalledFunction(msgspec.Struct):
    """Which function is called; `arguments` is a JSON object, whole."""

    name: str
    arguments: msgspec.Raw = NONE


class Call(msgspec.Struct):
    """A tool call. Old versions give no id."""

    function: CalledFunction
    id: str | None = None


class Said(msgspec.Struct):
    """What a chat line adds."""

    content: str | None = None
    thinking: str | None = None
    tool_calls: list[Call] | None = None


class Line(msgspec.Struct):
    """One line of an answer. generate says `response` and `thinking` where chat says `message`.

    Counts of zero are left out; `done_reason` without `done` has been seen with MLX models.
    """

    message: Said | None = None
    response: str | None = None
    thinking: str | None = None
    done: bool | None = None
    done_reason: str | None = None
    logprobs: list[dict[str, object]] | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    error: msgspec.Raw = NONE


decode_line = msgspec.json.Decoder(Line).decode


class StreamReader:
    """Reads one answer: bytes in, events out, and whether it came to its end."""

    __slots__ = ("_calls", "_model", "_provider", "_splitter", "failure", "is_done")

    def __init__(self, *, provider: str, model: str, frame_bytes: int = 8 << 20) -> None:
        self._splitter = Splitter(frame_bytes)
        self._provider = provider
        self._model = model
        self._calls = 0
        self.is_done = False
        self.failure: FarmError | None = None
        """What broke the stream behind lines that are still to be relayed; `end` raises it."""

    def feed(self, data: bytes) -> Event | None:
        """What `data` completes, in one event; None if nothing. Raises FarmError for an error line or nonsense."""
        return self._event(lambda: self._splitter.feed(data))

    def end(self) -> Event | None:
        """The stream ended: what its last line said if no newline followed it.

        Raises UpstreamStreamTruncated unless the answer is whole.
        """
        try:
            event = self._event(self._splitter.end)
        except UpstreamInvalidResponse as error:
            raise truncated(self._provider) from error
        prove_end(self, is_whole=self.is_done, provider=self._provider)
        return event

    def _event(self, feed: Callable[[], list[bytes]]) -> Event | None:
        parts: list[Part] = []
        read: list[bytes] = []
        try:
            for line in lines_of(feed, self, provider=self._provider):
                parts += self._parts(line)
                read.append(line)
        except FarmError as error:
            if not read:
                raise
            self.failure, self.is_done = error, True
        # Relayed as they came to a caller who speaks this dialect.
        raw = b"".join(line + b"\n" for line in read)
        return Event(tuple(parts), raw=raw, dialect=Dialect.OLLAMA) if read else None

    def _parts(self, payload: bytes) -> list[Part]:
        line = self._look(payload)
        said = line.message
        parts: list[Part] = []
        if thought := line.thinking if said is None else said.thinking:
            parts.append(Reasoning(thought))
        if text := line.response if said is None else said.content:
            parts.append(Text(text))
        if line.logprobs:
            parts.append(Logprobs(tuple(line.logprobs)))
        if said is not None and said.tool_calls:
            parts += [self._call(call) for call in said.tool_calls]
        if line.done or line.done_reason:
            self.is_done = True
            parts.append(Finish(self._reason(line.done_reason)))
            given, said_tokens = tokens(line.prompt_eval_count) or 0, tokens(line.eval_count) or 0
            parts.append(Usage(prompt_tokens=given, completion_tokens=said_tokens))
        return parts

    def _look(self, payload: bytes) -> Line:
        line = proved(payload, decode_line, self._provider, "sent a line that is not a piece of an answer")
        if bytes(line.error) not in NOTHING:
            raise decode_error_line(payload, provider=self._provider, model=self._model)
        return line

    def _call(self, call: Call) -> ToolDelta:
        """Counted here: every call comes whole, and not every version numbers them."""
        index = self._calls
        self._calls += 1
        return ToolDelta(
            index=index,
            id=call.id or f"call_{index}",
            name=call.function.name,
            arguments=arguments_of(bytes(call.function.arguments)),
        )

    def _reason(self, told: str | None) -> FinishReason:
        if told == "length":
            return FinishReason.LENGTH
        return FinishReason.TOOL_CALLS if self._calls else FinishReason.STOP


def arguments_of(raw: bytes) -> str:
    """A call's arguments as JSON text. Some models' parsers give that text already, as a string."""
    if raw in NOTHING:
        return "{}"
    if raw.startswith(b'"'):
        return str(msgspec.json.decode(raw))
    return raw.decode()
