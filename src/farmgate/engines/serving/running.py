"""An engine's application behind a socket of its own, from when it can be asked until its process is told to die."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import Callable, Coroutine, Iterator

import uvicorn

from farmgate.engines.launching import LOOPBACK
from farmgate.engines.serving.app import App

__all__ = ["run", "serve"]

KEEP_ALIVE_S = 3600
"""The gate keeps its connections, and closes them: an engine that did would break a request that is on its way."""


def run(main: Coroutine[object, object, None]) -> None:
    """In an event loop: uvloop's, where there is one."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main)


class Server(uvicorn.Server):
    """Says when it listens, and lets SIGTERM end the process at once: there is nothing to save."""

    when_started: Callable[[], None] = staticmethod(lambda: None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.when_started()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(make: Callable[[], App], ready: Callable[[str], None]) -> None:
    """Answers for ever. `make`: what has to be made in the event loop; `ready` gets the address, once."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.bind((LOOPBACK, 0))
    config = uvicorn.Config(
        make(),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    server = Server(config)
    server.when_started = lambda: ready(f"http://{LOOPBACK}:{sock.getsockname()[1]}")
    # What is there now stays, and it may be much: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    await server.serve([sock])
