"""A gate is built whole, or nothing of it stays."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.matrix.stage import Engine

from farmgate.app.gate import Shared
from farmgate.app.house import House, warm_up
from farmgate.config import Config, ConfigError, load
from farmgate.core.errors import ModelNotFound
from farmgate.core.ports import Lease, Purpose, Report
from farmgate.flow.health import Ward
from farmgate.stores.journal import MemoryJournal
from farmgate.stores.responses import NoResponses
from farmgate.telemetry import Telemetry
from farmgate.work.jobs import Jobs

REFUSES = """
class Refuses:
    def __init__(self, settings):
        raise RuntimeError
"""


async def test_where_a_provider_cannot_be_made_the_models_are_those_before(tmp_path: Path) -> None:
    declared: list[str] = []

    def declare(config: Config) -> Callable[[], None]:
        declared.append("as it says")
        return lambda: declared.append("as before")

    nobody = Engine(url="", model="m")
    shared = Shared(
        telemetry=Telemetry(),
        journal=MemoryJournal(keep=0),
        responses=NoResponses(),
        jobs=Jobs(time.time),
        engines=nobody,
        ward=Ward(),
        weights=nobody,
        is_draining=lambda: False,
        declare=declare,
    )
    (tmp_path / "mine.py").write_text(REFUSES)
    file = tmp_path / "farm.config.yaml"
    file.write_text("ai: {providers: {mine: {provider: 'mine:Refuses'}}}")
    config = load(file, cwd=tmp_path, environ={"HOME": str(tmp_path)})
    with pytest.raises(ConfigError, match="its code raised RuntimeError"):
        await House()._build(config, shared)
    assert declared == ["as it says", "as before"]


async def test_the_default_model_is_loaded_for_what_it_can(caplog: pytest.LogCaptureFixture) -> None:
    """Not to write, which a ranker cannot: asked for a word its engine ends, and is told to be broken."""
    loaded: list[str] = []

    class Loads(Engine):
        async def load(self, model: str, report: Report) -> None:
            if model == "gone":
                raise ModelNotFound("there is no model 'gone'")
            loaded.append(model)

        async def lease(self, model: str, *, purpose: Purpose = Purpose.GENERATE) -> Lease:
            raise AssertionError

    lender = Loads(url="", model="ranker")
    for default in (None, ("openai", "gpt"), ("local", None), ("local", "ranker"), ("local", "gone")):
        await warm_up(default, lender)
    assert loaded == ["ranker"]
    assert "there is no model 'gone'" in caplog.text
