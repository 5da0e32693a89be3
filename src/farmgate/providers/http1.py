"""HTTP/1.1 towards providers: one connection, one exchange at a time.

Our own because it decides the speed of the whole gate: no thread and no task stands between the provider's socket and
the caller's. Parsing is llhttp's (httptools), TLS is the event loop's. Redirects, cookies, proxies and compression are
not supported, on purpose. See ADR 0002 for the figures.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, cast

import httptools

__all__ = ["Broken", "Connection", "Garbled", "Sink", "TimedOut"]

Sink: TypeAlias = Callable[[bytes], Awaitable[None] | None]
"""Takes bytes; may give something to wait for before it takes more."""

HIGH_WATER: Final = 64 * 1024
MAX_HEADER_BYTES: Final = 64 * 1024
DRAIN_S: Final = 1.0
BODILESS = frozenset((204, 304))


class Broken(Exception):
    """The connection broke. `is_clean`: not a byte of the answer had come."""

    def __init__(self, message: str, *, is_clean: bool = False) -> None:
        super().__init__(message)
        self.is_clean = is_clean


class Garbled(Broken):
    """The provider does not speak HTTP/1.1."""


class TimedOut(Exception):
    """The provider kept silent for too long."""


class Connection(asyncio.BaseProtocol):
    """One socket. `begin` an exchange, await `head()`, then `read()` until None.

    A sweeper (`pool.py`) looks at `waiting_since` and `deadline` once a second: timers cost nothing per read.
    """

    __slots__ = (
        "_body",
        "_buffered",
        "_header_bytes",
        "_is_complete",
        "_is_paused",
        "_keep_alive",
        "_owed",
        "_parser",
        "_sink",
        "_until_close",
        "_waiter",
        "deadline",
        "exchanges",
        "failure",
        "headers",
        "idle_since",
        "is_open",
        "loop",
        "patience_s",
        "status",
        "transport",
        "waiting_since",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.is_open = False
        self.exchanges = 0
        self.failure: Exception | None = None
        self.idle_since = 0.0
        self.waiting_since = 0.0
        self.patience_s = 0.0
        self.deadline = math.inf
        self._waiter: asyncio.Future[None] | None = None
        self._sink: Sink | None = None
        self._owed: Awaitable[None] | None = None
        self._is_paused = False
        self._reset()

    def _reset(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        """Names in lower case; of a repeated header the last."""
        self._parser: httptools.HttpResponseParser = httptools.HttpResponseParser(self)
        self._body: deque[bytes] = deque()
        self._buffered = 0
        self._header_bytes = 0
        self._is_complete = False
        self._keep_alive = False
        self._until_close = False

    # ------------------------------------------------------------------------------------ the exchange

    def begin(self, head: bytes, body: bytes) -> None:
        """Send a request. The connection must be idle and open."""
        self._reset()
        self.exchanges += 1
        if len(body) < HIGH_WATER:
            # At the end of the loop's turn: all reads come before all writes, which wakes the other side once.
            self.loop.call_soon(self._send, head + body)
        else:
            self.transport.write(head)
            self.transport.write(body)

    def _send(self, data: bytes) -> None:
        if self.is_open:
            self.transport.write(data)

    async def head(self) -> int:
        """Wait for the status. Raises Broken or TimedOut."""
        while not self.status:
            await self._wait()
        return self.status

    async def read(self) -> bytes | None:
        """What has arrived of the body since the last read, at least one byte; None after its end."""
        while not self._body:
            if self._is_complete:
                return None
            await self._wait()
        return self._taken()

    def at_hand(self) -> bytes | None:
        """What has arrived of the body, if that is all of it."""
        return self._taken() if self._is_complete and self._body else None

    async def pour(self, sink: Sink) -> None:
        """Hand the rest of the body to `sink` as it arrives, without a task waking up in between.

        What `sink` gives to wait for is waited for before it is called again, with reading paused. What it raises is
        raised here, after the connection was closed.
        """
        self._sink = sink
        try:
            while True:
                if self._owed is not None:
                    await self._owed
                    self._owed = None
                    self._resume()
                elif self._body:
                    self._fill_sink()
                elif self._is_complete:
                    return
                else:
                    await self._wait()
        finally:
            owed, self._owed, self._sink = self._owed, None, None
            if asyncio.iscoroutine(owed):
                # Cancelled before it was waited for: nobody will.
                owed.close()

    def _fill_sink(self) -> None:
        assert self._sink is not None
        try:
            self._owed = self._sink(self._taken())
        except Exception as error:  # noqa: BLE001 - raised again where somebody waits
            self._body.clear()
            self._is_complete = False
            self.give_up(error)
            return
        if self._owed is not None:
            self._pause()

    def _taken(self) -> bytes:
        data = self._body.popleft() if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        self._buffered = 0
        if self._is_paused and self._owed is None:
            self._resume()
        return data

    def _pause(self) -> None:
        if not self._is_paused and self.is_open:
            self._is_paused = True
            self.transport.pause_reading()

    def _resume(self) -> None:
        if self._is_paused and self.is_open:
            self._is_paused = False
            self.transport.resume_reading()

    @property
    def is_reusable(self) -> bool:
        """Whether another exchange may follow on this socket: the last is over, in both directions, for everybody."""
        is_over = self._is_complete and not self._body and not self._is_paused and self._waiter is None
        return is_over and self.is_open and self._keep_alive and not self.transport.get_write_buffer_size()

    def hurry(self) -> None:
        """Nothing more is wanted of the body but its end, which leaves the socket fit for another exchange."""
        self.deadline = min(self.deadline, self.loop.time() + DRAIN_S)

    def abort(self) -> None:
        """Close now; what was not read is lost."""
        if self.is_open:
            self.is_open = False
            self.transport.abort()

    def give_up(self, failure: Exception) -> None:
        """Fail whoever waits, and close."""
        if self.failure is None:
            self.failure = failure
        self.abort()
        self._wake()

    async def _wait(self) -> None:
        self._raise_failure()
        self.waiting_since = self.loop.time()
        self._waiter = self.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
            self.waiting_since = 0.0
        if not self._body and not self._is_complete:
            self._raise_failure()

    def _raise_failure(self) -> None:
        failure, self.failure = self.failure, None
        try:
            if failure is not None:
                raise failure
            if not self.is_open:
                raise Broken("it is closed")
        finally:
            # What was raised knows us by its traceback. Did we know it as well, both would wait for the collector.
            del failure

    def _needs_waking(self) -> bool:
        """Whether the one who pours has something to do: most reads go straight to its sink."""
        return self._is_complete or self.failure is not None or self._owed is not None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # ------------------------------------------------------------------------------------ asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not checked: uvloop's transports have the methods without being subclasses.
        self.transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        if self._is_complete or not self.exchanges:
            # Bytes nobody asked for: the socket cannot be trusted with another exchange.
            self.abort()
            return
        held = self._buffered
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.give_up(Garbled(f"it does not speak HTTP/1.1 ({type(error).__name__})"))
        if self._buffered == held and not self._is_complete:
            self._note_no_body(len(data))
        if self._sink is not None and self._owed is None and self._body:
            self.waiting_since = self.loop.time()
            self._fill_sink()
        if self._sink is None or self._needs_waking():
            self._wake()

    def _note_no_body(self, size: int) -> None:
        # Part of a head, a chunk's size or a trailer. The parser keeps a line until it ends, however long it is.
        self._buffered += size
        if self._buffered > HIGH_WATER + MAX_HEADER_BYTES:
            self.give_up(Garbled("its headers are too large"))

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._until_close and exc is None and self.failure is None:
            self._is_complete = True
        elif not self._is_complete and self.failure is None:
            nothing_came = not self.status and not self._buffered
            self.failure = Broken("it closed the connection", is_clean=nothing_came)
        self._wake()
        # It knows us as we know it: kept, both would wait for the collector.
        del self._parser

    # ------------------------------------------------------------------------------------ the parser's side

    def on_message_begin(self) -> None:
        if self._is_complete:
            raise ValueError("an answer nobody asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value) + 4
        if self._header_bytes > MAX_HEADER_BYTES:
            raise ValueError("headers too large")
        self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            self.headers.clear()
            return
        self.status = status
        self._keep_alive = self._parser.should_keep_alive()
        # llhttp says that a connection cannot be kept when only its end will tell the end of the body.
        self._until_close = not self._keep_alive and status not in BODILESS and not self._is_framed()

    def _is_framed(self) -> bool:
        return b"content-length" in self.headers or b"transfer-encoding" in self.headers

    def on_body(self, data: bytes) -> None:
        if not self.status:
            raise ValueError("news with a body")  # It would pass for the beginning of the answer's.
        self._body.append(data)
        self._buffered += len(data)
        if self._buffered > HIGH_WATER:
            self._pause()

    def on_message_complete(self) -> None:
        if self.status and not self._until_close:
            self._is_complete = True
