"""uvicorn's HTTP protocol with bounds on what belongs to no body: the bytes of it, and the time it may take."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, cast
from weakref import WeakKeyDictionary

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from farmgate.core.errors import FarmError, HeadersTooLarge, RequestTimeout
from farmgate.core.ids import new_id
from farmgate.surfaces.http.door import DOOR
from farmgate.wire.openai.errors import encode_error

__all__ = ["BoundedProtocol", "bounded"]

REASONS = {408: "Request Timeout", 431: "Request Header Fields Too Large"}
UPGRADE = re.compile(rb"\r\nupgrade(?=:)", re.IGNORECASE)
NOT_UPGRADED = b"\r\nx-grade"
"""As long as the name it replaces."""


MOST_HELD = 48
"""Connections written to in one go; with a thousand ready at once, more would make the first wait for the last."""
LARGE_BYTES = 16 * 1024
MANY_PIECES = 64
"""What is larger, or in more pieces, is sent at once: only a transport tells that a client reads too slowly, and one
turn of the loop reads up to 8 MiB from a provider that nobody pauses."""


class Outbox:
    """Sends what was written during one turn of the loop, at its end or when many have something to send.

    An answer's head and body go out in one system call; and all reads of a turn come before all writes, so that the
    receiving side is woken once and not once per connection. With a thousand streams that is a third of the cost.
    """

    __slots__ = ("_full", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._full: list[Corked] = []

    def add(self, corked: Corked) -> None:
        if not self._full:
            self._loop.call_soon(self._send)
        self._full.append(corked)
        if len(self._full) >= MOST_HELD:
            self._send()

    def _send(self) -> None:
        full, self._full = self._full, []
        for corked in full:
            corked.flush()


class Corked:
    """A transport that holds what is written until the loop's turn ends."""

    __slots__ = ("_held", "_outbox", "_transport", "pause_reading", "resume_reading")

    def __init__(self, transport: asyncio.Transport, outbox: Outbox) -> None:
        self._transport = transport
        self._outbox = outbox
        self._held: list[bytes] = []
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        held = self._held
        held.append(data)
        count = len(held)
        if count == 1:
            self._outbox.add(self)
        elif count >= MANY_PIECES:
            self.flush()

    def flush(self) -> None:
        """Send what is held."""
        held = self._held
        if held:
            self._held = []
            try:
                self._transport.write(held[0] if len(held) == 1 else b"".join(held))
            except RuntimeError:
                # The client left in this turn. What others are sent waits behind this, so that it must not end here.
                return

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._transport.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._transport.set_protocol(protocol)


SIZES = [b"%x\r\n" % size for size in range(4096)]
outboxes: WeakKeyDictionary[asyncio.AbstractEventLoop, Outbox] = WeakKeyDictionary()


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn bounds neither the size of what stands around a body nor the time it may take.

    Both would let one caller grow the process or hold its sockets for nothing. Every byte read counts until a head or
    a piece of a body is complete: headers, chunk sizes and trailers that never end are not told by the parser.
    """

    header_bytes: ClassVar[int] = 32 * 1024
    header_timeout_s: ClassVar[float] = 30.0
    beside_body = 0
    """Bytes read since a head or a piece of a body was complete."""
    when_lost: Callable[[], None] | None = None
    """Told when the client leaves; an exchange sets it while somebody should know. Cheaper than ASGI's `receive`."""
    head_timer: asyncio.TimerHandle | None = None
    rest_timer: asyncio.TimerHandle | None = None
    """Runs while bytes come that belong to no request: an answered one's body, or line ends between two."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        outbox = outboxes.get(self.loop)
        if outbox is None:
            outbox = outboxes[self.loop] = Outbox(self.loop)
        self.transport = Corked(transport, outbox)  # type: ignore[assignment] # the methods uvicorn uses
        self.await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self.head_done()
        self.rest_done()
        super().connection_lost(exc)
        if self.when_lost is not None:
            self.when_lost()
        # Both lead back here: without them nothing of a connection that is gone waits for the collector.
        self.cycle = self.scope = None  # type: ignore[assignment]

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {DOOR: self}  # type: ignore[dict-item] # an object, not a description: both ends are ours
        self.rest_done()
        if self.head_timer is None:
            self.await_head()

    def on_headers_complete(self) -> None:
        self.head_done()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self.beside_body = 0
        super().on_body(body)

    def data_received(self, data: bytes) -> None:
        self.beside_body += len(data)
        if self.beside_body > self.header_bytes and self.is_head_too_large(data):
            self.refuse(HeadersTooLarge())
            return
        if data.find(b"pgrade:") > 0 and self.expects_head():
            data = not_upgraded(data)
        super().data_received(data)
        if self.head_timer is None:
            self.look_beside_body()

    def is_idle(self) -> bool:
        """Whether the last request was answered and no other has begun."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and cycle.response_complete

    def expects_head(self) -> bool:
        """Whether the next bytes belong to a head: one is open, or a request was read and answered."""
        return self.head_timer is not None or (self.is_idle() and not self.cycle.more_body)

    def is_head_too_large(self, data: bytes) -> bool:
        return self.expects_head() and not 0 <= data.find(b"\r\n\r\n") <= self.header_bytes

    def look_beside_body(self) -> None:
        """Bound what was read outside heads and bodies."""
        if self.beside_body > self.header_bytes:
            self.refuse(HeadersTooLarge())
        elif self.rest_timer is None and self.is_idle():
            # uvicorn's own timer for idle connections ends with any byte that comes.
            self.rest_timer = self.loop.call_later(self.header_timeout_s, self.transport.close)

    def write_piece(self, data: bytes) -> Awaitable[None] | None:
        """What uvicorn's `send` does for a piece in the middle of an answer, at a third of its cost."""
        size = len(data)
        head = SIZES[size] if size < len(SIZES) else b"%x\r\n" % size
        transport = self.transport
        transport.write(head + data + b"\r\n")
        if size >= LARGE_BYTES:
            transport.flush()  # type: ignore[attr-defined] # it is Corked
        return self.flow.drain() if self.flow.write_paused else None

    def cut(self) -> None:
        """End the connection; what was not sent is lost."""
        self.transport.abort()

    def await_head(self) -> None:
        """The next bytes are a request's head, and have a time to come."""
        self.beside_body = 0
        self.head_timer = self.loop.call_later(self.header_timeout_s, self.too_slow)

    def head_done(self) -> None:
        """No head is open."""
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def rest_done(self) -> None:
        """A new head is open, or nothing is."""
        if self.rest_timer is not None:
            self.rest_timer.cancel()
            self.rest_timer = None

    def too_slow(self) -> None:
        self.head_timer = None
        self.refuse(RequestTimeout("The request's headers did not arrive in time."))

    def refuse(self, error: FarmError) -> None:
        """Answer without the application and close."""
        self.head_done()
        if self.transport.is_closing():
            return
        # Within the answer to an earlier request there is no place for another: its reader would take it for content.
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is None or cycle.response_complete or not (cycle.response_started or self.pipeline):
            body = encode_error(error)
            head = (
                f"HTTP/1.1 {error.status} {REASONS[error.status]}\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nx-request-id: {new_id()}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        self.transport.close()


def not_upgraded(data: bytes) -> bytes:
    """The same bytes without an offer of another protocol in their first head.

    Such an offer may be passed over, and is made with ordinary requests by Java's HttpClient and by `curl --http2`;
    but the parser would take the body for bytes of the other protocol.
    """
    end = data.find(b"\r\n\r\n")
    head = data if end < 0 else data[:end]
    return UPGRADE.sub(NOT_UPGRADED, head) + data[len(head) :]


def bounded(*, header_bytes: int, header_timeout_s: float) -> type[BoundedProtocol]:
    """The protocol class for uvicorn's `http` setting."""
    bounds = {"header_bytes": header_bytes, "header_timeout_s": header_timeout_s}
    return type("ConfiguredProtocol", (BoundedProtocol,), bounds)
