"""Addresses that no provider can have and be well: nobody listens, nobody accepts, nobody can be trusted or found."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from tests.fakes.upstream import TLS
from tests.faults.rig import Address

__all__ = ["RESOLVER", "addresses"]

RESOLVER = '''
"""A resolver that knows three names, none of them well."""

import socket
import time

known = socket.getaddrinfo


def getaddrinfo(host, *arguments, **named):
    match host:
        case "nowhere.test":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        case "failing.test":
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        case "silent.test":
            time.sleep(2)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    return known(host, *arguments, **named)


socket.getaddrinfo = getaddrinfo
'''
"""Read by Python itself when it starts, from PYTHONPATH."""

TOO_NEW = bytes([21, 3, 1, 0, 2, 2, 70])
"""A fatal alert in TLS 1.0: protocol_version. Today's libraries can hardly be made to speak that version."""


class Nowhere:
    """An address that only has a name."""

    connections = 0

    def __init__(self, url: str) -> None:
        self.url = url

    def calls(self, _: str) -> int | None:
        return None


class Tls(Nowhere):
    """A server whose certificate or protocol nobody should accept. Whoever does is answered nothing."""

    def __init__(self, certificate: str | None) -> None:
        """None: it knows no newer TLS than 1.0, and says so."""
        self._context = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(TLS / certificate)
        self.was_trusted = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.url = f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            told = await reader.read(1)
            if self._context is None:
                writer.write(TOO_NEW)
            else:
                self.was_trusted += bool(told)
            writer.close()

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    def calls(self, _: str) -> int | None:
        return None


@contextlib.asynccontextmanager
async def closed() -> AsyncIterator[str]:
    """A port nobody listens at, and nobody else can take."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@contextlib.asynccontextmanager
async def full() -> AsyncIterator[str]:
    """A listener whose queue is full: to connect there takes for ever."""
    with contextlib.ExitStack() as held:
        listener = held.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextlib.asynccontextmanager
async def addresses(directory: Path) -> AsyncIterator[tuple[Mapping[str, Address], Mapping[str, str]]]:
    """All of them by name, and what a gate needs in its environment to meet them."""
    (directory / "sitecustomize.py").write_text(RESOLVER)
    environment = {"PYTHONPATH": str(directory), "SSL_CERT_FILE": str(TLS / "authority.pem")}
    servers = {
        "expired": Tls("expired.pem"),
        "elsewhere": Tls("elsewhere.pem"),
        "stranger": Tls("stranger.pem"),
        "oldest": Tls(None),
    }
    async with closed() as nobody, full() as busy, contextlib.AsyncExitStack() as stack:
        for server in servers.values():
            await server.start()
            stack.push_async_callback(server.stop)
        names = {name: f"http://{name}.test:9" for name in ("nowhere", "failing", "silent")}
        urls = {"closed": nobody, "full": busy, **names}
        yield {**{name: Nowhere(url) for name, url in urls.items()}, **servers}, environment
