"""The life of a model is a literal table."""

from __future__ import annotations

import itertools

import pytest

from farmgate.engines.states import TRANSITIONS, IllegalTransition, State, check_transition


@pytest.mark.parametrize(("now", "to"), list(itertools.product(State, State)))
def test_every_pair_of_states_is_in_the_table_or_refused(now: State, to: State) -> None:
    allowed = {
        "absent pulling",
        "pulling on_disk",
        "pulling absent",
        "on_disk starting",
        "on_disk absent",
        "starting warming",
        "starting failed",
        "starting stopping",
        "warming ready",
        "warming failed",
        "warming stopping",
        "ready draining",
        "ready failed",
        "ready stopping",
        "draining ready",
        "draining asleep",
        "asleep warming",
        "asleep failed",
        "asleep stopping",
        "warming asleep",
        "draining failed",
        "draining stopping",
        "stopping on_disk",
        "failed starting",
        "failed stopping",
    }
    assert set(TRANSITIONS) == set(State)
    if f"{now} {to}" in allowed:
        check_transition(now, to)
    else:
        with pytest.raises(IllegalTransition):
            check_transition(now, to)
