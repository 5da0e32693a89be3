"""What the generate extension answers: a whole text, or a stream of pieces that ends without saying so."""

from __future__ import annotations

import msgspec

from farmgate.core.errors import FarmError, UpstreamInvalidResponse
from farmgate.core.event import Event, Finish, FinishReason, Part, Text, Usage
from farmgate.wire.counts import tokens
from farmgate.wire.sse import Splitter
from farmgate.wire.triton.errors import error_of
from farmgate.wire.upstream import frames_of, prove_end, proved

__all__ = ["StreamReader", "decode_whole"]

GOING_ON = ("", "None", "null")
ABORTED = "abort"


class Piece(msgspec.Struct):
    """A response. Its tensors may be arrays of one; those behind the text come only where they are asked for."""

    text_output: str | list[str] | None = None
    finish_reason: str | list[str] | None = None
    num_input_tokens: object = None
    num_output_tokens: object = None
    error: str | None = None


decode_piece = msgspec.json.Decoder(Piece).decode


def piece_of(payload: bytes, *, provider: str, model: str) -> Piece:
    """Raises the error in it, or UpstreamInvalidResponse."""
    piece = proved(payload, decode_piece, provider, "sent something that is no piece of an answer")
    if piece.error is not None:
        raise error_of(500, piece.error, provider=provider, model=model)
    return piece


def one_of(told: str | list[str] | None) -> str | None:
    return (told[0] if told else None) if isinstance(told, list) else told


def count_of(told: object) -> int:
    """A count of tokens; 0 for none."""
    return tokens(told[0] if isinstance(told, list) and told else told) or 0


class StreamReader:
    """Reads one answer: bytes in, events out.

    There is no last event. Where the backend tells why it finished, an answer is whole once it did; where it does not,
    one that has said something is whole when its HTTP body is: one that is cut off is not.
    """

    __slots__ = (
        "_has_said",
        "_input",
        "_model",
        "_output",
        "_provider",
        "_reason",
        "_splitter",
        "_tells",
        "failure",
        "is_done",
    )

    def __init__(self, *, provider: str, model: str = "", frame_bytes: int = 8 << 20) -> None:
        self._splitter = Splitter(frame_bytes, joint=b" ")
        self._provider = provider
        self._model = model
        self._has_said = self._tells = False
        self._reason: str | None = None
        self._input = self._output = 0
        self.is_done = False
        self.failure: FarmError | None = None
        """What broke the stream behind pieces that are still to be relayed; `end` raises it."""

    def feed(self, data: bytes) -> Event | None:
        """What `data` completes, in one event; None if nothing. Raises FarmError for an error in it or nonsense."""
        texts: list[str] = []
        try:
            texts.extend(map(self.read, frames_of(self._splitter, data, self, provider=self._provider)))
        except FarmError as error:
            if not any(texts):
                raise
            self.failure, self.is_done = error, True
        text = "".join(texts)
        return Event((Text(text),)) if text else None

    def read(self, payload: bytes) -> str:
        """The text of one response; its other tensors are kept for the end."""
        piece = piece_of(payload, provider=self._provider, model=self._model)
        text = one_of(piece.text_output)
        if text is None:
            raise UpstreamInvalidResponse(f"{self._provider} answered without `text_output`: is it a model of text?")
        self._has_said = True
        reason = one_of(piece.finish_reason)
        if reason is not None:
            self._tells = True
            self._reason = None if reason in GOING_ON else reason
        self._input = count_of(piece.num_input_tokens) or self._input
        self._output += count_of(piece.num_output_tokens)
        return text

    def end(self) -> Event | None:
        """The stream ended. Why, and the usage; raises UpstreamStreamTruncated unless the answer is whole."""
        is_whole = self._has_said and not (self._tells and self._reason in (None, ABORTED))
        prove_end(self, is_whole=is_whole, provider=self._provider)
        self.is_done = True
        parts: list[Part] = [Finish(FinishReason.LENGTH if self._reason == "length" else FinishReason.STOP)]
        if self._input or self._output:
            parts.append(Usage(prompt_tokens=self._input, completion_tokens=self._output))
        return Event(tuple(parts))


def decode_whole(body: bytes, *, provider: str, model: str = "") -> Event:
    """A 200 answer of `/generate`: a stream of one response."""
    reader = StreamReader(provider=provider, model=model)
    text = reader.read(body)
    end = reader.end()
    said: tuple[Part, ...] = (Text(text),) if text else ()
    return Event((*said, *(end.parts if end is not None else ())))
