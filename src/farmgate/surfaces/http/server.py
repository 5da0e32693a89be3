"""The process that listens: uvicorn on one socket, and a drain when it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import uvicorn

from farmgate.core.errors import ShuttingDown
from farmgate.surfaces.http.door import Receive, Scope, Send
from farmgate.surfaces.http.exchange import LAST_WORDS_S
from farmgate.surfaces.http.protocol import bounded

__all__ = ["AddressTaken", "Server", "ServerSettings", "listen"]

Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
BACKLOG = 4096


class AddressTaken(OSError):
    """Somebody else listens on this address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """`pre_stop_s`: how long to answer on after readiness has gone; `drain_s`: how long streams may take to finish."""

    header_bytes: int = 32 * 1024
    header_timeout_s: float = 30.0
    pre_stop_s: float = 0.0
    drain_s: float = 600.0
    client_stall_s: float = 30.0


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises AddressTaken when the port is in use, OSError otherwise."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host.strip("[]"), port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno in (98, 48, 10048):
            raise AddressTaken(f"{host}:{port} is in use: stop what listens there or choose another --port.") from error
        raise
    sock.setblocking(False)
    return sock


def give_up_silent_clients(sock: socket.socket, after_s: float) -> None:
    """Connections accepted here end when their client takes nothing for so long of what it is sent.

    Only the kernel knows that of a client whose answer is written and not yet taken. Source: tcp(7), TCP_USER_TIMEOUT.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, round(after_s * 1000)))


class Quiet(uvicorn.Server):
    """uvicorn without its signal handlers: ours drain first."""

    when_started: Callable[[], None] = staticmethod(lambda: None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.when_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Server:
    """Serves one application until told to stop."""

    def __init__(self, application: Application, settings: ServerSettings, *, drain_began: Callable[[], None]) -> None:
        self._settings = settings
        self._drain_began = drain_began
        config = uvicorn.Config(
            application,
            http=bounded(header_bytes=settings.header_bytes, header_timeout_s=settings.header_timeout_s),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            backlog=BACKLOG,
        )
        self._uvicorn = Quiet(config)
        self._stopping = False

    async def serve(self, sock: socket.socket, ready: Callable[[], None]) -> None:
        """Answer on `sock` until SIGTERM or SIGINT. A second signal ends streams that are still open.

        `ready` is called once, when the next connection will be answered.
        """
        give_up_silent_clients(sock, self._settings.client_stall_s)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            # Threads and systems without signals of their own are stopped through stop().
            with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
                loop.add_signal_handler(number, self.stop)
        # What is there now stays: the collector need not look at it again, nor so often at what requests leave.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        self._uvicorn.when_started = ready
        await self._uvicorn.serve([sock])

    def stop(self) -> None:
        """Drain, then end. Asked again: end what is in flight, with an error that says so."""
        loop = asyncio.get_running_loop()
        if self._stopping:
            self._leave()
            self._end_requests()
            return
        self._stopping = True
        self._drain_began()
        loop.call_later(self._settings.pre_stop_s, self._leave)

    def _leave(self) -> None:
        if not self._uvicorn.should_exit:
            self._uvicorn.should_exit = True
            asyncio.get_running_loop().call_later(self._settings.drain_s, self._end_requests)

    def _end_requests(self) -> None:
        """Tell every caller who still waits. Those who do not read are cut off when the words' time is over."""
        for task in tuple(self._uvicorn.server_state.tasks):
            task.cancel(ShuttingDown())
        asyncio.get_running_loop().call_later(LAST_WORDS_S + 1, self._cut)

    def _cut(self) -> None:
        self._uvicorn.force_exit = True
