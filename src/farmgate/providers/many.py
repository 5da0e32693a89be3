"""One request that takes several exchanges: a few at a time, and none goes on where one failed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeAlias, TypeVar

from farmgate.core.event import Event, Part, Usage, Vector

__all__ = ["Texts", "all_of", "batched", "embed", "vectors_event"]

AT_ONCE = 4
"""Requests under way for one caller: more would only meet the provider's rate limit."""
Texts: TypeAlias = tuple[str, ...]
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


def batched(texts: Texts, most: int) -> list[Texts]:
    """The texts, at most so many together."""
    return [texts[at : at + most] for at in range(0, len(texts), most)]


async def embed(batches: Sequence[Texts], ask: Callable[[Texts], Awaitable[Event]]) -> Event:
    """One event with all vectors in their order. Raises what the first batch that failed raised."""
    if len(batches) == 1:
        return await ask(batches[0])
    events = await all_of([partial(ask, texts) for texts in batches], at_once=AT_ONCE)
    return joined(batches, events)


def joined(batches: Sequence[Texts], events: Sequence[Event]) -> Event:
    """The vectors of all batches under their own places; what they cost together, where each told its own."""
    parts: list[Part] = []
    offset = 0
    for texts, event in zip(batches, events, strict=True):
        parts += [Vector(part.values, offset + part.index) for part in event.parts if isinstance(part, Vector)]
        offset += len(texts)
    costs = [event.usage.prompt_tokens for event in events if event.usage is not None]
    return Event((*parts, Usage(prompt_tokens=sum(costs))) if len(costs) == len(events) else tuple(parts))
