"""Outbound HTTP: deadlines, one silent retry on a stale connection, and foreign errors told in our words."""

from __future__ import annotations

import asyncio
import math
import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import NoReturn
from urllib.parse import urlsplit

from farmgate.core.errors import (
    FarmError,
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamStreamTruncated,
    UpstreamTimeout,
    UpstreamTlsError,
    UpstreamUnreachable,
)
from farmgate.providers.http1 import Broken, Connection, Garbled, Sink, TimedOut
from farmgate.providers.pool import Pool

__all__ = ["Answer", "Timeouts", "Upstream", "translate"]

USER_AGENT = "farmgate"
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE = re.compile(r"[ -~\x80-\xff]*")
PATH = re.compile(r"[!-~]*")
# How a message is framed is decided here and nowhere else.
FRAMING = ("connection", "content-length", "transfer-encoding")
FAILURES = (Broken, TimedOut, OSError, UnicodeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a provider may keep us waiting, in seconds: to connect, for its first byte, between two bytes."""

    connect_s: float = 5.0
    first_byte_s: float = 120.0
    idle_s: float = 60.0


class Closed:
    """Stands where the socket of an answer was that is closed now: it may carry somebody else's answer already."""

    async def read(self) -> bytes | None:
        raise Broken("the answer was closed here")

    async def pour(self, sink: Sink) -> None:
        raise Broken("the answer was closed here")

    def at_hand(self) -> bytes | None:
        return None

    def hurry(self) -> None:
        pass


CLOSED = Closed()


class Answer:
    """A provider's answer: status and headers are there, the body is read. Close it: that frees or ends the socket."""

    __slots__ = ("_connection", "_headers", "_pool", "_upstream", "status")

    def __init__(self, upstream: Upstream, pool: Pool, connection: Connection) -> None:
        self._upstream = upstream
        self._pool = pool
        self._connection: Connection | Closed = connection
        self.status = connection.status
        self._headers = connection.headers

    def header(self, name: bytes) -> str:
        """A header's value, of a repeated one the last; empty where there is none. `name` is in lower case."""
        return self._headers.get(name, b"").decode("latin-1")

    async def read(self) -> bytes | None:
        """The next bytes as they arrive, None at the end. Raises an UpstreamError when they stop coming."""
        try:
            return await self._connection.read()
        except (Broken, TimedOut) as error:
            self._upstream.fail(error, begun=True)

    async def pour(self, sink: Sink) -> None:
        """Hand the rest of the body to `sink` as it arrives, at less than half the cost of `read`. Raises as `read`."""
        try:
            await self._connection.pour(sink)
        except (Broken, TimedOut) as error:
            self._upstream.fail(error, begun=True)

    async def whole(self, limit_bytes: int) -> bytes:
        """The whole body. Raises UpstreamInvalidResponse when it is larger than `limit_bytes`."""
        # Most whole answers come with their head, and nothing is left to wait for.
        body = self._connection.at_hand()
        if body is None:
            pieces: list[bytes] = []
            size = 0
            while size <= limit_bytes and (data := await self.read()) is not None:
                pieces.append(data)
                size += len(data)
            if size <= limit_bytes:
                return b"".join(pieces)
            # Whoever holds the error holds this frame: not what is in it too.
            pieces.clear()
        if body is None or len(body) > limit_bytes:
            body = None
            raise UpstreamInvalidResponse(
                f"{self._upstream.name}'s answer is larger than the limit of {limit_bytes} bytes."
            )
        return body

    def hurry(self) -> None:
        """All that is wanted of the answer is there: its body has a second left to end, so that the socket is kept."""
        self._connection.hurry()

    async def drain(self) -> None:
        """Read what is left of a body nobody wants, for a second. Raises nothing."""
        self._connection.hurry()
        with suppress(Broken, TimedOut):
            while await self._connection.read() is not None:
                pass

    def close(self) -> None:
        """Give the socket back if the body was read to its end, else end it: the provider sees that nobody listens."""
        connection, self._connection = self._connection, CLOSED
        if isinstance(connection, Connection):
            self._pool.give_back(connection)

    async def __aenter__(self) -> Answer:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Upstream:
    """One provider's address and the connections to it."""

    def __init__(
        self,
        url: str,
        *,
        name: str,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`url`: http(s), may have a path that every request's path is put behind. `headers` go with every request;
        `tls` replaces the system's trust store."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"the url of {name} is not an http(s) address")
        self.name = name
        self.timeouts = timeouts or Timeouts()
        self._base = parts.path.rstrip("/")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self.address = f"{host}:{parts.port}" if parts.port else host
        if parts.scheme == "https" and tls is None:
            tls = ssl.create_default_context()
        self._pool = Pool(
            host=parts.hostname,
            port=parts.port or (443 if parts.scheme == "https" else 80),
            tls=tls if parts.scheme == "https" else None,
            connect_s=self.timeouts.connect_s,
        )
        lines = {"host": self.address, "user-agent": USER_AGENT, "accept-encoding": "identity"}
        lines |= {line.lower(): value for line, value in (headers or {}).items()}
        for line, value in lines.items():
            # The value may be a key: it is not told.
            if not HEADER_NAME.fullmatch(line) or not HEADER_VALUE.fullmatch(value) or line in FRAMING:
                raise ValueError(f"the header {line!r} of {name} is not valid")
        self._lines = "".join(f"{line}: {value}\r\n" for line, value in lines.items()).encode("latin-1")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heads: dict[tuple[str, str], bytes] = {}

    @property
    def in_use(self) -> int:
        """Exchanges under way."""
        return self._pool.in_use

    @property
    def idle(self) -> int:
        """Connections kept for the next exchange."""
        return self._pool.idle

    def _head(self, method: str, path: str) -> bytes:
        known = self._heads.get((method, path))
        if known is None:
            if not PATH.fullmatch(self._base + path):
                raise ValueError(f"{self._base + path!r} is not a path")
            known = f"{method} {self._base}{path} HTTP/1.1\r\n".encode("ascii") + self._lines
            if len(self._heads) < 64:
                self._heads[method, path] = known
        return known

    async def send(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        content_type: bytes = b"application/json",
        headers: bytes = b"",
        deadline: float | None = None,
    ) -> Answer:
        """Send one request and wait for the status and headers of its answer.

        `headers`: more lines, each ended by CRLF. `deadline`: on the event loop's clock. A connection the provider
        had closed before a byte of an answer came is replaced once. Raises UpstreamError.
        """
        if body:
            headers += b"content-type: %b\r\ncontent-length: %d\r\n" % (content_type, len(body))
        head = self._head(method, path) + headers + b"\r\n"
        # Remembered: asking for the running loop is a system call before Python 3.12.
        loop = self._loop = self._loop or asyncio.get_running_loop()
        until = math.inf if deadline is None else deadline
        is_second = False
        while True:
            now = loop.time()
            if now >= until:
                raise UpstreamTimeout(f"{self.name} was not asked: the request's time was over.")
            # An idle connection may be stale. A second one is not tried: a request that kills whoever gets it must
            # not go round.
            connection = None if is_second else self._pool.reuse()
            may_be_stale = connection is not None
            try:
                if connection is None:
                    connection = await self._pool.connect(until - now)
                    now = loop.time()
                connection.patience_s = self.timeouts.first_byte_s
                connection.deadline = min(until, now + self.timeouts.first_byte_s)
                connection.begin(head, body)
                await connection.head()
                connection.patience_s = self.timeouts.idle_s
                connection.deadline = until
            except BaseException as error:
                if connection is not None:
                    self._pool.give_back(connection)
                if isinstance(error, Broken) and error.is_clean and may_be_stale:
                    is_second = True
                    continue
                if isinstance(error, TimeoutError) and until - now <= self.timeouts.connect_s:
                    error = TimedOut("its time was over")
                if isinstance(error, FAILURES):
                    self.fail(error, begun=False)
                raise
            return Answer(self, self._pool, connection)

    def fail(self, error: Exception, *, begun: bool) -> NoReturn:
        """Raise what a failure means. `begun`: the answer had started."""
        raise translate(error, name=self.name, address=self.address, begun=begun) from error

    def close(self) -> None:
        """End every connection."""
        self._pool.close()


def translate(error: Exception, *, name: str, address: str, begun: bool) -> FarmError:
    """A failure of the socket in our words, most specific first. No key is in them: the socket never saw one."""
    match error:
        case FarmError():
            return error
        case TimedOut():
            return UpstreamTimeout(f"{name} did not answer in time: {error}.")
        case Garbled():
            return UpstreamInvalidResponse(f"{name} gave an answer that makes no sense: {error}.")
        case Broken() if begun:
            return UpstreamStreamTruncated(f"{name} broke off in the middle of its answer: {error}.")
        case Broken():
            return UpstreamError(f"{name} gave no answer: {error}.")
        case ssl.SSLCertVerificationError():
            reason = getattr(error, "verify_message", None) or "it cannot be verified"
            return UpstreamTlsError(f"{name} ({address}) has a certificate we do not accept: {reason}.")
        case ssl.SSLError():
            reason = getattr(error, "reason", None) or type(error).__name__
            return UpstreamTlsError(f"{name} ({address}) does not speak TLS as we do: {reason}.")
        case TimeoutError():
            return UpstreamUnreachable(f"{name} ({address}) did not accept a connection in time.")
        case ConnectionResetError() | ConnectionAbortedError():
            return UpstreamUnreachable(f"{name} ({address}) closed the connection before it was made.")
        case OSError():
            # asyncio tells no reason where several addresses were tried.
            reason = error.strerror or "none of its addresses accepts a connection"
            return UpstreamUnreachable(f"{name} ({address}) cannot be reached: {reason}.")
        case UnicodeError():
            return UpstreamUnreachable(f"{name} ({address}) cannot be reached: that is no host name.")
        case _:
            return UpstreamError(f"{name} failed: {type(error).__name__}.")
