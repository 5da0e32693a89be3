"""A real gate for the clients that run in `make test`: the demo uses tools, another provider misbehaves on order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.journey.gate import KEY, RealGate
from tests.journey.upstream import Upstream


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[RealGate]:
    """It asks for a key. Models: `demo`, and those of `tests/journey/upstream.py` that are named here."""
    models = ["say", "die-3", "fail-3", "refuse-400", "refuse-429", "refuse-500"]
    config = {
        "keys": [{"name": "tests", "key": KEY}],
        "ai": {
            "providers": {
                "demo": {},
                "up": {"provider": "openai", "url": upstream.url, "apiKey": "none", "models": models},
            },
            "routing": {"production": "demo"},
        },
    }
    with RealGate(tmp_path_factory.mktemp("gate"), config=config).start() as gate:
        yield gate
