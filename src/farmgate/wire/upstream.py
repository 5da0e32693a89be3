"""What is read from any provider: JSON of the form it should have, piece after piece until one breaks, and an end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

import msgspec

from farmgate.core.errors import FarmError, UpstreamInvalidResponse, UpstreamStreamTruncated
from farmgate.core.event import Event, Part
from farmgate.wire import eventstream
from farmgate.wire.ndjson import LineTooLarge
from farmgate.wire.sse import FrameTooLarge, Splitter

__all__ = ["Breakable", "frames_of", "lines_of", "messages_of", "prove_end", "proved", "said_in", "truncated"]

Form = TypeVar("Form")
Piece = TypeVar("Piece")


class Breakable(Protocol):
    """The reader of one stream. `failure` is what broke it behind pieces that are still to be relayed."""

    is_done: bool
    failure: FarmError | None


def proved(data: bytes, decode: Callable[[bytes], Form], provider: str, what: str) -> Form:
    """The data in its form. Raises UpstreamInvalidResponse, `provider` and `what` it did, for what is not JSON in UTF-8
    or of another form: msgspec itself passes over what stands in fields nobody asked for."""
    try:
        if not data.isascii():
            data.decode()
        return decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamInvalidResponse(f"{provider} {what}.") from error


def frames_of(splitter: Splitter, data: bytes, reader: Breakable, *, provider: str) -> Iterator[bytes]:
    """The events that `data` completes, until the reader is done.

    Raises UpstreamInvalidResponse for one that is too large, behind those that came before it.
    """
    if reader.is_done:
        return
    failure: FrameTooLarge | None = None
    try:
        found: Sequence[bytes] = splitter.feed(data)
    except FrameTooLarge as error:
        found, failure = error.found, error
    yield from until_done(found, reader)
    if failure is not None and not reader.is_done:
        raise UpstreamInvalidResponse(f"{provider} sent a frame larger than the limit.") from failure


def lines_of(feed: Callable[[], list[bytes]], reader: Breakable, *, provider: str) -> Iterator[bytes]:
    """As `frames_of`, for the lines that `feed` gives."""
    if reader.is_done:
        return
    failure: LineTooLarge | None = None
    try:
        found: Sequence[bytes] = feed()
    except LineTooLarge as error:
        found, failure = error.found, error
    yield from until_done(found, reader)
    if failure is not None and not reader.is_done:
        raise UpstreamInvalidResponse(f"{provider} sent a line larger than the limit.") from failure


def messages_of(
    splitter: eventstream.Splitter, data: bytes, reader: Breakable, *, provider: str
) -> Iterator[eventstream.Message]:
    """As `frames_of`, for AWS's event stream, where what is garbled breaks it too."""
    if reader.is_done:
        return
    failure: eventstream.Broken | None = None
    try:
        found: Sequence[eventstream.Message] = splitter.feed(data)
    except eventstream.Broken as error:
        found, failure = error.found, error
    yield from until_done(found, reader)
    if failure is not None and not reader.is_done:
        why = f"garbled stream: {failure}" if str(failure) else "message larger than the limit"
        raise UpstreamInvalidResponse(f"{provider} sent a {why}.") from failure


def until_done(pieces: Iterable[Piece], reader: Breakable) -> Iterator[Piece]:
    for piece in pieces:
        if reader.is_done:
            return
        yield piece


def said_in(pieces: Iterable[Piece], read: Callable[[Piece], list[Part]], reader: Breakable) -> Event | None:
    """What the pieces say until the reader is done, in one event; None if nothing.

    What breaks behind something that was said waits in `reader.failure`; what breaks before it is raised.
    """
    parts: list[Part] = []
    try:
        for piece in until_done(pieces, reader):
            parts += read(piece)
    except FarmError as error:
        if not parts:
            raise
        reader.failure, reader.is_done = error, True
    return Event(tuple(parts)) if parts else None


def prove_end(reader: Breakable, *, is_whole: bool, provider: str) -> None:
    """The stream has ended. Raises what broke it, or UpstreamStreamTruncated unless the answer is whole."""
    if reader.failure is not None:
        raise reader.failure
    if not is_whole:
        raise truncated(provider)


def truncated(provider: str) -> UpstreamStreamTruncated:
    """A connection that ends is not the end of an answer."""
    return UpstreamStreamTruncated(
        f"{provider}'s stream ended before the answer did: what came is not the whole answer."
    )
