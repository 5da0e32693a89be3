"""What holds for every test: sockets reach loopback only, and the environment is nobody's."""

from __future__ import annotations

import gc
import itertools
import os
import sys

import pytest

SOMEBODYS = ("FARM_", "AI_", "OLLAMA_", "OPENAI_", "ANTHROPIC_", "HF_", "HUGGING", "AWS_", "AZURE_", "GOOGLE_", "CUDA_")
"""What settings of the person who runs the tests begin with, and what they end with or are."""
OF_SOMEBODY = ("_API_KEY", "FORCE_COLOR", "NO_COLOR", "COLUMNS", "PYTHONWARNINGS")
HOMES = itertools.count()
LOOPBACK = ("127.", "::1", "localhost")


def loopback_only(event: str, args: tuple[object, ...]) -> None:
    if event != "socket.connect":
        return
    address = args[1]
    if isinstance(address, tuple) and not str(address[0]).startswith(LOOPBACK):
        raise RuntimeError(f"a test tried to reach {address[0]}")


sys.addaudithook(loopback_only)


for variable in tuple(os.environ):
    # For whole sessions, and before any library has read them.
    if variable.upper().startswith(SOMEBODYS) or variable.upper().endswith(OF_SOMEBODY):
        del os.environ[variable]
for variable in ("NO_PROXY", "no_proxy"):
    # Somebody's proxy is for the starter model, if that has to be fetched, and for nothing on this machine.
    os.environ[variable] = ",".join(filter(None, (os.environ.get(variable), "127.0.0.1", "localhost", "::1")))


@pytest.fixture(autouse=True)
def home_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No configuration and no data of the person who runs the tests."""
    # Not in tmp_path: to make a folder costs more than most tests, and few of them write anything.
    home = tmp_path_factory.getbasetemp() / "homes" / str(next(HOMES))
    monkeypatch.setenv("FARM_HOME", str(home))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Coverage is of examples: a line that only a drawn value reaches is one of which nobody said what it does."""
    if not config.pluginmanager.hasplugin("_cov"):
        return
    for item in items:
        if item.get_closest_marker("hypothesis"):
            item.add_marker("no_cover")


def pytest_collection_finish() -> None:
    """What ten thousand tests are made of stays to the end: no collection of garbage has to look through it again."""
    gc.collect()
    gc.freeze()
