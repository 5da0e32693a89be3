"""Feeds a stream to a reader in every cut, and folds what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from farmgate.core.answer import Answer, fold
from farmgate.core.errors import FarmError
from farmgate.core.event import Event
from farmgate.providers.exchange import Reader

__all__ = ["cuts", "read", "said_before"]

Make = Callable[[], Reader]


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """Whole, byte by byte, and in two at every byte."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]


def read(make: Make, pieces: Iterable[bytes]) -> Answer:
    """The answer a stream in these pieces gives. Raises what the reader raises."""
    reader = make()
    events: list[Event] = []
    for piece in pieces:
        event = reader.feed(piece)
        if event is not None:
            events.append(event)
    event = reader.end()
    return fold(events if event is None else [*events, event])


def said_before(make: Make, data: bytes) -> tuple[str, FarmError]:
    """The text that came out before a stream broke, and what broke it."""
    reader = make()
    texts: list[Event] = []
    try:
        event = reader.feed(data)
        texts += [event] if event is not None else []
        reader.end()
    except FarmError as error:
        return fold(texts).text, error
    raise AssertionError("it did not break")
