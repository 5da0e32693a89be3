"""The connection a request came on, and how it is noticed that its client has left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, Protocol, TypeAlias, cast

__all__ = ["DOOR", "Departure", "Door", "Receive", "Scope", "Send"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

DOOR = "farmgate.door"
"""The ASGI extension under which our own server offers a Door."""


class Door(Protocol):
    """A connection that tells when its client leaves."""

    when_lost: Callable[[], None] | None

    def write_piece(self, data: bytes) -> Awaitable[None] | None:
        """Send a piece of a chunked answer whose head was sent; what to wait for if the client reads too slowly."""

    def cut(self) -> None:
        """End the connection; what was not sent is lost."""


class Departure:
    """Notices that the client has left, by waiting in ASGI's `receive`.

    It drives the coroutine itself, as a Task would, at a tenth of a Task's cost: one is needed for every request and
    nearly none has anything to say.
    """

    __slots__ = ("_gone", "_is_over", "_receive", "_waiting")

    def __init__(self, receive: Receive, gone: Callable[[], None]) -> None:
        self._receive = receive
        self._gone = gone
        self._is_over = False
        self._waiting = cast("Coroutine[Any, None, Message]", receive())
        self._step()

    def _step(self, _: object = None) -> None:
        if self._is_over:
            return
        try:
            awaited = self._waiting.send(None)
        except StopIteration as done:
            if done.value["type"] == "http.disconnect":
                self._gone()
            else:  # bytes after the body's end: not ours to read
                self._waiting = cast("Coroutine[Any, None, Message]", self._receive())
                self._step()
            return
        if awaited is None:
            asyncio.get_running_loop().call_soon(self._step)
            return
        awaited._asyncio_future_blocking = False  # noqa: SLF001 - the handshake every Task does with what it awaits
        awaited.add_done_callback(self._step)

    def stop(self) -> None:
        """No longer wait."""
        self._is_over = True
        self._waiting.close()
