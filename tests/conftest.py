"""What holds for every test: sockets reach loopback only, and the environment is nobody's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT")
LOOPBACK = ("127.", "::1", "localhost")


def loopback_only(event: str, args: tuple[object, ...]) -> None:
    if event != "socket.connect":
        return
    address = args[1]
    if isinstance(address, tuple) and not str(address[0]).startswith(LOOPBACK):
        raise RuntimeError(f"a test tried to reach {address[0]}")


sys.addaudithook(loopback_only)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, no configuration and no data of the person who runs the tests."""
    for name in ("FARM_ENV", "FARM_CONFIG", "OLLAMA_URL", "AI_PROVIDER", "AI_DEFAULT_MODEL", *KEYS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FARM_HOME", str(tmp_path / "farm-home"))
