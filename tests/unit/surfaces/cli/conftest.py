"""A house, a shell in an empty directory, and a port nobody listens on."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.surfaces.cli.fake_server import FakeServer
from tests.unit.surfaces.cli.fakes import FakeHouse, Shell


@pytest.fixture(autouse=True)
def _at_a_keyboard() -> Iterator[None]:
    """Ctrl-C is heard, also where the tests run in the background of a script, which has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def house() -> FakeHouse:
    return FakeHouse()


@pytest.fixture
def shell(
    house: FakeHouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Shell:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("NO_COLOR", "TERM", "FARM_KEY", "UV", "VIRTUAL_ENV", "FARM_HOST", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FARM_PORT", str(free_port()))
    return Shell(house, monkeypatch, capsys)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


@pytest.fixture
def server(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    with FakeServer() as server:
        monkeypatch.setenv("FARM_PORT", str(server.port))
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
