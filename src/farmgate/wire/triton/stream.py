"""What the generate extension answers: a whole text, or a stream of pieces that ends without saying so."""

from __future__ import annotations

import msgspec

from farmgate.core.errors import FarmError, UpstreamInvalidResponse, UpstreamStreamTruncated
from farmgate.core.reply import Event, Finish, FinishReason, Part, Text, Usage
from farmgate.wire.sse import FrameTooLarge, Splitter
from farmgate.wire.triton.errors import error_of

__all__ = ["StreamReader", "decode_whole"]

PLAUSIBLE_TOKENS = 1 << 32
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
    try:
        if not payload.isascii():
            payload.decode()
        piece = decode_piece(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamInvalidResponse(f"{provider} sent something that is no piece of an answer.") from error
    if piece.error is not None:
        raise error_of(500, piece.error, provider=provider, model=model)
    return piece


def one_of(told: str | list[str] | None) -> str | None:
    return (told[0] if told else None) if isinstance(told, list) else told


def count_of(told: object) -> int:
    """A believable count of tokens; 0 for none."""
    one = told[0] if isinstance(told, list) and told else told
    return one if type(one) is int and 0 <= one < PLAUSIBLE_TOKENS else 0


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
        try:
            payloads = self._splitter.feed(data)
        except FrameTooLarge as error:
            raise UpstreamInvalidResponse(f"{self._provider} sent an event larger than the limit.") from error
        texts: list[str] = []
        for payload in payloads:
            if self.is_done:
                break
            try:
                texts.append(self.read(payload))
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
        if self.failure is not None:
            raise self.failure
        if not self._has_said or (self._tells and self._reason in (None, ABORTED)):
            raise UpstreamStreamTruncated(
                f"{self._provider}'s stream ended before the answer did: what came is not the whole answer."
            )
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
