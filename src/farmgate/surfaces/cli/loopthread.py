"""An event loop in a thread of its own, so that the main thread is free for the keyboard and for Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future, wait
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, TypeVar

__all__ = ["LoopThread"]

T = TypeVar("T")
STOP_S = 10.0
TICK_S = 0.1


class LoopThread:
    """Use with `with`. On the way out everything held is left and every task is cancelled."""

    def __init__(self) -> None:
        self._begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), name="loop", daemon=True)
        self._held: list[tuple[Future[None], asyncio.Event]] = []

    async def _live(self) -> None:
        stop = asyncio.Event()
        self._begun.set_result((asyncio.get_running_loop(), stop))
        await stop.wait()

    def __enter__(self) -> LoopThread:
        self._thread.start()
        self._loop, self._stop = self._begun.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for keeping, leave in reversed(self._held):
                self._loop.call_soon_threadsafe(leave.set)
                keeping.result(STOP_S)
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(STOP_S)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do `work` over there and wait for it. Ctrl-C cancels it, waits until it has ended, and is raised here."""
        done: Future[T] = Future()
        tasks: list[asyncio.Task[T]] = []

        def begin() -> None:
            task = self._loop.create_task(work)
            tasks.append(task)
            task.add_done_callback(lambda task: settle(task, done))

        def stop() -> None:
            # Runs after `begin`, if that was reached at all: the loop keeps their order.
            if not tasks:
                work.close()
                done.cancel()
            for task in tasks:
                task.cancel()

        try:
            self._loop.call_soon_threadsafe(begin)
            # A Ctrl-C that comes just before the wait does not end it: it is noticed when the wait is over.
            while not wait([done], timeout=TICK_S).done:
                pass
            return done.result()
        except KeyboardInterrupt:
            self._loop.call_soon_threadsafe(stop)
            with contextlib.suppress(CancelledError, TimeoutError):
                done.exception(STOP_S)
            raise

    def hold(self, context: AbstractAsyncContextManager[T]) -> T:
        """Enter `context` for as long as this thread lives. One task enters and leaves it, as task groups demand."""
        entered: Future[T] = Future()
        leave = asyncio.Event()

        async def keep() -> None:
            try:
                async with context as value:
                    entered.set_result(value)
                    await leave.wait()
            except BaseException as error:
                if entered.done():
                    raise
                entered.set_exception(error)

        keeping = asyncio.run_coroutine_threadsafe(keep(), self._loop)
        try:
            value = entered.result()
        except KeyboardInterrupt:
            keeping.cancel()
            raise
        self._held.append((keeping, leave))
        return value


def settle(task: asyncio.Task[T], done: Future[T]) -> None:
    """Tell whoever waits how a task ended."""
    if task.cancelled():
        done.cancel()
    elif error := task.exception():
        done.set_exception(error)
    else:
        done.set_result(task.result())
