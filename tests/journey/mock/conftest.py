"""A mock that listens, and connections to it that are closed afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.fakes.raw import Dial

from farmgate.mock import Mock


@pytest.fixture
async def mock() -> AsyncIterator[Mock]:
    async with Mock() as mock:
        yield mock


@pytest.fixture
async def dial(mock: Mock) -> AsyncIterator[Dial]:
    dial = Dial(mock.port)
    yield dial
    await dial.close()
