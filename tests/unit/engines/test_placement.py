"""Memory that is promised is gone, and a model goes where there is most."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmgate.engines.eviction import Tenant
from farmgate.engines.ledger import Ledger, Memory
from farmgate.engines.placement import NeverFits, Placement, place

SMALL = Memory(device="gpu0", total=10, free=10)
LARGE = Memory(device="gpu1", total=20, free=20, spare=2)
USED = {"old": 2.0, "new": 3.0, "older": 1.0}


def shares(found: Placement | None) -> dict[str, int]:
    assert found is not None
    return dict(found.shares)


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


def test_an_engine_that_can_splits_over_the_fewest_in_equal_shares() -> None:
    four = [Memory(device=f"gpu{at}", total=10, free=10 - at) for at in range(4)]
    assert shares(place(10, four, Ledger(), counts=(1, 2, 4))) == {"gpu0": 10}
    assert shares(place(11, four, Ledger(), counts=(1, 2, 4))) == {"gpu0": 6, "gpu1": 6}
    assert shares(place(19, four, Ledger(), counts=(1, 2, 4))) == dict.fromkeys(("gpu0", "gpu1", "gpu2", "gpu3"), 5)
    assert shares(place(24, four, Ledger(), counts=(1, 2, 3))) == dict.fromkeys(("gpu0", "gpu1", "gpu2"), 8)
    assert shares(place(4, four, Ledger(), counts=(2,))) == {"gpu0": 2, "gpu1": 2}, "who must be on two is"


def test_what_each_of_several_needs_is_counted_on_each() -> None:
    two = [Memory(device=f"gpu{at}", total=12, free=12) for at in range(2)]
    assert shares(place(20, two, Ledger(), counts=(1, 2), each=4)) == {"gpu0": 12, "gpu1": 12}
    with pytest.raises(NeverFits):
        place(21, two, Ledger(), counts=(1, 2), each=4)


def test_room_is_made_on_several_where_one_is_too_small() -> None:
    three = [Memory(device=f"gpu{at}", total=10, free=0) for at in range(3)]
    tenants = [Tenant(name=name, held={f"gpu{at}": 10}, used_at=used) for at, (name, used) in enumerate(USED.items())]
    ledger = Ledger()
    for one in tenants:
        ledger.settle(one.name, one.held)
    found = place(16, three, ledger, tenants, counts=(1, 2))
    assert shares(found) == {"gpu0": 8, "gpu2": 8}
    assert found is not None
    assert {one.name for one in found.leaving} == {"old", "older"}


def test_one_that_takes_all_of_a_device_has_it_once_the_others_left() -> None:
    ledger, old = Ledger(), Tenant(name="old", held={"gpu0": 10})
    ledger.settle("old", old.held)
    full = Memory(device="gpu0", total=10, free=0)
    assert place(10, [full], ledger, [old]) == Placement(shares={"gpu0": 10}, leaving=(old,))


def test_the_refusal_of_one_that_splits_tells_every_way() -> None:
    two = [Memory(device=f"gpu{at}", total=10 << 20, free=0) for at in range(2)]
    with pytest.raises(NeverFits, match=r"it needs 30 MiB or 15 MiB on each of 2; with .* 10 MiB on gpu0, 10 MiB on"):
        place(30 << 20, two, Ledger(), counts=(1, 2, 4))
    with pytest.raises(
        NeverFits, match=r"it needs 4 MiB on each of 2; with nothing else loaded there are 10 MiB on gpu0$"
    ):
        place(8 << 20, two[:1], Ledger(), counts=(2,))


@given(
    st.integers(1, 40),
    st.lists(st.integers(0, 12), min_size=1, max_size=5),
    st.sampled_from([(1,), (2,), (1, 2, 4), (1, 2, 3, 4)]),
    st.integers(0, 3),
)
def test_shares_are_equal_and_fit(needed: int, frees: list[int], counts: tuple[int, ...], each: int) -> None:
    memories = [Memory(device=f"gpu{at}", total=12, free=free) for at, free in enumerate(frees)]

    def share(count: int) -> int:
        own = min(each, needed)
        return own + -(-(needed - own) // count)

    try:
        found = place(needed, memories, Ledger(), counts=counts, each=each)
    except NeverFits:
        assert all(count > len(frees) or share(count) > 12 for count in counts)
        return
    able = [count for count in counts if sum(free >= share(count) for free in frees) >= count]
    assert (found is not None) == bool(able)
    if found is not None:
        assert len(found.shares) == min(able)
        assert set(found.shares.values()) == {share(min(able))}
        assert sum(found.shares.values()) >= needed
        assert all(found.shares.get(f"gpu{at}", 0) <= free for at, free in enumerate(frees))


@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 10), st.integers(0, 5), st.booleans()), max_size=6),
)
def test_who_leaves_makes_room_enough_on_every_device(needed: int, loaded: list[tuple[int, int, int, bool]]) -> None:
    ledger, tenants = Ledger(), []
    memories = [Memory(device=f"gpu{at}", total=10, free=10) for at in range(4)]
    for at, (gpu, held, used, pinned) in enumerate(loaded):
        if held <= ledger.free(memories[gpu]):
            tenants.append(Tenant(name=str(at), held={f"gpu{gpu}": held}, used_at=used, pinned=pinned))
            ledger.settle(str(at), tenants[-1].held)
    found = place(needed, memories, ledger, tenants, counts=(1, 2, 4))
    if found is None:
        return
    for one in found.leaving:
        assert not one.pinned
        ledger.release(one.name)
    assert all(share <= ledger.free(memories[int(device[-1])]) for device, share in found.shares.items())


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
