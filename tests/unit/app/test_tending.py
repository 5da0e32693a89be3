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

    async def engine_load(self) -> EngineLoad | None:
        raise KeyError("SECRET")


async def test_a_provider_that_raises_when_it_is_heard_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    target = RouteTarget(provider="mine", model="m")
    route = Route(targets=(target,), balance=Balance.ENGINE_LOAD)
    view = SimpleNamespace(routes={"r": route})
    gate: Any = SimpleNamespace(
        providers={"mine": Raises()},
        catalog=SimpleNamespace(view=lambda: view),
        means=SimpleNamespace(ward=Ward()),
    )
    with caplog.at_level(logging.INFO):
        await Tending(lambda: gate).look()
    assert "KeyError" in caplog.text
    assert "SECRET" not in caplog.text
