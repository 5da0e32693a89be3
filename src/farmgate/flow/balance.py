"""Which of several targets is asked first, by what was seen of each. Pure: time and chance are given."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import NamedTuple

from farmgate.flow.health import Health
from farmgate.flow.route import Candidate
from farmgate.flow.routes import Balance, Sticky

__all__ = ["Arranged", "Seen", "affinity", "arrange", "busy"]

FULL = 1e6


class Seen(NamedTuple):
    """A candidate, what was seen of it, and what a million tokens of it cost where that is known.

    A tuple, because one is made per request: that costs a third of a frozen dataclass.
    """

    candidate: Candidate
    health: Health
    cost_usd: float | None = None


class Arranged(NamedTuple):
    """The order to ask in. `resting` are left out for now, the one that is back first coming first."""

    askable: tuple[Seen, ...]
    resting: tuple[Seen, ...] = ()


def arrange(
    seen: Sequence[Seen],
    *,
    now: float,
    draw: Callable[[], float],
    balance: Balance = Balance.LEAST_IN_FLIGHT,
    affinity: str | None = None,
    region: str | None = None,
) -> Arranged:
    """Put targets in the order in which to ask them: what was wanted before what stands in for it, low priorities
    first, those in our `region` before others, and among equals as `balance` says. `affinity`: what stays together.
    """

    def place(one: Seen) -> tuple[int, int, bool, float, float]:
        candidate = one.candidate
        elsewhere = region is not None and candidate.region != region
        first, second = rank(one, balance, draw) if affinity is None else (share(affinity, candidate), 0.0)
        return candidate.tier, candidate.priority, elsewhere, first, second

    ready = [one for one in seen if one.health.may_be_asked(now) and not one.health.is_cooling(now)]
    resting = [one for one in seen if one not in ready]
    return Arranged(
        askable=tuple(sorted(ready, key=place)),
        resting=tuple(sorted(resting, key=lambda one: one.health.back_in_s(now))),
    )


def rank(one: Seen, balance: Balance, draw: Callable[[], float]) -> tuple[float, float]:
    """The lowest is asked first. Chance decides between equals, by weight."""
    health, weight = one.health, one.candidate.weight
    # The smallest of exponential times with these rates falls on each as often as its weight is of the whole.
    lot = -math.log(1.0 - draw()) / weight
    waiting = (busy(health, balance) + 1) / weight
    match balance:
        case Balance.WEIGHTED:
            return lot, 0.0
        case Balance.LEAST_IN_FLIGHT:
            return waiting, lot
        case Balance.LATENCY:
            # One that was never asked comes first: how quick it is can only be found out by asking.
            return (health.first_token_s or 0.0) * waiting, lot
        case Balance.ENGINE_LOAD:
            # Full ones last; what an engine told a moment ago does not know yet of what was sent since.
            return waiting + (FULL if health.load is not None and health.load.is_full else 0.0), lot
        case Balance.COST:
            return math.inf if one.cost_usd is None else one.cost_usd, waiting


def busy(health: Health, balance: Balance) -> float:
    """Requests it has to do with."""
    load = health.load if balance is Balance.ENGINE_LOAD else None
    return health.in_flight if load is None else max(load.requests, health.in_flight)


def share(affinity: str, candidate: Candidate) -> float:
    """Rendezvous hashing: the same for the same words, and when a target leaves only its own share moves.

    Source: https://en.wikipedia.org/wiki/Rendezvous_hashing#Weighted_rendezvous_hash
    """
    digest = blake2b(f"{affinity}\0{candidate.key}".encode(errors="replace"), digest_size=8).digest()
    fraction = (int.from_bytes(digest) + 0.5) / 2**64
    return -math.log(fraction) / candidate.weight


def affinity(sticky: Sticky, caller: str, session: str = "") -> str | None:
    """What targets are picked by, so that what belongs together stays together. One key's sessions never mix with
    another's."""
    match sticky:
        case Sticky.OFF:
            return None
        case Sticky.CALLER:
            return caller
        case Sticky.SESSION:
            return f"{caller}\0{session}"
