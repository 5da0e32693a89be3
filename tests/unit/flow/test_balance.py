"""In which order targets are asked."""

from __future__ import annotations

import random
from collections import Counter
from itertools import cycle

import pytest

from farmgate.core.errors import UpstreamError, UpstreamRateLimited
from farmgate.core.model import EngineLoad
from farmgate.flow.balance import Seen, arrange
from farmgate.flow.health import Health
from farmgate.flow.route import Candidate
from farmgate.flow.routes import Balance


def seen(
    provider: str, *, cost: float | None = None, busy: int = 0, first_s: float | None = None, **more: object
) -> Seen:
    health = Health()
    health.in_flight = busy
    health.first_token_s = first_s
    return Seen(Candidate(provider=provider, model="m", **more), health, cost)  # type: ignore[arg-type] # as they are named


def order(*targets: Seen, **how: object) -> list[str]:
    draw = cycle([0.5]).__next__
    arranged = arrange(targets, now=0.0, **{"draw": draw, **how})  # type: ignore[arg-type] # as they are named
    return [one.candidate.provider for one in arranged.askable]


def firsts(*targets: Seen, **how: object) -> Counter[str]:
    chance = random.Random(1)
    return Counter(order(*targets, draw=chance.random, **how)[0] for _ in range(4000))


def test_what_was_wanted_comes_before_what_stands_in_and_low_priorities_first() -> None:
    assert order(
        seen("fallback", tier=1), seen("second", priority=1, busy=0), seen("first", busy=9), seen("last", tier=2)
    ) == ["first", "second", "fallback", "last"]


def test_targets_in_our_region_come_before_others_of_their_priority() -> None:
    targets = (
        seen("us", region="us"),
        seen("any"),
        seen("eu", region="eu", busy=5),
        seen("late", priority=1, region="eu"),
    )
    assert order(*targets, region="eu")[0] == "eu"
    assert order(*targets, region="eu")[-1] == "late"


def test_the_one_with_the_fewest_in_flight_for_its_weight_is_asked() -> None:
    assert order(seen("a", busy=3), seen("b", busy=1)) == ["b", "a"]
    assert order(seen("a", busy=3, weight=4.0), seen("b", busy=1)) == ["a", "b"]


@pytest.mark.parametrize("balance", [Balance.WEIGHTED, Balance.LEAST_IN_FLIGHT])
def test_equals_share_evenly_or_by_weight(balance: Balance) -> None:
    even = firsts(seen("a"), seen("b"), balance=balance)
    assert even["a"] / 4000 == pytest.approx(0.5, abs=0.03)
    if balance is Balance.WEIGHTED:
        assert firsts(seen("a", weight=3.0), seen("b"), balance=balance)["a"] / 4000 == pytest.approx(0.75, abs=0.03)


def test_the_quickest_is_asked_unless_many_wait_for_it() -> None:
    quick, slow = seen("quick", first_s=0.1), seen("slow", first_s=1.0)
    assert order(slow, quick, balance=Balance.LATENCY) == ["quick", "slow"]
    quick.health.in_flight = 20
    assert order(slow, quick, balance=Balance.LATENCY) == ["slow", "quick"]
    assert order(slow, quick, seen("new"), balance=Balance.LATENCY)[0] == "new"


def test_the_cheapest_is_asked_and_one_of_unknown_price_last() -> None:
    assert order(seen("a"), seen("b", cost=3.0), seen("c", cost=1.0), balance=Balance.COST) == ["c", "b", "a"]


def test_what_belongs_together_stays_together_and_little_moves_when_a_target_leaves() -> None:
    targets = [seen(name) for name in "abcd"]
    sessions = [f"session-{number}" for number in range(400)]
    before = {one: order(*targets, affinity=one)[0] for one in sessions}
    assert before == {one: order(*reversed(targets), affinity=one)[0] for one in sessions}
    assert min(Counter(before.values()).values()) > 60
    after = {one: order(*targets[:3], affinity=one)[0] for one in sessions}
    assert all(after[one] == before[one] for one in sessions if before[one] != "d")


def test_those_that_rest_are_left_out_the_one_back_first_before_the_others() -> None:
    well, sick, limited = seen("well"), seen("sick"), seen("limited")
    for _ in range(5):
        sick.health.begin(0.0).end(UpstreamError(), 0.0, 0.0)
    limited.health.begin(0.0).end(UpstreamRateLimited(retry_after_s=2.0), 0.0, 0.0)
    arranged = arrange([sick, limited, well], now=0.0, draw=lambda: 0.5)
    assert [one.candidate.provider for one in arranged.askable] == ["well"]
    assert [one.candidate.provider for one in arranged.resting] == ["limited", "sick"]


def test_the_least_busy_engine_is_asked_and_a_full_one_last() -> None:
    loads = {"a": EngineLoad(running=4), "b": EngineLoad(running=2), "full": EngineLoad(running=1, waiting=1)}
    targets = [seen(name) for name in loads]
    for one in targets:
        one.health.load = loads[one.candidate.provider]
    assert order(*targets, balance=Balance.ENGINE_LOAD) == ["b", "a", "full"]
    assert order(*targets, balance=Balance.LEAST_IN_FLIGHT)[0] == "a"


def test_what_was_sent_since_an_engine_told_its_load_counts_too() -> None:
    told, sent = seen("told"), seen("sent", busy=5)
    told.health.load = sent.health.load = EngineLoad(running=3)
    assert order(sent, told, balance=Balance.ENGINE_LOAD) == ["told", "sent"]


def test_an_engine_that_tells_nothing_counts_by_what_is_in_flight() -> None:
    silent, told = seen("silent", busy=1), seen("told")
    told.health.load = EngineLoad(running=2)
    assert order(told, silent, balance=Balance.ENGINE_LOAD) == ["silent", "told"]
