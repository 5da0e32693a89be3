"""Whatever fuzzing found stays fixed, and every recorded stream holds. `make fuzz` looks further."""

from __future__ import annotations

import pytest
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_hold(name: str) -> None:
    seeds = TARGETS[name].seeds()
    assert seeds
    for data in seeds:
        TARGETS[name].prove(data)


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_found_holds(name: str) -> None:
    for data in TARGETS[name].found(name):
        TARGETS[name].prove(data)
