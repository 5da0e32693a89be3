"""The first step that matches and is live takes a request; a name's own faults count for themselves."""

from __future__ import annotations

import pytest

from farmgate.mock import WrongFault
from farmgate.mock.plan import Plan
from farmgate.mock.reading import Request
from farmgate.mock.script import Chooser, Script, read_script

BROKEN = Plan(status=503)


def request(path: str = "/v1/chat/completions", **headers: str) -> Request:
    return Request(method="POST", path=path, query={}, headers=headers)


def chooser(*steps: object, seed: int = 0) -> Chooser:
    return Chooser(read_script({"steps": list(steps), "seed": seed}))


def statuses(chosen: Chooser, model: str = "gpt", *, calls: int, now: float = 0.0) -> list[int]:
    return [chosen.choose(request(), model, now).status or 200 for _ in range(calls)]


def test_the_first_step_that_matches_takes_a_request() -> None:
    chosen = chooser({"do": "status=500", "match": {"model": "gpt*"}}, {"do": "status=503"})
    assert statuses(chosen, "gpt-5", calls=2) == [500, 500]
    assert statuses(chosen, "other", calls=1) == [503]
    assert chosen.state() == [{"seen": 2, "taken": 2}, {"seen": 1, "taken": 1}]


def test_paths_and_headers_match_by_pattern() -> None:
    chosen = chooser({"do": "hang", "match": {"path": "*/messages", "header": {"X-Key": "a*"}}})
    assert chosen.choose(request("/v1/messages", **{"x-key": "abc"}), "m", 0).hang
    assert not chosen.choose(request("/v1/messages", **{"x-key": "b"}), "m", 0).hang
    assert not chosen.choose(request("/v1/messages"), "m", 0).hang
    assert not chosen.choose(request(**{"x-key": "abc"}), "m", 0).hang


def test_a_step_that_is_used_up_leaves_the_request_to_the_next_and_then_to_the_name() -> None:
    chosen = chooser({"do": "status=500", "times": 1}, {"do": "status=503", "times": 2})
    assert statuses(chosen, calls=4) == [500, 503, 503, 200]
    assert statuses(chosen, "mock:status=418", calls=1) == [418]


def test_a_step_begins_after_so_many_calls() -> None:
    assert statuses(chooser({"do": "status=500", "after": 2, "times": 1}), calls=4) == [200, 200, 500, 200]


def test_a_step_lasts_from_its_first_call() -> None:
    chosen = chooser({"do": "status=500", "for": "10s"})
    seen = [statuses(chosen, calls=1, now=now)[0] for now in (100.0, 105.0, 109.9, 110.0, 200.0)]
    assert seen == [500, 500, 500, 200, 200]


def test_a_share_is_drawn_the_same_way_for_the_same_seed() -> None:
    drawn = [statuses(chooser({"do": "status=500", "share": "25%"}, seed=seed), calls=1000) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert 200 < drawn[0].count(500) < 300


def test_a_step_may_be_a_proper_answer_which_keeps_later_steps_away() -> None:
    assert statuses(chooser({"match": {"model": "good"}}, {"do": "status=500"}), "good", calls=2) == [200, 200]


def test_conditions_in_a_name_are_counted_for_that_name() -> None:
    chosen = Chooser(Script())
    assert statuses(chosen, "mock:status=500,times=1", calls=2) == [500, 200]
    assert statuses(chosen, "mock:status=503,times=1", calls=2) == [503, 200]
    chosen.forget()
    assert statuses(chosen, "mock:status=500,times=1", calls=2) == [500, 200]


def test_what_is_answered_properly_keeps_its_length() -> None:
    chosen = Chooser(Script())
    plan = chosen.choose(request(), "mock:rst=2,times=1,after=1,frames=7", 0.0)
    assert plan == Plan(frames=7)


def test_names_that_are_counted_have_a_bound() -> None:
    chosen = Chooser(Script())
    for at in range(1500):
        chosen.choose(request(), f"mock:times=1,seed={at}", 0.0)
    assert len(chosen._named) == 1000


def test_a_refusal_that_matches_everything_decides_at_the_door() -> None:
    chosen = chooser({"do": "refuse", "times": 2}, {"do": "status=503"})
    assert [chosen.refuses(0.0) for _ in range(3)] == [True, True, False]
    assert statuses(chosen, calls=1) == [503]


def test_a_door_is_no_step_for_a_request_that_came_in() -> None:
    chosen = chooser({"do": "refuse", "times": 1}, {"do": "status=503"})
    assert statuses(chosen, calls=1) == [503]
    assert chosen.refuses(0.0)


def test_a_refusal_that_matches_something_waits_for_the_request() -> None:
    chosen = chooser({"do": "refuse", "match": {"model": "gpt"}})
    assert not chosen.refuses(0.0)
    assert chosen.choose(request(), "gpt", 0.0).refuse


def test_a_door_that_nobody_could_open_again_is_refused() -> None:
    with pytest.raises(WrongFault, match=r"Step 1 of the script refuses every connection.*say times or for"):
        chooser({"do": "refuse"})


def test_faults_are_a_text_an_object_or_a_list_of_both() -> None:
    for do in ("status=503,close", {"status": 503, "close": True}, ["status=503", {"close": None}]):
        assert chooser({"do": do}).choose(request(), "", 0) == Plan(status=503, close=True)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("text", "The script cannot be read: Expected `object`, got `str`."),
        ([{"do": "stal"}], 'Step 1 of the script: There is no fault "stal". Did you mean "stall"?'),
        ([{}, {"do": "status=1"}], 'Step 2 of the script: "status=1" cannot be'),
        ([{"doo": "hang"}], "unknown field `doo`"),
        ([{"match": {"modle": "a"}}], "unknown field `modle`"),
        ([{"times": "often"}], "Expected `int | null`, got `str`"),
        ([{"times": 0}], '"times=0" cannot be'),
        ([{"do": "times=1", "times": 2}], '"times" is said twice.'),
        ({"steps": [], "sed": 1}, "unknown field `sed`"),
    ],
)
def test_a_script_that_cannot_be_read_is_refused_and_told_where(script: object, message: str) -> None:
    with pytest.raises(WrongFault) as told:
        read_script(script)
    assert message in told.value.message
