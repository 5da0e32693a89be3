"""Texts to embed that are too many for one request: several requests, one answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeAlias

from farmgate.core.reply import Event, Part, Usage, Vector
from farmgate.providers.many import all_of

__all__ = ["Texts", "batched", "embed"]

AT_ONCE = 4
"""Requests under way for one caller: more would only meet the provider's rate limit."""

Texts: TypeAlias = tuple[str, ...]


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
