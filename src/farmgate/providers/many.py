"""One request that takes several exchanges: a few at a time, and none goes on where one failed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from farmgate.core.reply import Event, Part, Usage, Vector

__all__ = ["all_of", "vectors_event"]

Result = TypeVar("Result")


async def all_of(jobs: Sequence[Callable[[], Awaitable[Result]]], *, at_once: int) -> list[Result]:
    """What each gave, in their order. Raises what the first that failed raised; the others are given up."""
    turns = asyncio.Semaphore(at_once)

    async def run(job: Callable[[], Awaitable[Result]]) -> Result:
        async with turns:
            return await job()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run(job)) for job in jobs]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


def vectors_event(groups: Sequence[Sequence[tuple[float, ...]]], tokens: Sequence[int | None]) -> Event:
    """The vectors of all groups as one answer; its tokens only where every group told its own."""
    vectors = [values for group in groups for values in group]
    parts: list[Part] = [Vector(values, at) for at, values in enumerate(vectors)]
    if tokens and None not in tokens:
        parts.append(Usage(prompt_tokens=sum(count or 0 for count in tokens)))
    return Event(tuple(parts))
