"""Who leaves: enough, nobody in vain, nobody pinned, and nobody worth more than need be."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmgate.engines.eviction import Tenant, choose, suffices

DEVICES = ("gpu0", "gpu1")


@st.composite
def tenants(draw: st.DrawFn) -> list[Tenant]:
    return [
        Tenant(
            name=f"m{number}",
            held={device: draw(st.integers(0, 8)) for device in DEVICES},
            priority=draw(st.integers(-1, 2)),
            used_at=float(draw(st.integers(0, 5))),
            in_flight=draw(st.integers(0, 1)),
            pinned=draw(st.booleans()) and draw(st.booleans()),
        )
        for number in range(draw(st.integers(0, 7)))
    ]


LACKING = st.dictionaries(st.sampled_from(DEVICES), st.integers(-1, 20))


def allowed(all_of_them: Sequence[Tenant], priority: int) -> list[Tenant]:
    return [one for one in all_of_them if not one.pinned and one.priority <= priority]


@given(tenants(), LACKING, st.integers(-1, 2))
def test_a_set_is_enough_and_there_is_one_whenever_there_can_be(
    there: list[Tenant], lacking: dict[str, int], priority: int
) -> None:
    chosen = choose(there, lacking, priority=priority)
    assert (chosen is not None) == suffices(allowed(there, priority), lacking)
    if chosen is not None:
        assert suffices(chosen, lacking)
        assert all(one in allowed(there, priority) for one in chosen)


@given(tenants(), LACKING)
def test_nobody_leaves_in_vain(there: list[Tenant], lacking: dict[str, int]) -> None:
    for one in (chosen := choose(there, lacking, priority=2) or ()):
        assert not suffices([other for other in chosen if other is not one], lacking)


@given(tenants(), LACKING)
def test_the_one_worth_most_leaves_only_if_all_those_worth_less_are_not_enough(
    there: list[Tenant], lacking: dict[str, int]
) -> None:
    if chosen := choose(there, lacking, priority=2):
        most = chosen[-1].worth
        assert not suffices([one for one in allowed(there, 2) if one.worth < most], lacking)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (Tenant(name="a", held={}, priority=1), Tenant(name="b", held={}, used_at=9.0, in_flight=1)),
        (Tenant(name="a", held={}, in_flight=1), Tenant(name="b", held={}, used_at=9.0)),
        (Tenant(name="a", held={}, used_at=2.0), Tenant(name="b", held={}, used_at=1.0)),
        (Tenant(name="a", held={}), Tenant(name="b", held={}, asleep=True, priority=1, used_at=9.0)),
    ],
    ids=["priority", "busy", "used last", "asleep"],
)
def test_priority_counts_before_work_and_work_before_time(better: Tenant, worse: Tenant) -> None:
    assert better.worth > worse.worth


def test_one_that_leaves_whole_gives_what_it_would_keep_in_its_sleep_too() -> None:
    one = Tenant(name="a", held={"gpu0": 5, "gpu1": 5}, rest={"gpu0": 2, "gpu1": 1}, priority=3)
    assert one.whole() == Tenant(name="a", held={"gpu0": 7, "gpu1": 6}, priority=3)


def test_two_small_ones_stay_when_a_large_one_has_to_leave_anyway() -> None:
    small = [Tenant(name=name, held={"gpu0": 1}, used_at=float(at)) for at, name in enumerate("ab")]
    large = Tenant(name="large", held={"gpu0": 8}, used_at=5.0)
    assert choose([*small, large], {"gpu0": 8}) == (large,)
