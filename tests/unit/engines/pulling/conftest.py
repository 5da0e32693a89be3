"""A fake hub with a GGUF model in two quantisations, and a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.fakes.hub import FakeHub, running
from tests.unit.engines.pulling.stores import CHECKPOINT, MODEL, OTHER


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    with running() as fake:
        fake.add("owner/name", {"name-Q4_K_M.gguf": MODEL, "name-Q8_0.gguf": OTHER, "README.md": b"read me"})
        fake.add("owner/whole", CHECKPOINT)
        yield fake
