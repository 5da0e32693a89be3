"""Names of hosts are looked up one at a time each, so that a resolver that hangs on one keeps no other waiting.

The event loop's own look-ups share a few threads: four to six names that are never found would hold all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import Sequence

__all__ = ["Name"]


class Name:
    """The name of one host, or its address."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._is_address = is_address(host)
        self._looking: asyncio.Future[Sequence[str]] | None = None

    async def addresses(self) -> Sequence[str]:
        """In the order to try them. Whoever asks while it is being looked up waits for the same answer; one who leaves
        ends nothing. Raises OSError, UnicodeError."""
        if self._is_address:
            return (self._host,)
        if self._looking is None or self._looking.done():
            loop = asyncio.get_running_loop()
            self._looking = loop.create_future()
            # A thread of its own, and a daemon: one that hangs keeps no process from ending.
            threading.Thread(target=look_up, args=(self._host, loop, self._looking), daemon=True).start()
        return await asyncio.shield(self._looking)


def look_up(host: str, loop: asyncio.AbstractEventLoop, found: asyncio.Future[Sequence[str]]) -> None:
    """In a thread: find the addresses and hand them over."""
    told: Sequence[str] | OSError | UnicodeError
    try:
        entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        told = tuple(dict.fromkeys(str(address[0]) for *_, address in entries))
    except (OSError, UnicodeError) as error:
        told = error
    with contextlib.suppress(RuntimeError):  # The loop may be over by now.
        loop.call_soon_threadsafe(hand_over, found, told)


def hand_over(found: asyncio.Future[Sequence[str]], told: Sequence[str] | OSError | UnicodeError) -> None:
    if found.done():
        return
    if isinstance(told, OSError | UnicodeError):
        found.set_exception(told)
        found.exception()  # Seen: nobody may be waiting any more.
    else:
        found.set_result(told)


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
