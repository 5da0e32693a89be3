"""Batches: filled by whoever asks, never waited for long, and what breaks for one breaks for nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from farmgate.engines.engine import Batch
from farmgate.engines.serving.batching import Batcher

THREAD = ThreadPoolExecutor(1)


class Doubling:
    """Doubles numbers, and notes what it got together. `never`: nobody's time is ever over."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def compute(self, payloads: Sequence[int]) -> list[int]:
        self.batches.append(list(payloads))
        if 13 in payloads:
            raise ValueError("unlucky")
        return [2 * payload for payload in payloads]

    def batcher(self, most: int, sleep: Callable[[float], Awaitable[None]]) -> Batcher[int, int]:
        return Batcher(self.compute, batch=Batch(most=most, wait_ms=1000), thread=THREAD, sleep=sleep)


async def never(_: float) -> None:
    await asyncio.Event().wait()


async def at_once(_: float) -> None:
    """No time at all."""


async def asked(batcher: Batcher[int, int], *payloads: int, key: str | None = None) -> list[int | BaseException]:
    asks = (batcher.ask(payload, rows=1, key=key) for payload in payloads)
    async with asyncio.timeout(10):
        return await asyncio.gather(*asks, return_exceptions=True)


async def test_a_full_batch_waits_for_nobody() -> None:
    doubling = Doubling()
    assert await asked(doubling.batcher(3, never), 1, 2, 3) == [2, 4, 6]
    assert doubling.batches == [[1, 2, 3]]


async def test_more_than_a_batch_takes_are_several() -> None:
    doubling = Doubling()
    assert await asked(doubling.batcher(2, at_once), 1, 2, 3) == [2, 4, 6]
    assert doubling.batches == [[1, 2], [3]]


async def test_one_alone_is_computed_when_its_time_is_over() -> None:
    doubling = Doubling()
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    assert await asked(doubling.batcher(8, sleep), 1) == [2]
    assert len(waits) == 1
    assert 0.5 < waits[0] <= 1.0


async def test_what_breaks_for_one_is_computed_again_for_the_others() -> None:
    doubling = Doubling()
    first, broken, last = await asked(doubling.batcher(3, never), 1, 13, 3)
    assert (first, last) == (2, 6)
    assert isinstance(broken, ValueError)
    assert doubling.batches == [[1, 13, 3], [1], [13], [3]]


async def test_only_what_goes_together_is_computed_together() -> None:
    doubling = Doubling()
    batcher = doubling.batcher(4, at_once)
    apples, pears = asked(batcher, 1, 2, key="apples"), asked(batcher, 5, 6, key="pears")
    assert [*await asyncio.gather(apples, pears)] == [[2, 4], [10, 12]]
    assert doubling.batches == [[1, 2], [5, 6]]


async def test_one_that_is_larger_than_a_batch_is_computed_alone() -> None:
    doubling = Doubling()
    batcher = doubling.batcher(2, never)
    async with asyncio.timeout(10):
        assert [*await asyncio.gather(batcher.ask(7, rows=9), batcher.ask(1, rows=2))] == [14, 2]
    assert doubling.batches == [[7], [1]]


async def test_who_has_left_is_not_computed_for() -> None:
    doubling = Doubling()
    batcher = doubling.batcher(2, never)
    left = asyncio.ensure_future(batcher.ask(1, rows=1))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.wait({left})
    assert await asked(batcher, 2, 3) == [4, 6]
    assert doubling.batches == [[2, 3]]


async def test_a_batcher_goes_on_after_a_failure() -> None:
    doubling = Doubling()
    batcher = doubling.batcher(1, never)
    with pytest.raises(ValueError, match="unlucky"):
        await batcher.ask(13, rows=1)
    assert await asked(batcher, 4) == [8]


@pytest.mark.parametrize("kind", [StopIteration, GeneratorExit, KeyboardInterrupt, SystemExit, asyncio.CancelledError])
async def test_whatever_is_raised_breaks_one_batch_and_no_more(kind: type[BaseException]) -> None:
    def compute(payloads: Sequence[int]) -> Sequence[int]:
        if 13 in payloads:
            raise kind
        return payloads

    batcher = Batcher(compute, batch=Batch(most=2, wait_ms=1000), thread=THREAD, sleep=never)
    broken, other = await asked(batcher, 13, 2)
    assert isinstance(broken, RuntimeError)
    assert (str(broken), other) == (kind.__name__, 2)
    assert await asked(batcher, 3, 4) == [3, 4]
