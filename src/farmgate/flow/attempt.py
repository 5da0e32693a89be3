"""Ask the targets of a plan until one answers, and let nothing out before it has said something.

Until the first content of an answer has come, whatever goes wrong is told with a true HTTP status, and another target
or another try may hide it. Afterwards nothing is tried again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping

from farmgate.core.errors import ModelNotFound
from farmgate.core.ports import Clock, Target
from farmgate.core.reply import Reply
from farmgate.core.request import Request
from farmgate.flow.balance import Arranged, Seen, affinity, arrange
from farmgate.flow.health import Ward
from farmgate.flow.plan import Plan, plan
from farmgate.flow.route import Candidate, Catalog
from farmgate.flow.routes import Balance, Sticky
from farmgate.flow.tries import Means, Pace, Tries

__all__ = ["Attempt", "affinity_of", "cost_of", "find"]

MOST_ALONE = 1024
SESSION_FIELDS = ("prompt_cache_key", "safety_identifier", "user")


class Attempt:
    """A Target in front of all providers."""

    def __init__(
        self,
        targets: Mapping[str, Target],
        catalog: Catalog,
        *,
        ward: Ward | None = None,
        pace: Pace | None = None,
        clock: Clock = time.monotonic,
        draw: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`draw`: chance, from 0 to less than 1."""
        self.means = Means(
            targets=targets,
            catalog=catalog,
            ward=ward or Ward(),
            pace=pace or Pace(),
            clock=clock,
            draw=draw,
            sleep=sleep,
        )
        self._alone: dict[str, tuple[Arranged, Arranged]] = {}

    async def send(self, request: Request) -> Reply:
        view = self.means.catalog.view()
        try:
            made = plan(request.model, request.provider, view, request.kind)
        except ModelNotFound:
            made = await find(request, self.means.catalog)
        order = self._arranged(made, request)
        tries = Tries(self.means, request, order, falls_back=view.falls_back)
        if not order.askable:
            return await tries.at_last()
        reply = await tries.first()
        return await tries.after_the_first() if reply is None else reply

    def _arranged(self, made: Plan, request: Request) -> Arranged:
        """The plan's targets, in the order in which to ask them now."""
        means, candidates = self.means, made.candidates
        ward = means.ward
        if len(candidates) == 1:
            well, resting = self._alone_of(candidates[0])
            health = well.askable[0].health
            now = means.clock()
            return well if health.may_be_asked(now) and not health.is_cooling(now) else resting
        costs = made.balance is Balance.COST
        return arrange(
            [
                Seen(one, ward.of(one.key, one.quota), cost_of(one, means.catalog) if costs else None)
                for one in candidates
            ],
            now=means.clock(),
            draw=means.draw,
            balance=made.balance,
            affinity=affinity_of(made.sticky, request),
            region=means.catalog.view().region,
        )

    def _alone_of(self, candidate: Candidate) -> tuple[Arranged, Arranged]:
        """The order of a plan with one target, while it is well and while it is not. Kept, because it is the usual
        one."""
        known = self._alone.get(candidate.key)
        if known is None:
            if len(self._alone) >= MOST_ALONE:
                self._alone.clear()
            seen = (Seen(candidate, self.means.ward.of(candidate.key, candidate.quota)),)
            known = self._alone[candidate.key] = (Arranged(seen), Arranged((), seen))
        return known


def cost_of(candidate: Candidate, catalog: Catalog) -> float | None:
    """What a million tokens in and a million out cost together."""
    facts = candidate.facts
    price = facts.price if facts is not None else None
    price = price or catalog.published(candidate.provider, candidate.model).price
    if price is None:
        return None
    rates = price.rates
    return float((rates.input_usd or 0) + (rates.output_usd or 0))


def affinity_of(sticky: Sticky, request: Request) -> str | None:
    """What a request's targets are picked by, so that what belongs together stays together."""
    if sticky is Sticky.OFF:
        return None
    told = (request.body.fields.get(name) for name in SESSION_FIELDS) if sticky is Sticky.SESSION else ()
    session = next((name for name in told if isinstance(name, str) and name), "")
    return affinity(sticky, request.principal.key_name, session)


async def find(request: Request, catalog: Catalog) -> Plan:
    """Who may answer to the name in a request. Raises ModelNotFound, ModelNotCapable or InvalidValue."""
    try:
        return plan(request.model, request.provider, catalog.view(), request.kind)
    except ModelNotFound:
        # It may have been pulled a moment ago.
        await catalog.refresh()
        return plan(request.model, request.provider, catalog.view(), request.kind)
