"""Asking a second target while the first is still silent: for whole answers only, after what is long for the first,
and for few requests, because both are paid for.

Source: Dean, Barroso, The Tail at Scale, Communications of the ACM 56(2), 2013.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque

from farmgate.core.errors import FarmError
from farmgate.core.reply import Reply

__all__ = ["Hedges", "first_of", "give_up"]

SHARE = 0.05
MOST_SAVED = 5.0
LEAST_KNOWN = 20
KEPT = 64
LONG = 0.95
MOST_TARGETS = 1024


class Hedges:
    """How long whole answers take, and how many more second calls there may be: one for twenty requests."""

    def __init__(self) -> None:
        self._took_s: OrderedDict[str, deque[float]] = OrderedDict()
        self._saved = 0.0

    def came(self, key: str, took_s: float) -> None:
        """A whole answer of a target took so long."""
        known = self._took_s.get(key)
        if known is None:
            known = self._took_s[key] = deque(maxlen=KEPT)
            if len(self._took_s) > MOST_TARGETS:
                self._took_s.popitem(last=False)
        known.append(took_s)

    def long_s(self, key: str) -> float | None:
        """What only one answer of twenty takes longer than; None while too few are known."""
        known = self._took_s.get(key)
        if known is None or len(known) < LEAST_KNOWN:
            return None
        return sorted(known)[int(len(known) * LONG)]

    def earn(self) -> None:
        """A request came that may be hedged."""
        self._saved = min(self._saved + SHARE, MOST_SAVED)

    def take(self) -> bool:
        """Whether a second call may be made now; it is paid for then."""
        # A sum of twentieths is a little less than one.
        if self._saved < 1.0 - 1e-9:
            return False
        self._saved -= 1.0
        return True


async def first_of(calls: set[asyncio.Task[Reply | None]]) -> Reply | None:
    """The first answer; it is taken out of `calls`. None when no call brings one; raises what one raised then."""
    waiting = calls
    failure: FarmError | None = None
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for call in done:
            try:
                reply = call.result()
            except FarmError as error:
                failure = failure or error
                continue
            if reply is not None:
                calls.discard(call)
                return reply
    if failure is not None:
        raise failure
    return None


async def give_up(calls: set[asyncio.Task[Reply | None]], *why: object) -> None:
    """End what still goes on, and free what came too late. `why` is told to the calls."""
    for call in calls:
        call.cancel(*why)
    for reply in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(reply, Reply):
            reply.close()
