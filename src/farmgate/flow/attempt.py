"""Ask the targets of a plan until one answers, and let nothing out before it has said something.

Until the first content of an answer has come, whatever goes wrong is told with a true HTTP status, and another target
or another try may hide it. Afterwards nothing is tried again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from farmgate.core.errors import (
    ContextLengthExceeded,
    FarmError,
    ModelNotCapable,
    ModelNotFound,
    NoTargetLeft,
    NotSupported,
    UnsupportedParameter,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamTlsError,
    let_go,
)
from farmgate.core.ports import Clock, Target
from farmgate.core.reply import Event, Reply
from farmgate.core.request import Request
from farmgate.flow.balance import Arranged, Seen, arrange
from farmgate.flow.fit import LARGE_BYTES, refuse_misfit
from farmgate.flow.health import State, Trial, Ward
from farmgate.flow.plan import Plan, plan
from farmgate.flow.route import Candidate, Catalog
from farmgate.flow.routes import Balance, Sticky

__all__ = ["Attempt", "Pace", "affinity_of", "arranged", "backoff_s", "find", "first_content"]

HELD_BYTES = 64 * 1024
MOST_ALONE = 1024
BASE_S = 0.1
MOST_BACKOFF_S = 2.0
LEAST_LEFT_S = 1.0
"""With less time than this left no further call is begun."""
SESSION_FIELDS = ("prompt_cache_key", "safety_identifier", "user")
NEXT_MAY_DO = (UnsupportedParameter, ModelNotCapable, ModelNotFound, NotSupported, ContextLengthExceeded)
"""What one model cannot and another may: no failure, and no reason to ask this one again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often and how long. `retries`: further calls of targets that were asked already; `calls`: most in all.

    `first_content_s`: how long a target may take for its first content while another is left to ask; the last one has
    all the time the request has.
    """

    retries: int = 2
    calls: int = 4
    first_content_s: float = 30.0


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
        self.targets = targets
        self.catalog = catalog
        self.ward = ward or Ward()
        self.pace = pace or Pace()
        self.clock = clock
        self.draw = draw
        self.sleep = sleep
        self._alone: dict[str, tuple[Arranged, Arranged]] = {}

    async def send(self, request: Request) -> Reply:
        view = self.catalog.view()
        try:
            made = plan(request.model, request.provider, view, request.kind)
        except ModelNotFound:
            made = await find(request, self.catalog)
        order = arranged(made, request, self)
        tries = Tries(self, request, order, falls_back=view.falls_back)
        if not order.askable:
            return await tries.at_last()
        reply = await tries.ask(order.askable[0])
        return await tries.after_the_first() if reply is None else reply

    def alone(self, candidate: Candidate) -> tuple[Arranged, Arranged]:
        """The order of a plan with one target, while it is well and while it is not. Kept, because it is the usual
        one."""
        known = self._alone.get(candidate.key)
        if known is None:
            if len(self._alone) >= MOST_ALONE:
                self._alone.clear()
            seen = (Seen(candidate, self.ward.of(candidate.key, candidate.quota)),)
            known = self._alone[candidate.key] = (Arranged(seen), Arranged((), seen))
        return known


def arranged(made: Plan, request: Request, attempt: Attempt) -> Arranged:
    """The plan's targets, in the order in which to ask them now."""
    ward, candidates = attempt.ward, made.candidates
    if len(candidates) == 1:
        well, resting = attempt.alone(candidates[0])
        health = well.askable[0].health
        now = attempt.clock()
        return well if health.may_be_asked(now) and not health.is_cooling(now) else resting
    costs = made.balance is Balance.COST
    return arrange(
        [
            Seen(one, ward.of(one.key, one.quota), cost_of(one, attempt.catalog) if costs else None)
            for one in candidates
        ],
        now=attempt.clock(),
        draw=attempt.draw,
        balance=made.balance,
        affinity=affinity_of(made.sticky, request),
        region=attempt.catalog.view().region,
    )


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
    """What a request's targets are picked by, so that what belongs together stays together. One key's sessions never
    mix with another's."""
    caller = request.principal.key_name
    match sticky:
        case Sticky.OFF:
            return None
        case Sticky.CALLER:
            return caller
        case Sticky.SESSION:
            told = (request.body.fields.get(name) for name in SESSION_FIELDS)
            return f"{caller}\0{next((name for name in told if isinstance(name, str) and name), '')}"


def backoff_s(tried: int, draw: float) -> float:
    """Wait before trying again, in seconds; `tried`: how often it was, from 1. Full jitter.

    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    longest_s: float = min(MOST_BACKOFF_S, BASE_S * 2 ** (tried - 1))
    return draw * longest_s


class Tries:
    """One request's calls: who was asked, and what came of it."""

    __slots__ = (
        "_askable",
        "_attempt",
        "_calls",
        "_failed",
        "_falls_back",
        "_misfit",
        "_request",
        "_resting",
        "_wanted",
    )

    def __init__(self, attempt: Attempt, request: Request, order: Arranged, *, falls_back: bool) -> None:
        self._attempt = attempt
        self._request = request
        self._falls_back = falls_back
        self._askable = order.askable
        self._resting = order.resting
        self._calls = 0
        self._failed: dict[str, FarmError] = {}
        """The last failure of each target, by its key."""
        self._misfit: FarmError | None = None
        self._wanted = (order.askable or order.resting)[0].candidate

    async def after_the_first(self) -> Reply:
        """Those of the first tier, that tier once more, and the fallbacks."""
        rest = self._askable[1:] if self._falls_back else ()
        wanted = self._askable[0].candidate.tier
        reply = await self._first_of([one for one in rest if one.candidate.tier == wanted])
        if reply is None:
            fallbacks = [one for one in rest if one.candidate.tier != wanted]
            reply = await self._again(keep=len(fallbacks)) or await self._first_of(fallbacks)
        if reply is None:
            raise self._outcome()
        return reply

    async def _first_of(self, targets: Sequence[Seen]) -> Reply | None:
        for one in targets:
            reply = await self.ask(one)
            if reply is not None:
                return reply
        return None

    async def at_last(self) -> Reply:
        """All targets are left out for now. Those that failed are asked all the same, once each, because there is no
        other; one that said when it wants to be asked again is not."""
        now = self._attempt.clock()
        for one in self._resting if self._falls_back else self._resting[:1]:
            if now >= one.health.quota.told_until:
                reply = await self.ask(one)
                if reply is not None:
                    return reply
        raise self._outcome()

    async def _again(self, *, keep: int) -> Reply | None:
        """Try those again that failed in passing, best first, as long as the budget lasts. `keep`: how many fallbacks
        there are yet: with any, one try is enough, and one call is kept for them."""
        pace = self._attempt.pace
        for tried in range(1, pace.retries + 1):
            if self._calls + min(keep, 1) >= pace.calls or (keep and tried > 1):
                return None
            wait = self._next_try(tried)
            if wait is None:
                return None
            one, wait_s = wait
            if not one.health.budget.take(self._attempt.clock()):
                return None
            await self._attempt.sleep(wait_s)
            reply = await self.ask(one)
            if reply is not None:
                return reply
        return None

    def _next_try(self, tried: int) -> tuple[Seen, float] | None:
        """Who to try again, and after how long; None where nobody should be."""
        attempt = self._attempt
        now = attempt.clock()
        left_s = self._request.deadline - asyncio.get_running_loop().time()
        for one in self._askable:
            error = self._failed.get(one.candidate.key)
            if error is None or not is_passing(error) or one.health.state(now) is not State.CLOSED:
                continue
            told = error.retry_after_s
            if told is not None and told > MOST_BACKOFF_S:
                continue
            wait_s = backoff_s(tried, attempt.draw()) if told is None else told
            if left_s - wait_s >= LEAST_LEFT_S:
                return one, wait_s
        return None

    async def ask(self, one: Seen) -> Reply | None:
        """Its answer, once it has said something. None where another may do better; raises what nobody can mend."""
        attempt, request, candidate = self._attempt, self._request, one.candidate
        if self._calls >= attempt.pace.calls or (self._calls and not self._is_worth_asking(one)):
            return None
        if candidate.facts is not None or len(request.body.raw) > LARGE_BYTES:
            try:
                refuse_misfit(request, candidate, attempt.catalog)
            except FarmError as error:
                self._misfit = self._misfit or error
                return None
        self._calls += 1
        budget = one.health.budget
        if candidate.key not in self._failed:
            budget.earn()
        trial = one.health.begin(attempt.clock())
        addressed = request.to(provider=candidate.provider, model=candidate.model, call=self._calls)
        target = attempt.targets[candidate.provider]
        try:
            if self._has_another(candidate):
                reply = await self._in_time(target, addressed)
            else:
                reply = await target.send(addressed)
                if reply.event is None:
                    await first_content(reply)
        except FarmError as error:
            trial.end(error, attempt.clock(), attempt.draw())
            self._note(candidate, error)
            return None
        except BaseException as error:
            trial.end(error, attempt.clock(), attempt.draw())
            raise
        return self._begun(reply, trial, candidate)

    async def _in_time(self, target: Target, addressed: Request) -> Reply:
        """Its answer, if it says something while another target is still worth asking. Raises UpstreamTimeout."""
        patience_s = self._attempt.pace.first_content_s
        late = UpstreamTimeout(f"{addressed.provider} did not begin its answer within {patience_s:g} s.")
        task = asyncio.current_task()
        assert task is not None
        # Not `asyncio.timeout`: the reason goes along, so that whoever is cancelled knows that nobody has left.
        timer = asyncio.get_running_loop().call_later(patience_s, task.cancel, late)
        try:
            reply = await target.send(addressed)
            await first_content(reply)
        except asyncio.CancelledError as error:
            if error.args[:1] == (late,) and not task.uncancel():
                raise late from error
            raise
        finally:
            timer.cancel()
        return reply

    def _begun(self, reply: Reply, trial: Trial, candidate: Candidate) -> Reply:
        """An answer that has said something: how it ends says the rest of its target."""
        attempt = self._attempt
        now = attempt.clock()
        trial.health.spoke(now - trial.began)
        if reply.event is not None:
            trial.end(None, now, 0.0)
        else:
            reply.when_closed(lambda failure: trial.end(failure, attempt.clock(), attempt.draw()))
        if self._calls > 1 or candidate.tier:
            reply.attempts = self._calls
            if candidate.key != self._wanted.key:
                reply.fallback = self._wanted.key
        return reply

    def _has_another(self, candidate: Candidate) -> bool:
        """Whether somebody else is left who was not asked yet."""
        if len(self._askable) < 2 or not self._falls_back or self._calls >= self._attempt.pace.calls:
            return False
        return any(
            one.candidate.key != candidate.key and one.candidate.key not in self._failed for one in self._askable
        )

    def _is_worth_asking(self, one: Seen) -> bool:
        """After others: it is well still, there is time, and a prompt that was too long for those fits here."""
        now = self._attempt.clock()
        if one.health.is_cooling(now) or self._request.deadline - asyncio.get_running_loop().time() < LEAST_LEFT_S:
            return False
        if any(isinstance(error, ContextLengthExceeded) for error in self._failed.values()):
            return self._context(one.candidate) > self._longest_tried()
        return True

    def _longest_tried(self) -> int:
        tried = (one.candidate for one in self._askable if one.candidate.key in self._failed)
        return max(map(self._context, tried), default=0)

    def _context(self, candidate: Candidate) -> int:
        """The longest prompt it is known to take; 0 where nobody knows."""
        facts = candidate.facts
        known = facts.context_tokens if facts is not None else None
        return known or self._attempt.catalog.published(candidate.provider, candidate.model).context_tokens or 0

    def _note(self, candidate: Candidate, error: FarmError) -> None:
        """Remember a failure. Raises it where no other target could do better."""
        self._failed[candidate.key] = error
        let_go(error)
        if not isinstance(error, NEXT_MAY_DO) and not isinstance(error, UpstreamError) and not error.retryable:
            raise self._finished(error)
        if isinstance(error, UpstreamError) and not error.retryable and not is_about_key(error):
            raise self._finished(error)

    def _outcome(self) -> FarmError:
        """What to tell when nobody answered."""
        errors = list(self._failed.values())
        if not errors:
            return self._misfit or self._nobody()
        if len(errors) == 1:
            return self._finished(errors[0])
        if all(isinstance(error, NEXT_MAY_DO) for error in errors):
            return self._finished(errors[0])
        return self._finished(self._all_failed(errors))

    def _nobody(self) -> FarmError:
        """Nobody was asked: the limits of all are used up."""
        now = self._attempt.clock()
        soonest_s = min(one.health.back_in_s(now) for one in self._resting)
        names = ", ".join(one.candidate.key for one in self._resting)
        return UpstreamRateLimited(f"The rate limit of {names} is used up.", retry_after_s=soonest_s)

    def _all_failed(self, errors: Sequence[FarmError]) -> FarmError:
        now = self._attempt.clock()
        soonest_s = min(one.health.back_in_s(now) for one in (*self._askable, *self._resting))
        told = " ".join(f"{name}: {error.message}" for name, error in self._failed.items())
        if all(isinstance(error, UpstreamRateLimited) for error in errors):
            return UpstreamRateLimited(f"Every target is at its rate limit. {told}", retry_after_s=soonest_s)
        return NoTargetLeft(f"No target answered. {told}", retry_after_s=max(soonest_s, 1.0))

    def _finished(self, error: FarmError) -> FarmError:
        """The error as it is told: with how often somebody was asked, and whether a caller should try again at once."""
        error.attempts = self._calls
        if error.retryable and self._calls > 1:
            # Each of their retries would be as many calls again.
            error.should_retry = False
        return error


def is_passing(error: FarmError) -> bool:
    """Whether the same target may do better in a moment. Another 30 s of silence would help nobody."""
    if isinstance(error, UpstreamTimeout | UpstreamTlsError):
        return False
    return isinstance(error, UpstreamError) and error.retryable


def is_about_key(error: UpstreamError) -> bool:
    """Whether another credential may be accepted."""
    return error.code == "upstream_auth_failed"


async def find(request: Request, catalog: Catalog) -> Plan:
    """Who may answer to the name in a request. Raises ModelNotFound, ModelNotCapable or InvalidValue."""
    try:
        return plan(request.model, request.provider, catalog.view(), request.kind)
    except ModelNotFound:
        # It may have been pulled a moment ago.
        await catalog.refresh()
        return plan(request.model, request.provider, catalog.view(), request.kind)


async def first_content(reply: Reply) -> None:
    """Wait until an answer has said something or is complete. Closes the reply and raises when it breaks before."""
    if reply.event is not None:
        return
    held: list[Event] = []
    size = 0
    try:
        while True:
            event = await reply.next()
            if event is None:
                break
            held.append(event)
            size += len(event.raw)
            if event.bears_content or size > HELD_BYTES:
                break
    except BaseException as error:
        reply.close(error)
        raise
    reply.hold(held)
