"""Engines that many tests ask, and what they are held against."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
import torch
from tests.live.engines.reference import Reference
from tests.live.engines.running import MODELS, Running, starting

LOOPBACK = ("127.", "::1", "localhost")


def loopback_only(event: str, args: tuple[object, ...]) -> None:
    if event == "socket.connect" and isinstance(args[1], tuple) and not str(args[1][0]).startswith(LOOPBACK):
        raise RuntimeError(f"a test tried to reach {args[1][0]}")


sys.addaudithook(loopback_only)


@pytest.fixture(scope="session")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The first version, eight answers at once."""
    with starting(MODELS / "guide-1", tmp_path_factory.mktemp("logs")) as running:
        yield running


@pytest.fixture(scope="session")
def reference() -> Reference:
    torch.set_num_threads(1)
    return Reference(MODELS / "guide-1")
