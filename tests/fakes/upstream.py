"""A provider made of raw sockets that answers each request with the next script it was given, and can lie in every way.

It runs in the test's own event loop and records what it saw. Nothing of Farmgate is in it.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

PATIENCE_S = 10.0
TURNS_TO_COME_IN = 5
TLS = Path(__file__).parent / "tls"
AUTHORITY = TLS / "authority.pem"

Script: TypeAlias = Callable[["Exchange"], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request as it came. `headers` keeps order and repetition; names in lower case."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    raw_head: bytes

    def header(self, name: str) -> str | None:
        """A header that came once; None if it did not come."""
        values = [value for known, value in self.headers if known == name]
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None


@dataclass(eq=False)
class Link:
    """One connection. `left`: the client closed it, or it was reset."""

    asked: list[Asked] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)


class Exchange:
    """What a script works with. After `over()` the connection carries no further request."""

    def __init__(self, fake: FakeUpstream, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.fake = fake
        self.link = link
        self.reader = reader
        self.writer = writer
        self.sent_bytes = 0
        self.is_over = False

    async def send(self, data: bytes) -> None:
        """Write and wait until the client's buffers have room."""
        self.writer.write(data)
        self.sent_bytes += len(data)
        self.fake.is_stuck = True
        await self.writer.drain()
        self.fake.is_stuck = False

    async def drip(self, data: bytes) -> None:
        """One byte in each packet, as far as the kernel lets us."""
        for at in range(len(data)):
            await self.send(data[at : at + 1])
            await asyncio.sleep(0)

    def close(self) -> None:
        """End in order (FIN)."""
        self.is_over = True
        self.writer.close()

    def reset(self) -> None:
        """End without order (RST)."""
        self.is_over = True
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def until_left(self) -> None:
        """Until the client ends the connection."""
        self.is_over = True
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        self.link.left.set()


class FakeUpstream:
    """`scripts` are used up one per request; the last one goes on for ever. `greeting` runs when a client connects."""

    def __init__(
        self, *scripts: Script, greeting: Script | None = None, certificate: str = "", host: str = "127.0.0.1"
    ) -> None:
        self.scripts = list(scripts)
        self.greeting = greeting
        self.links: list[Link] = []
        self.asked: list[Asked] = []
        self.is_stuck = False
        self.changed = asyncio.Condition()
        self._host = host
        self._tls: ssl.SSLContext | None = None
        if certificate:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(TLS / f"{certificate}.pem")
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, 0, ssl=self._tls)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        # asyncio loses the socket of a client that is on its way in while a server closes.
        door = self._server.sockets[0].fileno()
        while select.select([door], [], [], 0)[0]:
            await asyncio.sleep(0)
        for _ in range(TURNS_TO_COME_IN):
            await asyncio.sleep(0)
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self._host}:{self.port}"

    @property
    def connections(self) -> int:
        """How many there ever were."""
        return len(self.links)

    @property
    def still_open(self) -> int:
        return sum(not link.left.is_set() for link in self.links)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for something this fake sees: a connection, a request, a client that leaves."""
        async with asyncio.timeout(PATIENCE_S), self.changed:
            await self.changed.wait_for(is_so)

    async def until_all_left(self) -> None:
        """Wait until no client is connected."""
        await self.until(lambda: not self.still_open)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link()
        self.links.append(link)
        await self._tell()
        exchange = Exchange(self, link, reader, writer)
        try:
            if self.greeting is not None:
                await self.greeting(exchange)
            while not exchange.is_over:
                asked = await read_request(reader)
                link.asked.append(asked)
                self.asked.append(asked)
                await self._tell()
                await self._next_script()(exchange)
            await exchange.until_left()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            link.left.set()
            writer.close()
            await self._tell()

    def _next_script(self) -> Script:
        return self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()


async def read_request(reader: asyncio.StreamReader) -> Asked:
    """One request, its body framed by Content-Length."""
    raw = await reader.readuntil(b"\r\n\r\n")
    first, *rest = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, path, protocol = first.split(" ")
    assert protocol == "HTTP/1.1"
    pairs = (line.split(": ", 1) for line in rest)
    headers = tuple((name.lower(), value) for name, value in pairs)
    length = int(dict(headers).get("content-length", "0"))
    body = await reader.readexactly(length)
    return Asked(method=method, path=path, headers=headers, body=body, raw_head=raw)


# ------------------------------------------------------------------------------------------------ bytes of answers

OK = b"HTTP/1.1 200 OK\r\n"
JSON = b"content-type: application/json\r\n"
EVENTS = b"content-type: text/event-stream\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"
END = b"0\r\n\r\n"


def whole(body: object = b"{}", *, status: int = 200, headers: bytes = JSON) -> bytes:
    """A proper answer; a body that is not bytes is written as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"HTTP/1.1 %d Whatever\r\n%bcontent-length: %d\r\n\r\n%b" % (status, headers, len(data), data)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def chunked(pieces: Iterable[bytes], *, headers: bytes = EVENTS, end: bytes = END) -> bytes:
    """An answer in chunks; without `end` it is cut off."""
    return OK + headers + CHUNKED + b"\r\n" + b"".join(map(chunk, pieces)) + end


def event(data: object) -> bytes:
    """One server-sent event."""
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


# ------------------------------------------------------------------------------------------------ scripts


def say(*pieces: bytes) -> Script:
    """Send, and be ready for the next request."""

    async def script(exchange: Exchange) -> None:
        for piece in pieces:
            await exchange.send(piece)
            await asyncio.sleep(0)

    return script


def say_and_close(*pieces: bytes) -> Script:
    async def script(exchange: Exchange) -> None:
        await say(*pieces)(exchange)
        exchange.close()

    return script


def say_and_reset(*pieces: bytes, when: asyncio.Event | None = None) -> Script:
    """`when`: what the client has to do first. A reset may overtake bytes that were sent before it."""

    async def script(exchange: Exchange) -> None:
        await say(*pieces)(exchange)
        if when is not None:
            await when.wait()
        exchange.reset()

    return script


def say_and_half_close(*pieces: bytes) -> Script:
    """No more will come, but the client may go on writing."""

    async def script(exchange: Exchange) -> None:
        await say(*pieces)(exchange)
        exchange.writer.write_eof()
        await exchange.until_left()

    return script


def say_and_stall(*pieces: bytes) -> Script:
    """Nothing more, until the client leaves."""

    async def script(exchange: Exchange) -> None:
        await say(*pieces)(exchange)
        await exchange.until_left()

    return script


def drip(data: bytes) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.drip(data)

    return script


def drip_for_ever(start: bytes, again: bytes) -> Script:
    """A byte at a time, without end: no timer that is set back by a byte ever runs out."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(start)
        while not exchange.reader.at_eof():
            await exchange.drip(again)

    return script


def flood(start: bytes, again: bytes) -> Script:
    """As much as the client takes, until it leaves."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(start)
        while True:
            await exchange.send(again)

    return script


# ------------------------------------------------------------------------------------------------ the machine's side


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def open_sockets() -> int:
    """How many sockets this process holds."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            count += os.readlink(entry).startswith("socket:")
    return count


async def until(is_so: Callable[[], bool]) -> None:
    """Let the loop turn until something is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():
            await asyncio.sleep(0)
