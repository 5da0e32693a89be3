"""Memory that is promised is gone, and a model goes where there is most."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmgate.engines.eviction import Tenant
from farmgate.engines.ledger import Ledger, Memory
from farmgate.engines.placement import NeverFits, place

SMALL = Memory(device="gpu0", total=10, free=10)
LARGE = Memory(device="gpu1", total=20, free=20, spare=2)


def test_what_is_promised_is_not_promised_again_before_the_device_shows_it() -> None:
    ledger = Ledger()
    ledger.reserve("a", {"gpu0": 6})
    assert ledger.free(SMALL) == 4
    ledger.settle("a", {"gpu0": 5})
    assert ledger.free(Memory(device="gpu0", total=10, free=10)) == 5, "the device is late: the books count"
    assert ledger.free(Memory(device="gpu0", total=10, free=2)) == 2, "somebody else is there: the device counts"
    ledger.release("a")
    assert ledger.free(SMALL) == 10


def test_a_second_promise_to_one_model_is_a_mistake() -> None:
    ledger = Ledger()
    ledger.reserve("a", {"gpu0": 6})
    with pytest.raises(ValueError, match="a holds memory already"):
        ledger.reserve("a", {"gpu0": 1})


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 9), st.integers(0, 9), st.sampled_from("rsx"))))
def test_promises_never_exceed_the_device(steps: list[tuple[str, int, int, str]]) -> None:
    ledger = Ledger()
    for model, asked, measured, step in steps:
        if step == "r" and model not in ledger.holdings and asked <= ledger.free(SMALL):
            ledger.reserve(model, {"gpu0": asked})
        elif step == "s" and model in ledger.holdings:
            ledger.settle(model, {"gpu0": min(measured, ledger.holdings[model].bytes["gpu0"])})
        elif step == "x":
            ledger.release(model)
        assert 0 <= ledger.held("gpu0") <= SMALL.total
        assert ledger.free(SMALL) >= 0


def test_it_goes_where_there_is_most_room() -> None:
    found = place(5, [SMALL, LARGE], Ledger())
    assert found is not None
    assert found.shares == {"gpu1": 5}
    assert found.leaving == ()


def test_what_fits_no_empty_device_is_refused_with_the_numbers() -> None:
    with pytest.raises(
        NeverFits, match="it needs 19 MiB; with nothing else loaded there are 10 MiB on gpu0, 18 MiB on"
    ):
        place(
            19 << 20,
            [Memory(device="gpu0", total=10 << 20, free=0), Memory(device="gpu1", total=18 << 20, free=0)],
            Ledger(),
        )
    with pytest.raises(NeverFits, match="no device"):
        place(1, [], Ledger())


def test_an_engine_that_can_splits_over_several() -> None:
    found = place(24, [SMALL, LARGE], Ledger(), splits=True)
    assert found is not None
    assert sum(found.shares.values()) == 24
    assert found.shares["gpu0"] <= 10
    assert found.shares["gpu1"] <= 18


@given(st.integers(1, 40), st.lists(st.integers(0, 12), min_size=1, max_size=4))
def test_shares_are_whole_and_fit(needed: int, frees: list[int]) -> None:
    memories = [Memory(device=f"gpu{at}", total=12, free=free) for at, free in enumerate(frees)]
    try:
        found = place(needed, memories, Ledger(), splits=True)
    except NeverFits:
        assert needed > 12 * len(frees)
        return
    assert (found is not None) == (needed <= sum(frees))
    if found is not None:
        assert sum(found.shares.values()) == needed
        assert all(found.shares.get(f"gpu{at}", 0) <= free for at, free in enumerate(frees))


def test_room_is_made_where_the_least_is_lost() -> None:
    ledger = Ledger()
    tenants = [
        Tenant(name="old", held={"gpu0": 10}, used_at=1.0),
        Tenant(name="new", held={"gpu1": 18}, used_at=2.0),
    ]
    for one in tenants:
        ledger.settle(one.name, one.held)
    found = place(8, [SMALL, LARGE], ledger, tenants)
    assert found is not None
    assert [one.name for one in found.leaving] == ["old"]
    assert found.shares == {"gpu0": 8}
    pinned = [Tenant(name=one.name, held=one.held, pinned=True) for one in tenants]
    assert place(8, [SMALL, LARGE], ledger, pinned) is None
