"""What holds for every test: sockets reach loopback only, and the environment is nobody's."""

from __future__ import annotations

import gc
import itertools
import sys

import pytest

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT")
HOMES = itertools.count()
LOOPBACK = ("127.", "::1", "localhost")


def loopback_only(event: str, args: tuple[object, ...]) -> None:
    if event != "socket.connect":
        return
    address = args[1]
    if isinstance(address, tuple) and not str(address[0]).startswith(LOOPBACK):
        raise RuntimeError(f"a test tried to reach {address[0]}")


sys.addaudithook(loopback_only)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No key, no configuration and no data of the person who runs the tests."""
    # Not in tmp_path: to make a folder costs more than most tests, and few of them write anything.
    home = tmp_path_factory.getbasetemp() / "homes" / str(next(HOMES))
    for name in ("FARM_ENV", "FARM_CONFIG", "OLLAMA_URL", "AI_PROVIDER", "AI_DEFAULT_MODEL", *KEYS):
        monkeypatch.delenv(name, raising=False)
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
