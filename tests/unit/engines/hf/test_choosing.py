from __future__ import annotations

import pytest

from farmgate.core.words import Sampling
from farmgate.engines.hf.choosing import Chooser, Habits, NotEnough, chooser, pick

SHARES = [0.5, 0.25, 0.125, 0.125]


@pytest.mark.parametrize(
    ("drawn", "top_p", "top_k", "place"),
    [
        (0.0, 1.0, 0, 0),
        (0.49, 1.0, 0, 0),
        (0.5, 1.0, 0, 1),
        (0.76, 1.0, 0, 2),
        (0.999, 1.0, 0, 3),
        (0.999, 1.0, 2, 1),  # of two, the second has a third
        (0.66, 1.0, 2, 0),
        (0.999, 0.5, 0, 0),
        (0.999, 0.51, 0, 1),
        (0.999, 0.0, 0, 0),
        (0.999, 0.6, 2, 0),  # of two, the first has two thirds: enough
        (0.999, 0.7, 2, 1),
    ],
)
def test_what_is_drawn_follows_the_shares_that_are_left(drawn: float, top_p: float, top_k: int, place: int) -> None:
    assert pick(SHARES, drawn, top_p=top_p, top_k=top_k, all_shown=True) == place


def test_few_candidates_are_enough_where_they_decide_it() -> None:
    assert pick(SHARES[:2], 0.7, top_p=1.0, top_k=0, all_shown=False) == 1
    assert pick(SHARES[:2], 0.999, top_p=0.75, top_k=0, all_shown=False) == 1
    assert pick(SHARES[:2], 0.999, top_p=1.0, top_k=2, all_shown=False) == 1


@pytest.mark.parametrize(("drawn", "top_p"), [(0.8, 1.0), (0.1, 0.9)])
def test_where_they_do_not_all_are_asked_for(drawn: float, top_p: float) -> None:
    with pytest.raises(NotEnough):
        pick(SHARES[:2], drawn, top_p=top_p, top_k=0, all_shown=False)


def test_asked_again_with_all_it_is_the_same_throw() -> None:
    one = Chooser(temperature=1, top_p=1, top_k=0, seed=3)
    other = Chooser(temperature=1, top_p=1, top_k=0, seed=3)
    with pytest.raises(NotEnough):
        one.choose([1e-9], all_shown=False)
    flat = [0.001] * 1000
    assert [one.choose(flat, all_shown=True) for _ in range(20)] == [
        other.choose(flat, all_shown=True) for _ in range(20)
    ]


def test_shares_that_are_no_numbers_still_give_a_token() -> None:
    assert pick([float("nan")] * 3, 0.5, top_p=1.0, top_k=0, all_shown=True) == 2
    assert pick([float("nan")] * 3, 0.5, top_p=0.5, top_k=0, all_shown=True) == 2


def test_what_a_request_says_goes_before_the_habits_of_the_model() -> None:
    habits = Habits(temperature=0.6, top_p=0.9, top_k=20)
    used = chooser(Sampling(), habits)
    assert (used.temperature, used.top_p, used.top_k) == (0.6, 0.9, 20)
    told = chooser(Sampling(temperature=0.0, top_p=1.0, top_k=-1), habits)
    assert (told.temperature, told.top_p, told.top_k) == (0.0, 1.0, 0)
    assert told.is_greedy
    assert not used.is_greedy
    assert chooser(Sampling(top_k=1), habits).is_greedy
