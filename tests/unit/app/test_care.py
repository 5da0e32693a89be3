"""What runs on this machine, with what the gate knows of it: the line before it, and how fast it answers."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from tests.fakes.care import PROCESS, Still
from tests.unit.engines.fakes import ignore
from tests.unit.providers.test_local import FakeWeights

from farmgate.app.care import ModelCare
from farmgate.app.limits import room_at
from farmgate.core.errors import InvalidValue
from farmgate.core.model import HealthStatus, ModelInfo, ModelState
from farmgate.core.ports import Lease, Places, Purpose, Report
from farmgate.flow.route import Candidate
from farmgate.flow.slots import Room
from farmgate.providers.local import LocalProvider
from farmgate.providers.settings import ProviderSettings


@dataclass
class Running(Still):
    """One process, and nothing else is asked of it."""

    state_of_it: ModelState

    def states(self) -> tuple[ModelState, ...]:
        return (self.state_of_it,)

    async def lease(self, model: str, *, purpose: Purpose = Purpose.GENERATE) -> Lease:
        raise AssertionError

    async def load(self, model: str, report: Report) -> None:
        raise AssertionError

    def models(self) -> tuple[ModelInfo, ...]:
        return ()

    def state(self) -> tuple[HealthStatus, str | None]:
        return HealthStatus.HEALTHY, None

    async def close(self) -> None:
        raise AssertionError


async def nothing() -> None:
    """Nobody looks at what models are now."""


@dataclass
class Changing(Running):
    """A model whose version changes, unless it `fails`."""

    fails: bool = False
    changes: int = 0

    async def swap(self, model: str, version: str | None, report: Report) -> None:
        if self.fails:
            raise InvalidValue("no such version")
        self.changes += 1

    async def rollback(self, model: str, report: Report) -> None:
        await self.swap(model, None, report)


async def test_what_a_model_is_now_is_looked_up_once_it_has_changed() -> None:
    lender, seen = Changing(PROCESS), list[int]()

    async def look() -> None:
        seen.append(lender.changes)

    care = ModelCare(
        lambda name: Candidate(provider="local", model=name),
        {"local": LocalProvider(ProviderSettings(name="local"), lender, FakeWeights())},
        lender,
        waiting=dict,
        pace=lambda _: 0.0,
        changed=look,
    )
    await care.swap("guide", "2", ignore)
    await care.rollback("guide", ignore)
    assert seen == [1, 2]
    lender.fails = True
    with pytest.raises(InvalidValue):
        await care.swap("guide", "3", ignore)
    assert seen == [1, 2]


def test_a_process_answers_as_fast_as_its_model_and_its_adapters_together() -> None:
    pace = {"guide": 10.0, "guide:formal": 5.0, "guide:other": 3.0}
    care = ModelCare(
        lambda name: Candidate(provider="local", model=name),
        {},
        Running(PROCESS),
        waiting=lambda: {"guide": 2},
        pace=pace.__getitem__,
        changed=nothing,
    )
    (told,) = care.processes()
    assert PROCESS.adapters == ("formal",)
    assert (told.tokens_per_s, told.waiting) == (15.0, 2)


def test_the_room_of_an_adapter_is_in_its_models_line() -> None:
    places = Places(model="guide", parallel=2, queue=3, patience_s=4.0)
    assert room_at(places) == Room(in_flight=2, waiting=3, patience_s=4.0, line="guide")
    assert room_at(None) is None
