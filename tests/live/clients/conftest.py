"""Each client here meets a real gate with the demo behind it: `make clients` runs each in its own environment."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.journey.gate import KEY, RealGate

HOUSE = Path(__file__).resolve().parents[3]
PYTHON = HOUSE / ".venv/bin/python"


@pytest.fixture(scope="session", autouse=True)
def nothing_but_loopback() -> None:
    """The guard is there: whoever runs a test by hand must not send anything anywhere."""
    assert hasattr(sys.modules.get("sitecustomize"), "loopback_only"), "run this with `make clients`"


@pytest.fixture(scope="session")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGate]:
    """A gate that asks for a key. Its `demo` uses tools, as docs/clients.md says."""
    config = {"keys": [{"name": "clients", "key": KEY}], "ai": {"providers": {"demo": {}}}}
    with RealGate(tmp_path_factory.mktemp("gate"), config=config, python=str(PYTHON)).start() as gate:
        yield gate


@pytest.fixture(scope="session")
def base_url(gate: RealGate) -> str:
    """Where the OpenAI API is."""
    return str(gate.ready["apiBase"])
