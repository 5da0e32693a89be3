"""Inputs of several callers are computed together: as many as fit, and none waits long for others.

One thread computes, whoever asks: a model need not be safe for several. What one caller's input breaks breaks for that
caller alone: a batch that fails is computed again, caller by caller.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, TypeVar

from farmgate.engines.engine import Batch
from farmgate.engines.timing import Sleep

__all__ = ["Batcher"]

P = TypeVar("P")
R = TypeVar("R")


@dataclass(slots=True)
class Waiting(Generic[P, R]):
    """One caller's payload, and where its result is awaited. `came`: on the loop's clock."""

    payload: P
    rows: int
    key: Hashable
    came: float
    result: asyncio.Future[R]


class Batcher(Generic[P, R]):
    """Made in the event loop that it is asked in; `compute` runs in `thread` and gives a result for each payload."""

    def __init__(
        self,
        compute: Callable[[Sequence[P]], Sequence[R]],
        *,
        batch: Batch,
        thread: Executor,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._compute = compute
        self._batch = batch
        self._thread = thread
        self._sleep = sleep
        self._loop = asyncio.get_running_loop()
        self._line: deque[Waiting[P, R]] = deque()
        self._came = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None

    async def ask(self, payload: P, *, rows: int, key: Hashable = None) -> R:
        """Its result. `rows`: how much of a batch it takes; `key`: only equal ones are computed together.

        Raises what `compute` raises for it. Whoever stops waiting before it is computed is left out.
        """
        one = Waiting[P, R](payload, rows, key, self._loop.time(), self._loop.create_future())
        self._line.append(one)
        self._came.set()
        if self._owner is None:
            self._owner = self._loop.create_task(self._live(), name="batches")
        return await one.result

    async def _live(self) -> None:
        while True:
            self._came.clear()
            if not self._line:
                await self._came.wait()
                continue
            await self._until_full()
            if together := self._take():
                await self._answer(together)

    async def _until_full(self) -> None:
        """Until a batch is full, or the first has waited long enough for it. While one was computed others came: those
        have waited already."""
        left_s = self._line[0].came + self._batch.wait_ms / 1000 - self._loop.time()
        if left_s <= 0 or self._is_full():
            return
        over = asyncio.ensure_future(self._sleep(left_s))
        try:
            while not over.done() and not self._is_full():
                came = asyncio.ensure_future(self._came.wait())
                await asyncio.wait({over, came}, return_when=asyncio.FIRST_COMPLETED)
                came.cancel()
                self._came.clear()
        finally:
            over.cancel()

    def _is_full(self) -> bool:
        return sum(one.rows for one in self._line) >= self._batch.most

    def _take(self) -> list[Waiting[P, R]]:
        """The next batch: the first in line, and those behind it that fit. Others keep their place."""
        together: list[Waiting[P, R]] = []
        later: deque[Waiting[P, R]] = deque()
        rows = 0
        for one in self._line:
            if one.result.done():
                continue
            fits = not together or (one.key == together[0].key and rows + one.rows <= self._batch.most)
            if fits:
                together.append(one)
                rows += one.rows
            else:
                later.append(one)
        self._line = later
        return together

    async def _answer(self, together: Sequence[Waiting[P, R]]) -> None:
        try:
            results = await self._computed(together)
        except Exception as error:  # noqa: BLE001 - handed over to whoever waits for it, whatever it is
            if len(together) == 1:
                tell(together[0], error=error)
                return
            for one in together:
                if not one.result.done():
                    await self._answer([one])
            return
        for one, result in zip(together, results, strict=True):
            tell(one, result)

    async def _computed(self, together: Sequence[Waiting[P, R]]) -> Sequence[R]:
        payloads = [one.payload for one in together]
        return await self._loop.run_in_executor(self._thread, self._results, payloads)

    def _results(self, payloads: Sequence[P]) -> Sequence[R]:
        """In the thread. Raises nothing that a future cannot hold, or that would end more than this batch."""
        try:
            return self._compute(payloads)
        except Exception as error:
            if isinstance(error, StopIteration):
                raise RuntimeError("StopIteration") from error
            raise
        except BaseException as error:
            # A panic of a library in Rust is one, and no signal of ours reaches this thread.
            raise RuntimeError(type(error).__name__) from error


def tell(one: Waiting[P, R], result: R | None = None, *, error: Exception | None = None) -> None:
    """Whoever has left is told nothing."""
    if one.result.done():
        return
    if error is not None:
        one.result.set_exception(error)
    else:
        one.result.set_result(result)  # type: ignore[arg-type] # None only where R allows it
