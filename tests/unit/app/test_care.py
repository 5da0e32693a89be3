"""What runs on this machine, with what the gate knows of it: the line before it, and how fast it answers."""

from __future__ import annotations

from dataclasses import dataclass

from tests.fakes.care import PROCESS, Still

from farmgate.app.care import ModelCare
from farmgate.app.limits import room_at
from farmgate.core.model import HealthStatus, ModelInfo, ModelState
from farmgate.core.ports import Lease, Places, Purpose, Report
from farmgate.flow.route import Candidate
from farmgate.flow.slots import Room


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


def test_a_process_answers_as_fast_as_its_model_and_its_adapters_together() -> None:
    pace = {"guide": 10.0, "guide:formal": 5.0, "guide:other": 3.0}
    care = ModelCare(
        lambda name: Candidate(provider="local", model=name),
        {},
        Running(PROCESS),
        waiting=lambda: {"guide": 2},
        pace=pace.__getitem__,
    )
    (told,) = care.processes()
    assert PROCESS.adapters == ("formal",)
    assert (told.tokens_per_s, told.waiting) == (15.0, 2)


def test_the_room_of_an_adapter_is_in_its_models_line() -> None:
    places = Places(model="guide", parallel=2, queue=3, patience_s=4.0)
    assert room_at(places) == Room(in_flight=2, waiting=3, patience_s=4.0, line="guide")
    assert room_at(None) is None
