"""What speaks to sockets is held to the same facts on both event loops: asyncio's and the one Farmgate runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

from farmgate.providers import http1, pool

ON_BOTH_LOOPS = ("test_http1.py", "test_transport.py")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.path.name in ON_BOTH_LOOPS:
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


@pytest.fixture
def quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Timers are looked at every hundredth of a second instead of every second; draining gets as little."""
    monkeypatch.setattr(pool, "SWEEP_S", 0.01)
    monkeypatch.setattr(http1, "DRAIN_S", 0.01)
