"""Work that blocks, on threads that nobody has to wait for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["in_daemon_thread"]

T = TypeVar("T")


async def in_daemon_thread(work: Callable[[], T]) -> T:
    """Like asyncio.to_thread, on a thread that does not keep the process from ending while it waits on a socket."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if outcome.done():
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)  # type: ignore[arg-type]  # None only where T allows it

    def post(result: T | None, error: BaseException | None) -> None:
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:
            # The loop is closed: nobody waits any more.
            return

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001  handed over to the awaiting side, whatever it is
            post(None, error)
        else:
            post(result, None)

    threading.Thread(target=run, daemon=True, name="farmgate-work").start()
    return await outcome
