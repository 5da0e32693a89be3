"""What `dev` and `serve` share: the socket, the loop, what is said when the gate is ready, and reloading."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from farmgate import __version__
from farmgate.core.errors import FarmError
from farmgate.surfaces.cli.panel import Facts
from farmgate.surfaces.cli.remote import RemoteGate, reachable_host
from farmgate.surfaces.cli.session import Session
from farmgate.surfaces.cli.words import path_text

if TYPE_CHECKING:
    from farmgate.config import Config
    from farmgate.surfaces.cli.house import OpenGate

__all__ = ["AddressUnusable", "facts_of", "listen", "reload_on_hangup", "run_loop", "url_of"]

T = TypeVar("T")


class AddressUnusable(FarmError):
    """The address cannot be listened on."""

    code = "address_unusable"


def listen(session: Session, config: Config) -> socket.socket:
    """The socket to serve on. Taken before anything slow is done. Raises AddressUnusable."""
    host, port = config.server.host, config.server.port
    try:
        return session.house.listen(host, port)
    except OSError as error:
        running = RemoteGate(host, port)
        if port and running.is_alive():
            raise AddressUnusable(
                f"a Farmgate answers on {running.url} already: use it, stop it, or choose another --port"
            ) from error
        raise AddressUnusable(str(error)) from error


def run_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run until done, on uvloop where there is one: it halves the cost of a stream."""
    with contextlib.suppress(ImportError):
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)
    return asyncio.run(work)


def url_of(sock: socket.socket) -> str:
    """The address people call."""
    host, port = sock.getsockname()[:2]
    host = reachable_host(host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def facts_of(session: Session, config: Config, gate: OpenGate, url: str) -> Facts:
    """Everything the start panel tells."""
    return Facts(
        version=__version__,
        environment=config.environment,
        url=url,
        ready_s=time.monotonic() - session.begun.started,
        needs_key=bool(config.keys),
        findings=gate.findings,
        default=gate.default,
        is_demo=gate.is_demo,
        home=path_text(config.home),
        source=path_text(config.source) if config.source else None,
        notices=config.notices,
        has_engine=session.house.has_engine(),
    )


def reload_on_hangup(ask: Callable[[], None]) -> None:
    """SIGHUP reads the configuration again, as daemons do."""
    with contextlib.suppress(AttributeError, NotImplementedError, RuntimeError, ValueError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, ask)
