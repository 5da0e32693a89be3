"""What the tests of one process are given: supervisors, and time that stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.unit.engines.fakes import FakeEngine, FakeTime
from tests.unit.engines.supervising import Make

from farmgate.core.ports import Purpose
from farmgate.engines.engine import Spec
from farmgate.engines.supervisor import Supervisor
from farmgate.engines.surroundings import Settings


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
async def make(tmp_path: Path, time: FakeTime) -> AsyncIterator[Make]:
    """Makes a supervisor of fake_engine.py in the given modes."""
    spec = Spec(
        model="tiny",
        path=tmp_path / "tiny.gguf",
        purpose=Purpose.GENERATE,
        context_tokens=64,
        parallel=1,
        threads=1,
    )
    async with AsyncExitStack() as stack:

        def make(*modes: str, **more: Any) -> Supervisor:
            supervisor = Supervisor(
                spec,
                FakeEngine(*modes),
                log_file=tmp_path / "logs" / "tiny.log",
                environment={},
                settings=Settings(),
                clock=time.clock,
                sleep=time.sleep,
                **more,
            )
            # Fake time stands still: an engine that ignores SIGTERM is the test's own business.
            stack.push_async_callback(supervisor.close)
            return supervisor

        yield make
