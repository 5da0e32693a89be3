"""Why a target stands where it does, in one short sentence. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from farmgate.flow.balance import Arranged, Seen
from farmgate.flow.health import State
from farmgate.flow.plan import Plan
from farmgate.flow.route import View
from farmgate.flow.routes import Balance, Sticky

__all__ = ["Ground", "placed", "rested"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the order was made from. `is_kept`: what belongs together stays with one target."""

    name: str
    made: Plan
    order: Arranged
    view: View
    now: float
    is_kept: bool

    def is_elsewhere(self, one: Seen) -> bool:
        return self.view.region is not None and one.candidate.region != self.view.region


def placed(one: Seen, ground: Ground) -> str:
    """Why one that may be asked has its place in the order."""
    candidate, askable = one.candidate, ground.order.askable
    if one is not askable[0] and not ground.view.falls_back:
        return "not asked while ai.features.fallback is off"
    rivals = [other for other in askable if other.candidate.tier == candidate.tier]
    told = standing_in(one, ground)
    if len(rivals) > 1:
        told.append(compared(one, rivals, ground))
    elif not candidate.tier:
        told.append("the only target that may be asked now" if has_others(ground) else "only target")
    if one.health.state(ground.now) is State.HALF_OPEN:
        told.append("half open: one request at a time finds out whether it is well")
    return "; ".join(told)


def standing_in(one: Seen, ground: Ground) -> list[str]:
    return [f"fallback of {ground.name}"] if one.candidate.tier else []


def has_others(ground: Ground) -> bool:
    """Whether the name has other targets of its own, which rest or cannot be asked."""
    resting = any(not one.candidate.tier for one in ground.order.resting)
    return resting or any(not one.tier for one in ground.made.skipped)


def compared(one: Seen, rivals: Sequence[Seen], ground: Ground) -> str:
    """What sets it apart from the one before it; the first, from the one behind it."""
    at = rivals.index(one)
    is_ahead = at == 0
    other = rivals[1] if is_ahead else rivals[at - 1]
    mine, theirs = one.candidate.priority, other.candidate.priority
    if mine != theirs:
        if not ground.made.is_route:
            return "the first provider with this model" if is_ahead else "has the same model"
        return f"priority {mine} comes before {theirs}" if is_ahead else f"priority {mine} comes after {theirs}"
    if ground.is_elsewhere(one) != ground.is_elsewhere(other):
        return f"in region {ground.view.region}" if is_ahead else f"not in region {ground.view.region}"
    if ground.is_kept:
        whose = "session" if ground.made.sticky is Sticky.SESSION else "caller"
        return f"this {whose} stays with it" if is_ahead else f"next for this {whose}"
    equals = [
        rival
        for rival in rivals
        if rival.candidate.priority == mine and ground.is_elsewhere(rival) == ground.is_elsewhere(one)
    ]
    return balanced(one, other, equals, balance=ground.made.balance, is_ahead=is_ahead)


def balanced(one: Seen, other: Seen, equals: Sequence[Seen], *, balance: Balance, is_ahead: bool) -> str:
    """What the balance says of two that are equal in all else."""
    match balance:
        case Balance.WEIGHTED:
            share = one.candidate.weight / sum(each.candidate.weight for each in equals)
            return f"drawn by weight: first for {share:.0%} of requests"
        case Balance.LEAST_IN_FLIGHT:
            return by_waiting(one, other, is_ahead=is_ahead, tie="chance decides, by weight")
        case Balance.LATENCY:
            return by_latency(one, other, is_ahead=is_ahead)
        case Balance.ENGINE_LOAD:
            return by_load(one, other, is_ahead=is_ahead)
        case Balance.COST:
            return by_cost(one, other, is_ahead=is_ahead)


def waiting(one: Seen) -> float:
    return (one.health.in_flight + 1) / one.candidate.weight


def by_waiting(one: Seen, other: Seen, *, is_ahead: bool, tie: str) -> str:
    if waiting(one) == waiting(other):
        return f"equally busy: {tie}"
    return "least in flight for its weight" if is_ahead else "more in flight for its weight"


def by_latency(one: Seen, other: Seen, *, is_ahead: bool) -> str:
    first_s = one.health.first_token_s
    if first_s is None:
        return "never timed, so it is tried first"
    told = f"{first_s * 1000:.0f} ms to its first token"
    if first_s * waiting(one) == (other.health.first_token_s or 0.0) * waiting(other):
        return f"equally quick: chance decides, by weight; {told}"
    return f"quickest for what is in flight: {told}" if is_ahead else f"slower for what is in flight: {told}"


def by_load(one: Seen, other: Seen, *, is_ahead: bool) -> str:
    load = one.health.load
    if load is None:
        return f"its engine tells nothing; {by_waiting(one, other, is_ahead=is_ahead, tie='chance decides, by weight')}"
    told = f"{load.waiting or 0:g} waiting, {load.running or 0:g} running, {load.cache_used or 0:.0%} of its cache used"
    return f"{'the least busy engine' if is_ahead else 'a busier engine'}: {told}"


def by_cost(one: Seen, other: Seen, *, is_ahead: bool) -> str:
    if one.cost_usd == other.cost_usd:
        told = "price not known" if one.cost_usd is None else "the same price as another"
        return f"{told}; {by_waiting(one, other, is_ahead=is_ahead, tie='the one named first comes first')}"
    if one.cost_usd is None:
        return "price not known, so it comes last"
    return f"{'cheapest' if is_ahead else 'dearer'}: ${one.cost_usd:g} for a million tokens in and out"


def rested(one: Seen, ground: Ground, *, is_last_resort: bool) -> str:
    """Why one is left out for now."""
    health, quota, now = one.health, one.candidate.quota, ground.now
    told = standing_in(one, ground)
    match health.state(now):
        case State.OPEN:
            after = f", after {health.last_failure}" if health.last_failure else ""
            told.append(f"breaker open for {health.open_until - now:.1f} s more{after}")
        case State.HALF_OPEN if health.is_probed:
            told.append("half open: another request is finding out whether it is well")
        case State.HALF_OPEN | State.CLOSED:
            pass
    if health.is_cooling(now):
        whose = f"rate limit {quota}" if quota else "rate limit"
        told.append(f"{whose} used up for {health.quota.cooled_until - now:.1f} s more")
    if is_last_resort:
        told.append("asked all the same, because nobody else is left")
    return "; ".join(told)
