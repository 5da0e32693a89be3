"""Numbers that are cheap to add to, and read when somebody asks."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left

from farmgate.core.usage import Call, Outcome

__all__ = ["LATENCY_S", "Distribution", "Pace", "Series"]

PACE_S = 10.0
LATENCY_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
TOKEN_S = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)


class Distribution:
    """A histogram that costs a tenth of a microsecond to add to; read at scrape time."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper bound, as Prometheus wants them."""
        names = [*(str(bound) for bound in self.bounds), "+Inf"]
        return list(zip(names, itertools.accumulate(map(float, self.counts)), strict=True))


class Pace:
    """How many there are a second, lately: what was `PACE_S` ago counts a third of what is now."""

    __slots__ = ("_at", "_rate")

    def __init__(self) -> None:
        self._at = 0.0
        self._rate = 0.0

    def note(self, now: float, count: float) -> None:
        self._rate = self.at(now) + count / PACE_S
        self._at = now

    def at(self, now: float) -> float:
        return self._rate * math.exp((self._at - now) / PACE_S)


class Series:
    """What is counted of one provider's model."""

    __slots__ = ("duration", "first_token", "outcomes", "pace", "token", "tokens")

    def __init__(self) -> None:
        self.outcomes: dict[str, int] = dict.fromkeys((Outcome.OK, Outcome.ERROR, Outcome.CANCELLED), 0)
        self.tokens = {"prompt": 0, "completion": 0}
        self.duration = Distribution(LATENCY_S)
        self.first_token = Distribution(LATENCY_S)
        self.token = Distribution(TOKEN_S)
        self.pace = Pace()

    def note(self, call: Call, now: float) -> None:
        """Count one finished call; `now` is of a clock that only goes forward."""
        self.outcomes[call.outcome] += 1
        self.tokens["prompt"] += call.prompt_tokens
        self.tokens["completion"] += call.completion_tokens
        self.pace.note(now, call.completion_tokens)
        if call.duration_ms is None:
            return
        self.duration.observe(call.duration_ms / 1000)
        if call.first_token_ms is None or not call.stream:
            return
        self.first_token.observe(call.first_token_ms / 1000)
        if call.completion_tokens > 1:
            # One number for a stream: a clock read for each of its frames would cost more than it tells.
            self.token.observe((call.duration_ms - call.first_token_ms) / 1000 / (call.completion_tokens - 1))
