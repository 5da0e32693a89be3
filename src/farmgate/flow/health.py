"""Is a target well? What was seen of each is kept here, and turned into: may be asked, may be probed, is left out.

A target is one provider's model with one credential. Five failures in a row, all of calls that began after the last
success, or half of at least twenty calls since the first failure within thirty seconds, open its breaker; then it is
left out for a while that grows with each time, until two probes, one at a time, went well. A rate limit is no failure:
it is a cooldown of the quota it belongs to, whoever shares it.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from enum import Enum, auto

from farmgate.core.errors import (
    FarmError,
    Overloaded,
    Unavailable,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRefusedKey,
    UpstreamRejected,
)
from farmgate.core.model import EngineLoad

__all__ = ["Budget", "Health", "Quota", "State", "Trial", "Verdict", "Ward", "verdict"]

FAILURES_IN_A_ROW = 5
WINDOW_S = 30.0
LEAST_CALLS = 20
OPEN_S = 5.0
"""A probe is a caller's own request and goes on to another target when it fails, so that looking often costs little."""
MOST_OPEN_S = 20.0
"""So that a target that has healed is back within this time, whatever it did before."""
JITTER = 0.2
PROBES_TO_CLOSE = 2
FORGIVEN_AFTER_S = 300.0
FIRST_TOKEN_SHARE = 0.3
"""Weight of the newest time to the first token in its moving average."""
COOLDOWN_S = 1.0
"""After a rate limit whose provider does not say for how long."""
LONGEST_COOLDOWN_S = 300.0
MOST_TARGETS = 4096


class Verdict(Enum):
    """What the end of a call says of the target that was asked."""

    WELL = auto()
    FAILED = auto()
    REFUSED_KEY = auto()
    LIMITED = auto()
    NEUTRAL = auto()


def verdict(failure: BaseException | None) -> Verdict:
    """A caller's mistake, a caller who left, and a line that was full say nothing of how well the target is."""
    match failure:
        case None:
            return Verdict.WELL
        case UpstreamRateLimited():
            return Verdict.LIMITED
        case UpstreamRefusedKey():
            return Verdict.REFUSED_KEY
        case UpstreamRejected() | Overloaded():
            return Verdict.NEUTRAL
        case UpstreamError() | Unavailable():
            return Verdict.FAILED
        case FarmError():
            return Verdict.NEUTRAL
        case _:
            return Verdict.NEUTRAL


class State(Enum):
    """CLOSED: asked as usual. OPEN: left out. HALF_OPEN: one request at a time finds out whether it is well again."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Quota:
    """A provider's limit that one or more targets share. Times are on the monotonic clock.

    `told_until`: until then the provider itself wants not to be asked; the rest is a guess of ours.
    """

    __slots__ = ("cooled_until", "told_until")

    def __init__(self) -> None:
        self.cooled_until = self.told_until = -math.inf

    def cool(self, now: float, retry_after_s: float | None) -> None:
        """The limit is used up for `retry_after_s`; the latest answer counts, also where it says less."""
        told = COOLDOWN_S if retry_after_s is None else retry_after_s
        self.cooled_until = now + min(max(told, 0.0), LONGEST_COOLDOWN_S)
        self.told_until = -math.inf if retry_after_s is None else self.cooled_until


class Budget:
    """Retries a target may be asked for: a fifth of its calls, and a few where it is asked seldom.

    Source: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html (token bucket)
    """

    __slots__ = ("_filled_at", "tokens")

    SHARE = 0.2
    LEAST = 3.0
    MOST = 20.0
    LEAST_PER_S = 0.3

    def __init__(self) -> None:
        self.tokens = self.LEAST
        self._filled_at = -math.inf

    def earn(self) -> None:
        """A call was made that is no retry."""
        if self.tokens < self.MOST:
            self.tokens += self.SHARE

    def take(self, now: float) -> bool:
        """Whether a retry may be made now; it is paid for then."""
        if self.tokens < self.LEAST and self._filled_at != -math.inf:
            self.tokens = min(self.LEAST, self.tokens + (now - self._filled_at) * self.LEAST_PER_S)
        self._filled_at = now
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


class Health:
    """One target, as it was seen. Decides by the values it is given: it has no clock and no chance of its own."""

    __slots__ = (
        "_calls",
        "_calls_before",
        "_failures",
        "_failures_before",
        "_in_a_row",
        "_probes_well",
        "_turns_at",
        "_well_at",
        "budget",
        "closed_at",
        "epoch",
        "first_token_s",
        "in_flight",
        "is_probed",
        "last_failure",
        "load",
        "open_until",
        "quota",
        "times_open",
    )

    def __init__(self, quota: Quota | None = None) -> None:
        self.quota = quota or Quota()
        self.budget = Budget()
        self.in_flight = 0
        self.first_token_s: float | None = None
        """Moving average of the time to the first content."""
        self.load: EngineLoad | None = None
        """What its engine told last, where one is asked."""
        self.last_failure: str | None = None
        """The code of the last failure, for people."""
        self.open_until = -math.inf
        """Infinite past: closed. Else the breaker is open until then, and half open from then on."""
        self.closed_at = -math.inf
        self.times_open = 0
        self.epoch = 0
        """Counts changes of the breaker: what began before the last one says nothing about the state since."""
        self.is_probed = False
        self._in_a_row = 0
        self._well_at = -math.inf
        """When a call last went well."""
        self._probes_well = 0
        self._turns_at = -math.inf
        self._calls = self._failures = 0
        self._calls_before = self._failures_before = 0

    def state(self, now: float) -> State:
        if self.open_until == -math.inf:
            return State.CLOSED
        return State.OPEN if now < self.open_until else State.HALF_OPEN

    def may_be_asked(self, now: float) -> bool:
        """Whether a request may go there now: it is closed, or half open and nobody is probing it."""
        return self.open_until == -math.inf or (now >= self.open_until and not self.is_probed)

    def is_cooling(self, now: float) -> bool:
        """Whether its quota is used up for now."""
        return now < self.quota.cooled_until

    def back_in_s(self, now: float) -> float:
        """How long until it may be asked again; 0 where it may be now."""
        return max(0.0, self.open_until - now, self.quota.cooled_until - now)

    def begin(self, now: float) -> Trial:
        """A request goes there. It ends exactly once."""
        is_probe = self.open_until != -math.inf and now >= self.open_until and not self.is_probed
        if is_probe:
            self.is_probed = True
        self.in_flight += 1
        return Trial(self, self.epoch, now, is_probe=is_probe)

    def spoke(self, after_s: float) -> None:
        """The first content of an answer came so long after its request was sent."""
        known = self.first_token_s
        self.first_token_s = after_s if known is None else known + FIRST_TOKEN_SHARE * (after_s - known)

    def succeeded(self, now: float) -> None:
        """A call that began since the last change of the breaker went well."""
        self._in_a_row = 0
        self._well_at = now
        if self._failures or self._failures_before:
            # Without a failure there is nothing to compare them with.
            self._count(now, failures=0)
        if self.open_until != -math.inf and now >= self.open_until:
            self._probes_well += 1
            if self._probes_well >= PROBES_TO_CLOSE:
                self._close(now)

    def failed(self, now: float, draw: float, *, code: str, at_once: bool = False, began: float = math.inf) -> None:
        """A call that began since the last change of the breaker failed. `draw`: chance, from 0 to 1; `at_once`: no
        second failure is needed to know; `began`: when that call did."""
        self.last_failure = code
        if began >= self._well_at:
            # Of hundreds of calls at a time a few that hang are noticed in the same moment: others went well since.
            self._in_a_row += 1
        self._count(now, failures=1)
        if self.open_until != -math.inf:
            if now >= self.open_until:
                self._open(now, draw)
        elif at_once or self._in_a_row >= FAILURES_IN_A_ROW or self._fails_often():
            self._open(now, draw)

    def _fails_often(self) -> bool:
        calls = self._calls + self._calls_before
        return calls >= LEAST_CALLS and 2 * (self._failures + self._failures_before) >= calls

    def _count(self, now: float, *, failures: int) -> None:
        """Two halves of a window that moves by halves: what is older than the window never counts."""
        if now >= self._turns_at:
            is_recent = now < self._turns_at + WINDOW_S / 2
            self._calls_before = self._calls if is_recent else 0
            self._failures_before = self._failures if is_recent else 0
            self._calls = self._failures = 0
            self._turns_at = now + WINDOW_S / 2
        self._calls += 1
        self._failures += failures

    def _open(self, now: float, draw: float) -> None:
        if now - self.closed_at > FORGIVEN_AFTER_S and self.open_until == -math.inf:
            self.times_open = 0
        self.times_open += 1
        longest_s = min(OPEN_S * 2 ** min(self.times_open - 1, 10), MOST_OPEN_S)
        # Only ever shorter, so that the longest time holds; different for each, so that probes do not come together.
        self.open_until = now + longest_s * (1 - JITTER * draw)
        self._change()

    def _close(self, now: float) -> None:
        self.open_until = -math.inf
        self.closed_at = now
        self._change()

    def _change(self) -> None:
        self.epoch += 1
        self.is_probed = False
        self._in_a_row = self._probes_well = 0
        self._calls = self._failures = self._calls_before = self._failures_before = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing would be lost if it were forgotten."""
        return not self.in_flight and self.open_until == -math.inf and not self._in_a_row


class Trial:
    """One request on its way to a target."""

    __slots__ = ("began", "epoch", "health", "is_over", "is_probe")

    def __init__(self, health: Health, epoch: int, began: float, *, is_probe: bool) -> None:
        self.health = health
        self.epoch = epoch
        self.began = began
        self.is_probe = is_probe
        self.is_over = False

    def end(self, failure: BaseException | None, now: float, draw: float) -> None:
        """Say how it went. Only the first word counts."""
        if self.is_over:
            return
        self.is_over = True
        health = self.health
        health.in_flight -= 1
        is_current = self.epoch == health.epoch
        if self.is_probe and is_current:
            health.is_probed = False
        if failure is None:
            if is_current:
                health.succeeded(now)
            return
        what = verdict(failure)
        if what is Verdict.LIMITED:
            health.quota.cool(now, failure.retry_after_s if isinstance(failure, FarmError) else None)
        elif is_current and what in (Verdict.FAILED, Verdict.REFUSED_KEY):
            code = failure.code if isinstance(failure, FarmError) else type(failure).__name__
            # A key that was refused will be refused again: nobody else need find out.
            health.failed(now, draw, code=code, at_once=what is Verdict.REFUSED_KEY, began=self.began)


class Ward:
    """The health of every target of this process. It outlives a configuration: a reload forgets nothing."""

    def __init__(self, *, most: int = MOST_TARGETS) -> None:
        self._most = most
        self._targets: OrderedDict[str, Health] = OrderedDict()
        self._quotas: dict[str, Quota] = {}

    def of(self, key: str, quota: str | None = None) -> Health:
        """What is known of a target. `quota`: the name of a limit that it shares with others.

        Callers make names of models up where a provider has more than it lists, so those unused longest are forgotten.
        """
        health = self._targets.get(key)
        if health is None:
            if len(self._targets) >= self._most:
                self._forget()
            shared = None if quota is None else self._quotas.setdefault(quota, Quota())
            health = self._targets[key] = Health(shared)
        return health

    def glance(self, key: str, quota: str | None = None) -> Health:
        """What is known of a target, for somebody who only looks: one that was never asked is not kept."""
        return self._targets.get(key) or Health(None if quota is None else self._quotas.get(quota))

    def known(self) -> dict[str, Health]:
        """Every target that was asked."""
        return dict(self._targets)

    def tell_load(self, provider: str, load: EngineLoad | None) -> None:
        """A provider's engine is so busy; None: it does not tell any more."""
        for key, health in self._targets.items():
            if key.partition("/")[0] == provider:
                health.load = load

    def _forget(self) -> None:
        for key in [key for key, health in self._targets.items() if health.is_idle][: max(1, self._most // 4)]:
            del self._targets[key]
