"""One request's calls: who is asked, what comes of it, and who is asked then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from farmgate.core.errors import CallGivenUp, ContextLengthExceeded, EngineLost, FarmError, UpstreamTimeout, let_go
from farmgate.core.ports import Clock, Target
from farmgate.core.reply import Reply
from farmgate.core.request import Request
from farmgate.flow.balance import Arranged, Seen
from farmgate.flow.failures import another_may, is_passing, nobody_answered, nobody_to_ask
from farmgate.flow.fit import LARGE_BYTES, refuse_misfit
from farmgate.flow.health import State, Trial, Ward
from farmgate.flow.hedge import Hedges, first_of, give_up
from farmgate.flow.opening import first_content
from farmgate.flow.route import Candidate, Catalog
from farmgate.telemetry import log

__all__ = ["Means", "Pace", "Tries", "backoff_s"]

BASE_S = 0.1
MOST_BACKOFF_S = 2.0
EARLY_S = 0.002
"""A timer may go off so much too early: uvloop's count whole milliseconds."""
LEAST_LEFT_S = 1.0
"""With less time than this left no further call is begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often and how long. `retries`: further calls of targets that were asked already; `calls`: most in all.

    `first_content_s`: how long a target may take for its first content while another is left to ask; the last one has
    all the time the request has. `hedge`: ask a second target for whole answers that are long in coming.
    """

    retries: int = 2
    calls: int = 4
    first_content_s: float = 30.0
    hedge: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What every request is asked with. `draw`: chance, from 0 to less than 1."""

    targets: Mapping[str, Target]
    catalog: Catalog
    ward: Ward
    pace: Pace
    clock: Clock
    draw: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    hedges: Hedges = field(default_factory=Hedges)


class Tries:
    """One request's calls: who was asked, and what came of it."""

    __slots__ = (
        "_askable",
        "_calls",
        "_engines_lost",
        "_failed",
        "_falls_back",
        "_means",
        "_misfit",
        "_request",
        "_resting",
        "_waited_s",
        "_wanted",
    )

    def __init__(self, means: Means, request: Request, order: Arranged, *, falls_back: bool) -> None:
        self._means = means
        self._request = request
        self._falls_back = falls_back
        self._askable = order.askable
        self._resting = order.resting
        self._calls = 0
        self._engines_lost = 0
        """How many of this machine ended while they were at this."""
        self._waited_s = 0.0
        """For calls that came to nothing, and between them."""
        self._failed: dict[str, FarmError] = {}
        """The last failure of each target, by its key."""
        self._misfit: FarmError | None = None
        self._wanted = (order.askable or order.resting)[0].candidate

    async def first(self) -> Reply | None:
        """The answer of who is asked first, or of who was asked beside it."""
        one = self._askable[0]
        if self._means.pace.hedge and not self._request.stream and self._has_another(one.candidate):
            return await self._hedged(one)
        return await self.ask(one)

    async def _hedged(self, one: Seen) -> Reply | None:
        """Ask a second one too where the first takes longer than it nearly always does. The first answer counts, and
        the other call is given up."""
        hedges = self._means.hedges
        hedges.earn()
        long_s = hedges.long_s(one.candidate.key)
        if long_s is None:
            return await self.ask(one)
        calls = {asyncio.create_task(self.ask(one))}
        try:
            done, _ = await asyncio.wait(calls, timeout=long_s)
            second = self._askable[1]
            if not done and second.candidate.tier == one.candidate.tier and hedges.take():
                calls.add(asyncio.create_task(self.ask(second)))
            reply = await first_of(calls)
        except BaseException as error:
            await give_up(calls, *error.args if isinstance(error, asyncio.CancelledError) else ())
            raise
        await give_up(calls, CallGivenUp())
        return reply

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
            reply = None if one.candidate.key in self._failed else await self.ask(one)
            if reply is not None:
                return reply
        return None

    async def at_last(self) -> Reply:
        """All targets are left out for now. Those that failed are asked all the same, once each, because there is no
        other; one that said when it wants to be asked again is not."""
        now = self._means.clock()
        for one in self._resting if self._falls_back else self._resting[:1]:
            if now >= one.health.quota.told_until:
                reply = await self.ask(one)
                if reply is not None:
                    return reply
        raise self._outcome()

    async def _again(self, *, keep: int) -> Reply | None:
        """Try those again that failed in passing, best first, as long as the budget lasts. `keep`: how many fallbacks
        there are yet: with any, one try is enough, and one call is kept for them."""
        pace = self._means.pace
        for tried in range(1, pace.retries + 1):
            if self._calls + min(keep, 1) >= pace.calls or (keep and tried > 1):
                return None
            wait = self._next_try(tried)
            if wait is None:
                return None
            one, wait_s = wait
            if not one.health.budget.take(self._means.clock()):
                return None
            await self._means.sleep(wait_s)
            self._waited_s += wait_s
            reply = await self.ask(one)
            if reply is not None:
                return reply
        return None

    def _next_try(self, tried: int) -> tuple[Seen, float] | None:
        """Who to try again, and after how long; None where nobody should be."""
        means = self._means
        now = means.clock()
        left_s = self._request.deadline - asyncio.get_running_loop().time()
        for one in self._askable:
            error = self._failed.get(one.candidate.key)
            if error is None or not is_passing(error) or one.health.state(now) is not State.CLOSED:
                continue
            told = error.retry_after_s
            if told is not None and told > MOST_BACKOFF_S:
                continue
            if isinstance(error, EngineLost) and self._engines_lost > 1:
                continue
            wait_s = max(told or 0.0, backoff_s(tried, means.draw()))
            if left_s - wait_s >= LEAST_LEFT_S:
                return one, wait_s
        return None

    async def ask(self, one: Seen) -> Reply | None:
        """Its answer, once it has said something. None where another may do better; raises what nobody can mend."""
        means, request, candidate = self._means, self._request, one.candidate
        if self._calls >= means.pace.calls or (self._calls and not self._is_worth_asking(one)):
            return None
        if candidate.facts is not None or len(request.body.raw) > LARGE_BYTES:
            try:
                refuse_misfit(request, candidate, means.catalog)
            except FarmError as error:
                self._misfit = self._misfit or error
                return None
        self._calls += 1
        budget = one.health.budget
        if candidate.key not in self._failed:
            budget.earn()
        trial = one.health.begin(means.clock())
        addressed = request.to(
            provider=candidate.provider, model=candidate.model, call=self._calls, waited_s=self._waited_s
        )
        target = means.targets[candidate.provider]
        try:
            if self._has_another(candidate):
                reply = await self._in_time(target, addressed)
            else:
                reply = await target.send(addressed)
                if reply.event is None:
                    await first_content(reply)
        except FarmError as error:
            self._waited_s += means.clock() - trial.began
            self._over(trial, candidate, error)
            self._note(candidate, error)
            return None
        except BaseException as error:
            self._over(trial, candidate, error)
            raise
        return self._begun(reply, trial, candidate)

    async def _in_time(self, target: Target, addressed: Request) -> Reply:
        """Its answer, if it says something while another target is still worth asking. Raises UpstreamTimeout."""
        patience_s = self._means.pace.first_content_s
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
        means = self._means
        now = means.clock()
        took_s = now - trial.began
        trial.health.spoke(took_s)
        reply.waited_s = self._waited_s + took_s
        if reply.event is not None:
            self._over(trial, candidate, None)
            if means.pace.hedge:
                means.hedges.came(candidate.key, took_s)
        else:
            reply.when_closed(lambda failure: self._over(trial, candidate, failure))
        if self._calls > 1 or candidate.tier:
            reply.attempts = self._calls
            if candidate.key != self._wanted.key:
                reply.fallback = self._wanted.key
        return reply

    def _over(self, trial: Trial, candidate: Candidate, failure: BaseException | None) -> None:
        """A call has ended; the target it went to may have to rest for it, or be well again."""
        means, health = self._means, trial.health
        epoch, now = health.epoch, means.clock()
        trial.end(failure, now, means.draw() if failure is not None else 0.0)
        if health.epoch == epoch:
            return
        if health.state(now) is State.CLOSED:
            log.info("target_well", target=candidate.key)
        else:
            log.warning(
                "target_rests", target=candidate.key, seconds=round(health.back_in_s(now), 1), code=health.last_failure
            )

    def _has_another(self, candidate: Candidate) -> bool:
        """Whether somebody else is left who was not asked yet."""
        if len(self._askable) < 2 or not self._falls_back or self._calls >= self._means.pace.calls:
            return False
        return any(
            one.candidate.key != candidate.key and one.candidate.key not in self._failed for one in self._askable
        )

    def _is_worth_asking(self, one: Seen) -> bool:
        """After others: it is well still, there is time, and a prompt that was too long for those fits here."""
        now = self._means.clock()
        if (
            one.health.is_cooling(now + EARLY_S)
            or self._request.deadline - asyncio.get_running_loop().time() < LEAST_LEFT_S
        ):
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
        return known or self._means.catalog.published(candidate.provider, candidate.model).context_tokens or 0

    def _note(self, candidate: Candidate, error: FarmError) -> None:
        """Remember a failure. Raises it where no other target could do better."""
        self._failed[candidate.key] = error
        self._engines_lost += isinstance(error, EngineLost)
        let_go(error)
        if not another_may(error):
            raise self._finished(error)

    def _outcome(self) -> FarmError:
        """What to tell when nobody answered."""
        now = self._means.clock()
        if not self._failed:
            return self._misfit or nobody_to_ask(self._resting, now)
        left_out = [one for one in self._resting if one.candidate.key not in self._failed] if self._falls_back else []
        everybody = (*self._askable, *self._resting)
        return self._finished(nobody_answered(self._failed, everybody, left_out, now))

    def _finished(self, error: FarmError) -> FarmError:
        """The error as it is told: with how often somebody was asked, and whether a caller should try again at once."""
        error.attempts = self._calls
        if error.retryable and self._calls > 1:
            # Each of their retries would be as many calls again.
            error.should_retry = False
        return error


def backoff_s(tried: int, draw: float) -> float:
    """Wait before trying again, in seconds; `tried`: how often it was, from 1. Full jitter.

    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    longest_s: float = min(MOST_BACKOFF_S, BASE_S * 2 ** (tried - 1))
    return draw * longest_s
