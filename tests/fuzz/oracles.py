"""What must hold of splitters and readers for any bytes: one meaning in every cut, bounded memory, no silent end."""

from __future__ import annotations

import asyncio
import contextlib
import random
from binascii import crc32
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.fuzz.models import is_whole

from farmgate.core.errors import FarmError
from farmgate.core.event import Event, Part
from farmgate.providers.exchange import Reader
from farmgate.providers.http1 import BODILESS, HIGH_WATER, MAX_HEADER_BYTES, Broken, Connection

__all__ = ["Heard", "cuts_of", "prove_answer", "prove_reader", "prove_splitter"]

LIMITS = (200, 1 << 16, 1 << 16, 1 << 16)
"""Frame limits: one input in four meets a small one."""
DRIP_BYTES = 1500
"""Longer inputs are not fed byte by byte."""


class Cutter(Protocol):
    """A splitter of any kind."""

    def feed(self, data: bytes) -> list[Any]: ...


def luck(data: bytes) -> random.Random:
    """The same for the same input: what was found can be found again."""
    return random.Random(crc32(data))


def limit_for(data: bytes) -> int:
    return LIMITS[crc32(data) % len(LIMITS)]


def cuts_of(data: bytes) -> Iterator[list[bytes]]:
    """Byte by byte, and three times at random."""
    if len(data) <= DRIP_BYTES:
        yield [data[at : at + 1] for at in range(len(data))]
    chance = luck(data)
    for most in (1, 3, 9):
        places = sorted(chance.randrange(len(data) + 1) for _ in range(most))
        yield [data[begin:end] for begin, end in zip([0, *places], [*places, len(data)], strict=True)]


# ------------------------------------------------------------------------------------------------ splitters


def prove_splitter(
    make: Callable[[int], Cutter], model: Callable[[bytes], list[Any]] | None, data: bytes, *, broken: type[ValueError]
) -> None:
    """`broken` is what it may raise; `model` says what a stream that breaks nowhere has in it."""
    limit = limit_for(data)
    found, error = split(make(limit), [data], limit, broken)
    for pieces in cuts_of(data):
        assert split(make(limit), pieces, limit, broken) == (found, error), "another cut says something else"
    if model is not None and error is None:
        assert found == model(data), "the specification says something else"


def split(
    splitter: Cutter, pieces: Iterable[bytes], limit: int, broken: type[ValueError]
) -> tuple[list[Any], type[ValueError] | None]:
    """All that came, and what broke it."""
    found: list[Any] = []
    try:
        for piece in pieces:
            found += splitter.feed(piece)
            assert held_by(splitter) <= limit + 2, "it keeps more than its limit"
        last = getattr(splitter, "end", None)
        found += last() if last is not None else []
    except broken as error:
        return [*found, *getattr(error, "found", ())], type(error)
    return found, None


def held_by(splitter: Any) -> int:
    return len(splitter._buffer)


# -------------------------------------------------------------------------------------------------- readers


@dataclass
class Heard:
    """What one reader said of one stream, however it was cut into events."""

    parts: list[Part] = field(default_factory=list)
    raw: bytes = b""
    has_content: bool = False
    is_readable: bool = True
    """Frames that are relayed as they came are decoded only when somebody asks."""
    failure: str = ""

    def take(self, event: Event | None) -> None:
        if event is None:
            return
        self.raw += event.raw
        self.has_content |= event.bears_content
        try:
            self.parts += event.parts
        except FarmError:
            self.is_readable = False


def heard(make: Callable[[int], Reader], pieces: Iterable[bytes], limit: int) -> Heard:
    """Feed as an exchange does: nothing follows an error, and behind the end one counts for nothing."""
    reader, said = make(limit), Heard()
    try:
        for piece in pieces:
            try:
                said.take(reader.feed(piece))
            except FarmError:
                if not reader.is_done:
                    raise
                break
            if reader.is_done:
                continue
            assert held_by(splitter_of(reader)) <= limit + 2, "it keeps more than its limit"
        said.take(reader.end())
    except FarmError as error:
        said.failure = f"{type(error).__name__}: {error.message}"
    if not said.is_readable:
        said.parts.clear()
    return said


def splitter_of(reader: Any) -> Any:
    return reader._splitter


def prove_reader(make: Callable[[int], Reader], dialect: str, data: bytes) -> None:
    limit = limit_for(data)
    whole = heard(make, [data], limit)
    for pieces in cuts_of(data):
        assert heard(make, pieces, limit) == whole, "another cut says something else"
    beginning = data[: luck(data).randrange(len(data) + 1)]
    for stream, said in ((data, whole), (beginning, heard(make, [beginning], limit))):
        assert said.failure or is_whole(dialect, stream), "an answer that is not whole ended as if it were"


# -------------------------------------------------------------------------------------------------- HTTP/1.1


class Nowhere:
    """A transport that only remembers."""

    def __init__(self) -> None:
        self.is_open = True

    def write(self, data: bytes) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def abort(self) -> None:
        self.is_open = False


@dataclass
class Received:
    """What one connection took for an answer."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    failure: str
    is_clean: bool


def received(loop: asyncio.AbstractEventLoop, pieces: Iterable[bytes]) -> Received:
    """The answer in these bytes, where the provider ends the connection behind them."""
    connection, transport = Connection(loop), Nowhere()
    connection.connection_made(transport)  # type: ignore[arg-type]  # has what a connection uses
    connection.begin(b"", b"")
    body: list[bytes] = []
    pouring = connection.pour(body.append)
    failure: Exception | None = None
    with contextlib.suppress(StopIteration):
        pouring.send(None)
    for piece in pieces:
        if transport.is_open and piece:
            connection.data_received(piece)
            assert connection._buffered <= HIGH_WATER + MAX_HEADER_BYTES + len(piece), "it keeps too much"
    connection.connection_lost(None)
    try:
        pouring.send(None)
    except (StopIteration, RuntimeError):  # The latter: it had ended already.
        pass
    except Broken as error:
        failure = error
    is_clean = isinstance(failure, Broken) and failure.is_clean
    told = f"{type(failure).__name__}: {failure}" if failure else ""
    headers = {} if failure else connection.headers
    return Received(connection.status, headers, b"".join(body), told, is_clean)


def prove_answer(loop: asyncio.AbstractEventLoop, data: bytes) -> None:
    whole = received(loop, [data] if data else [])
    for pieces in cuts_of(data):
        assert received(loop, pieces) == whole, "another cut says something else"
    if whole.failure:
        return
    length = whole.headers.get(b"content-length")
    if whole.status in BODILESS:
        assert not whole.body, "an answer that has no body has one"
    elif whole.headers.get(b"transfer-encoding", b"").lower().endswith(b"chunked"):
        assert b"0" in data[data.index(b"\n") :], "chunks without a last one passed for whole"
    elif length is not None:
        assert len(whole.body) == int(length), "a body that is too short passed for whole"
