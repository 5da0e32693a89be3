"""What looks after targets outlives whatever a provider of one's own does."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from farmgate.app.tending import Tending
from farmgate.core.model import EngineLoad
from farmgate.flow.health import Ward
from farmgate.flow.routes import Balance, Route, RouteTarget


class Raises:
    """A provider whose author did not think of everything."""

    name = "mine"
    well = False

    async def engine_load(self) -> EngineLoad | None:
        if self.well:
            return EngineLoad(running=1)
        raise KeyError("SECRET")


def gate_of(provider: Raises) -> Any:
    """One whose only route goes by the load of this provider's engine."""
    target = RouteTarget(provider="mine", model="m")
    view = SimpleNamespace(routes={"r": Route(targets=(target,), balance=Balance.ENGINE_LOAD)})
    return SimpleNamespace(
        providers={"mine": provider},
        catalog=SimpleNamespace(view=lambda: view),
        means=SimpleNamespace(ward=Ward()),
    )


async def test_a_provider_that_raises_when_it_is_heard_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    gate = gate_of(Raises())
    with caplog.at_level(logging.INFO):
        await Tending(lambda: gate).look()
    assert "KeyError" in caplog.text
    assert "SECRET" not in caplog.text


async def test_it_is_told_once_until_it_is_well_again(caplog: pytest.LogCaptureFixture) -> None:
    provider = Raises()
    gate = gate_of(provider)
    tending = Tending(lambda: gate)
    with caplog.at_level(logging.INFO):
        for well in (False, False, False, True, False, False):
            provider.well = well
            await tending.look()
    assert caplog.text.count("engine_load_unknown") == 2
