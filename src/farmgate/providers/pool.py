"""The connections to one address: idle ones are kept for the next exchange, silent ones are given up."""

from __future__ import annotations

import asyncio
import math
import ssl
from collections import deque
from typing import Final

from farmgate.providers.http1 import Broken, Connection, TimedOut
from farmgate.providers.names import Name

__all__ = ["Pool", "TlsConnection"]

DECRYPTED_BYTES: Final = 64 * 1024
IDLE_KEPT_S: Final = 60.0
SWEEP_S: Final = 1.0


class TlsConnection(Connection, asyncio.BufferedProtocol):
    """A connection that lends the event loop a buffer to decrypt into.

    Without one, each read of a TLS stream allocates 256 KiB and shrinks them to what came, which the C library does by
    mapping and unmapping memory: a fifth of the gate's time with 500 streams.
    """

    __slots__ = ("_buffer",)

    def __init__(self, loop: asyncio.AbstractEventLoop, buffer: memoryview) -> None:
        """`buffer` may be shared by the connections of one loop: it is filled and emptied within one callback."""
        super().__init__(loop)
        self._buffer = buffer

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self._buffer[:nbytes]))


class Pool:
    """The connections to one address. Whoever takes one gives it back or aborts it."""

    def __init__(self, *, host: str, port: int, tls: ssl.SSLContext | None, connect_s: float) -> None:
        self._host = host
        self._name = Name(host)
        self._port = port
        self._tls = tls
        self._decrypted = memoryview(bytearray(DECRYPTED_BYTES if tls is not None else 0))
        self._connect_s = connect_s
        self._idle: deque[Connection] = deque()
        self._busy: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self.is_closed = False

    @property
    def in_use(self) -> int:
        """Exchanges under way."""
        return len(self._busy)

    @property
    def idle(self) -> int:
        """Open connections nobody uses."""
        return len(self._idle)

    def reuse(self) -> Connection | None:
        """An idle connection, most recently used first; None if there is none."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                self._busy.add(connection)
                return connection
        return None

    async def connect(self, within_s: float = math.inf) -> Connection:
        """A new connection. Raises OSError, ssl.SSLError or TimeoutError as the event loop tells them."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(min(self._connect_s, within_s)):
            connection = await self._connect(loop)
        self._busy.add(connection)
        if self._sweeper is None:
            self._sweeper = loop.call_later(SWEEP_S, self._sweep)
        return connection

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> Connection:
        """To the first of the host's addresses that accepts."""
        failure: OSError = OSError("the name has no address")
        for address in await self._name.addresses():
            try:
                _, connection = await loop.create_connection(
                    lambda: Connection(loop) if self._tls is None else TlsConnection(loop, self._decrypted),
                    address,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls else None,
                )
            except OSError as error:
                failure = error
            else:
                return connection
        raise failure

    def give_back(self, connection: Connection) -> None:
        """The exchange is over; the socket is kept if it can carry another."""
        if connection not in self._busy:
            return
        self._busy.discard(connection)
        if connection.is_reusable and not self.is_closed:
            connection.idle_since = connection.loop.time()
            self._idle.append(connection)
        else:
            connection.abort()

    def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in tuple(self._busy):
            waited = now - connection.waiting_since
            if connection.waiting_since and waited > connection.patience_s:
                connection.give_up(TimedOut(f"no byte for {connection.patience_s:g} s"))
            elif now > connection.deadline:
                connection.give_up(TimedOut("its time was over"))
        while self._idle and (now - self._idle[0].idle_since > IDLE_KEPT_S or not self._idle[0].is_open):
            self._idle.popleft().abort()
        active = bool(self._busy or self._idle) and not self.is_closed
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep) if active else None

    def close(self) -> None:
        """Close every connection, used or not."""
        self.is_closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connection in (*self._busy, *self._idle):
            connection.give_up(Broken("Farmgate closed the connection"))
        self._busy.clear()
        self._idle.clear()
