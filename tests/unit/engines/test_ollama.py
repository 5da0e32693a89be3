"""A server is adopted, started or missed; real processes, real sockets."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fakes.ollama import FakeOllama, Fault

from farmgate.engines.ollama import Adopted, Found, Missing, NotOllama, Started, ensure, environment_for, probe

FAKE = Path(__file__).parents[2] / "fakes" / "ollama.py"
WITHIN_S = 20.0


@pytest.fixture
def program(tmp_path: Path) -> str:
    """An executable `ollama` that is the fake."""
    path = tmp_path / "bin" / "ollama"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n')
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def url() -> str:
    """An address of this machine where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def here(program: str) -> Callable[[str], str | None]:
    return lambda name: program if name == "ollama" else None


def nowhere(_: str) -> str | None:
    return None


async def find(
    url: str,
    tmp_path: Path,
    *,
    start: bool = True,
    which: Callable[[str], str | None] = nowhere,
    environment: dict[str, str] | None = None,
    probe_s: float = 1.0,
    start_s: float = 20.0,
) -> Found:
    async with asyncio.timeout(WITHIN_S):
        return await ensure(
            url,
            log_directory=tmp_path / "logs",
            start=start,
            environment={"PATH": os.environ["PATH"], **(environment or {})},
            which=which,
            probe_s=probe_s,
            start_s=start_s,
        )


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_server_that_answers_is_adopted_and_nothing_is_started(program: str, tmp_path: Path) -> None:
    async with FakeOllama(version="1.2.3") as fake:
        found = await find(fake.url, tmp_path, which=here(program))
        assert found == Adopted(url=fake.url, version="1.2.3")
        assert not (tmp_path / "logs").exists()


async def test_a_server_is_started_where_its_url_says_and_ends_by_stop(program: str, url: str, tmp_path: Path) -> None:
    found = await find(url, tmp_path, which=here(program))
    assert isinstance(found, Started)
    assert is_alive(found.pid)
    assert found.version == "0.0.0-fake"
    assert await probe(url) == "0.0.0-fake"
    assert os.getsid(found.pid) == found.pid
    assert f"listening on {url.removeprefix('http://')}" in found.log.read_text()
    await found.stop()
    assert not found.is_running
    assert not is_alive(found.pid)
    assert await probe(url) is None
    await found.stop()


async def test_a_server_that_ignores_sigterm_is_killed(program: str, url: str, tmp_path: Path) -> None:
    found = await find(url, tmp_path, which=here(program), environment={"OLLAMA_FAKE_STUBBORN": "1"})
    assert isinstance(found, Started)
    await found.stop(grace_s=0.05)
    assert not is_alive(found.pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
async def test_a_started_server_does_not_outlive_a_parent_that_is_killed(
    program: str, url: str, tmp_path: Path
) -> None:
    parent = f"""
import asyncio, os, pathlib
from farmgate.engines.ollama import ensure
async def main():
    found = await ensure({url!r}, log_directory=pathlib.Path({str(tmp_path)!r}), start=True,
                         environment=dict(os.environ), which=lambda name: {program!r})
    print(found.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
    gate = await asyncio.create_subprocess_exec(sys.executable, "-c", parent, stdout=asyncio.subprocess.PIPE)
    assert gate.stdout is not None
    async with asyncio.timeout(WITHIN_S):
        pid = int(await gate.stdout.readline())
        assert is_alive(pid)
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        gate.send_signal(signal.SIGKILL)
        await gate.wait()
        assert await reader.read() == b""  # The kernel closes what a process that is gone had open.
        writer.close()
        await writer.wait_closed()
    assert await probe(url) is None


async def test_what_is_not_wanted_is_not_started(program: str, url: str, tmp_path: Path) -> None:
    found = await find(url, tmp_path, start=False, which=here(program))
    assert isinstance(found, Missing)
    assert "ollama serve" in found.detail
    assert await probe(url) is None


async def test_what_is_not_installed_tells_how_to_install_it(url: str, tmp_path: Path) -> None:
    found = await find(url, tmp_path)
    assert isinstance(found, Missing)
    assert "ollama.com" in found.detail


async def test_another_machines_server_is_never_started_here(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nobody(url: str, *, limit_s: float) -> None:
        return None

    monkeypatch.setattr("farmgate.engines.ollama.probe", nobody)
    for url in ("http://10.1.2.3:11434", "http://gpu.example:11434", "https://127.0.0.1:11434", "http://0.0.0.0:11434"):
        found = await find(url, tmp_path, which=here(program))
        assert isinstance(found, Missing)
        assert "on that machine" in found.detail


async def test_a_start_that_fails_tells_the_servers_own_words(program: str, url: str, tmp_path: Path) -> None:
    found = await find(url, tmp_path, which=here(program), environment={"OLLAMA_FAKE_FAILS": "no room for models"})
    assert isinstance(found, Missing)
    assert "exited with code 1" in found.detail
    assert "no room for models" in found.detail
    assert str(tmp_path / "logs" / "ollama.log") in found.detail


async def test_a_program_that_cannot_run_is_told(url: str, tmp_path: Path) -> None:
    broken = tmp_path / "ollama"
    broken.write_text("not a program")
    found = await find(url, tmp_path, which=here(str(broken)))
    assert isinstance(found, Missing)


async def test_a_server_that_never_answers_is_ended(url: str, tmp_path: Path) -> None:
    mute = tmp_path / "ollama"
    mute.write_text(f'#!/bin/sh\necho $$ > "{tmp_path}/pid"\nexec sleep 600\n')
    mute.chmod(0o755)
    found = await find(url, tmp_path, which=here(str(mute)), start_s=0.5)
    assert isinstance(found, Missing)
    assert "within 0.5 s" in found.detail
    assert not is_alive(int((tmp_path / "pid").read_text()))


async def test_a_cancelled_start_leaves_no_process(url: str, tmp_path: Path) -> None:
    mute = tmp_path / "ollama"
    os.mkfifo(tmp_path / "pid")
    mute.write_text(f'#!/bin/sh\necho $$ > "{tmp_path}/pid"\nexec sleep 600\n')
    mute.chmod(0o755)
    starting = asyncio.create_task(find(url, tmp_path, which=here(str(mute))))
    pid = int(await asyncio.to_thread((tmp_path / "pid").read_text))
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    assert starting.cancelled()
    assert not is_alive(pid)


async def test_the_log_of_the_server_before_is_kept(program: str, url: str, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "ollama.log").write_text("before")
    found = await find(url, tmp_path, which=here(program))
    assert isinstance(found, Started)
    await found.stop()
    assert (logs / "ollama.log.1").read_text() == "before"


@pytest.mark.parametrize("fault", [Fault.HTML, Fault.SILENT, Fault.INVALID_JSON])
async def test_an_address_that_something_else_holds_is_not_taken(fault: Fault, program: str, tmp_path: Path) -> None:
    async with FakeOllama(faults={"/api/version": fault}) as fake:
        found = await find(fake.url, tmp_path, which=here(program), probe_s=0.2)
        assert isinstance(found, Missing)
        assert fake.url in found.detail
        assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("url", ["localhost:11434", "ftp://localhost", "http://", "http://127.0.0.1:99999"])
async def test_an_address_that_is_none_is_told(url: str, tmp_path: Path) -> None:
    with pytest.raises(NotOllama):
        await probe(url)
    assert isinstance(await find(url, tmp_path), Missing)


def test_the_gates_keys_stay_behind() -> None:
    seen = environment_for(
        "127.0.0.1:11434",
        {
            "PATH": "/bin",
            "HOME": "/home/me",
            "OLLAMA_MODELS": "/models",
            "OLLAMA_HOST": "0.0.0.0",
            "https_proxy": "http://proxy",
            "CUDA_VISIBLE_DEVICES": "0",
            "OPENAI_API_KEY": "secret",
            "HUGGINGFACE_TOKEN": "secret",
        },
    )
    assert seen == {
        "PATH": "/bin",
        "HOME": "/home/me",
        "OLLAMA_MODELS": "/models",
        "OLLAMA_HOST": "127.0.0.1:11434",
        "https_proxy": "http://proxy",
        "CUDA_VISIBLE_DEVICES": "0",
    }
