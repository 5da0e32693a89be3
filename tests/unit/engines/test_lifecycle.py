from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.unit.engines.fake_nvml import Card, FakeNvml
from tests.unit.engines.fakes import FakeEngine, FakeTime, becomes, gguf

from farmgate.core.errors import EngineUnavailable, ModelNotFound, ShuttingDown
from farmgate.core.model import Capability, HealthStatus
from farmgate.core.ports import Lender, Progress, Purpose, Weights
from farmgate.engines.lifecycle import Engines
from farmgate.engines.pulling.weights import ModelStore
from farmgate.engines.states import State
from farmgate.engines.surroundings import unasked
from farmgate.engines.versions import Options, default_threads

Make = Callable[..., Engines]


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.gguf").write_bytes(gguf(context=512))
    (tmp_path / "models" / "wide.gguf").write_bytes(gguf(context=100_000))
    return ModelStore(tmp_path / "models", sources=())


@pytest.fixture
async def make(tmp_path: Path, store: ModelStore) -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:

        def make(engine: FakeEngine, environment: dict[str, str] | None = None) -> Engines:
            time = FakeTime()
            engines = Engines(
                store,
                log_directory=tmp_path / "logs",
                engines={"llamacpp": engine},
                warm=unasked,
                options=Options(threads=1, context_tokens=2048, parallel=4),
                environment=environment or {},
                clock=time.clock,
                sleep=time.sleep,
            )
            stack.push_async_callback(engines.close)
            return engines

        yield make


def pids(engines: Engines) -> list[int]:
    return [supervisor.pid for supervisor in engines.supervisors() if supervisor.pid is not None]


def test_they_are_what_the_ports_ask_for(store: ModelStore, tmp_path: Path) -> None:
    lender: Lender = Engines(store, log_directory=tmp_path)
    weights: Weights = store
    assert lender is not None
    assert weights is not None


async def test_many_first_leases_start_one_process(make: Make) -> None:
    engine = FakeEngine()
    engines = make(engine)
    leases = await asyncio.gather(*(engines.lease("tiny") for _ in range(10)))
    assert len(engine.launched) == 1
    assert len({lease.url for lease in leases}) == 1


async def test_each_model_and_purpose_has_its_own_process_and_key(make: Make) -> None:
    engine = FakeEngine()
    engines = make(engine)
    one = await engines.lease("tiny")
    two = await engines.lease("tiny", purpose=Purpose.EMBED)
    three = await engines.lease("wide")
    assert len({one.key, two.key, three.key}) == 3
    assert len(set(pids(engines))) == 3
    assert [spec.purpose for spec in engine.specs] == [Purpose.GENERATE, Purpose.EMBED, Purpose.GENERATE]


async def test_the_context_is_no_larger_than_the_models_own(make: Make) -> None:
    engine = FakeEngine()
    engines = make(engine)
    (await engines.lease("tiny")).release()
    (await engines.lease("wide")).release()
    assert [spec.context_tokens for spec in engine.specs] == [512, 2048]
    assert {info.name: info.context_tokens for info in engines.models()} == {"tiny": 512, "wide": 2048}
    assert all(Capability.VISION in info.lacks for info in engines.models()), "and it takes no pictures"


async def test_a_name_without_weights_is_not_found_and_no_path_is_a_name(make: Make, tmp_path: Path) -> None:
    engine = FakeEngine()
    engines = make(engine)
    for name in ("other", str(tmp_path / "models" / "tiny.gguf"), "../models/tiny", "./tiny.gguf", ""):
        with pytest.raises(ModelNotFound, match=r"there is tiny, wide$|did you mean 'tiny'"):
            await engines.lease(name)
    assert engine.launched == []


async def test_what_there_is_is_told_instead_of_a_name_that_nothing_has(make: Make, tmp_path: Path) -> None:
    (tmp_path / "models" / "guide.gguf").write_bytes(gguf())
    engines = make(FakeEngine())
    for name, told in (("tinny", "did you mean 'tiny'?"), ("x:formal", "there is guide, tiny, wide")):
        with pytest.raises(ModelNotFound) as caught:
            await engines.unload(name)
        assert caught.value.message.startswith(f"there is no model {name!r} on this machine: ")
        assert caught.value.message.endswith(told)
    for file in (tmp_path / "models").glob("*.gguf"):
        file.unlink()
    with pytest.raises(ModelNotFound, match=r": farmgate pull starter gets a small one$"):
        await engines.unload("tiny")


async def test_a_registered_file_is_lent_under_its_name(make: Make, store: ModelStore, tmp_path: Path) -> None:
    (tmp_path / "my model.gguf").write_bytes(gguf())
    engines = make(FakeEngine())
    name = store.register(tmp_path / "my model.gguf")
    (await engines.lease(name)).release()
    assert {info.name: info.loaded for info in engines.models()} == {"my-model": True, "tiny": False, "wide": False}


async def test_an_engine_that_is_not_installed_says_how_to_get_it(make: Make) -> None:
    engine = FakeEngine()
    engine.missing_text = "pip install it"
    engines = make(engine)
    with pytest.raises(EngineUnavailable, match="pip install it"):
        await engines.lease("tiny")
    assert engines.state() == (HealthStatus.UNHEALTHY, "pip install it")


async def test_load_makes_it_ready_and_tells_so(make: Make) -> None:
    engines = make(FakeEngine())
    told: list[Progress] = []
    await engines.load("tiny", told.append)
    assert [progress.status for progress in told] == ["loading tiny", "tiny is ready"]
    assert engines.supervisors()[0].state is State.READY
    assert engines.supervisors()[0].leases.in_flight == 0


async def test_its_state_follows_its_engines(make: Make) -> None:
    engines = make(FakeEngine())
    assert engines.state() == (HealthStatus.HEALTHY, None)
    asking = asyncio.create_task(engines.lease("tiny"))
    await asyncio.sleep(0)
    assert engines.state() == (HealthStatus.LOADING, None)
    await asking
    assert engines.state() == (HealthStatus.HEALTHY, None)
    os.kill(pids(engines)[0], signal.SIGUSR1)
    await becomes(engines.supervisors()[0], State.FAILED)
    status, detail = engines.state()
    assert status is HealthStatus.UNHEALTHY
    assert detail is not None
    assert "SIGUSR1" in detail


async def test_no_model_at_all_is_said(tmp_path: Path) -> None:
    engines = Engines(ModelStore(tmp_path / "none"), log_directory=tmp_path, engines={"llamacpp": FakeEngine()})
    assert engines.state() == (HealthStatus.UNHEALTHY, "there is no model on this machine: farmgate pull starter")


async def test_close_leaves_no_process_and_lends_no_more(make: Make) -> None:
    engines = make(FakeEngine())
    await engines.lease("tiny")
    await engines.lease("wide")
    started = pids(engines)
    await engines.close()
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []
    with pytest.raises(ShuttingDown):
        await engines.lease("tiny")
    await engines.close()


async def test_engines_see_where_libraries_are_and_no_secret(make: Make) -> None:
    engine = FakeEngine()
    engines = make(engine, {"PATH": "/bin", "OPENAI_API_KEY": "secret", "LD_LIBRARY_PATH": "/lib"})
    (await engines.lease("tiny")).release()
    assert engine.launched[0].environment == {"PATH": "/bin", "LD_LIBRARY_PATH": "/lib"}


async def test_gpus_that_are_hidden_from_the_gate_are_hidden_from_its_models(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farmgate.engines.devices.found_nvml", lambda: FakeNvml([Card(), Card()]))
    engines = Engines(store, log_directory=tmp_path, environment={"CUDA_VISIBLE_DEVICES": "1"})
    assert [device.name for device in engines.devices()] == ["gpu1", "cpu"]
    await engines.close()


def test_threads_are_at_least_one_and_at_most_sixteen() -> None:
    assert 1 <= default_threads() <= 16


PARENT = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from farmgate.engines.lifecycle import Engines
from farmgate.engines.surroundings import unasked
from farmgate.engines.pulling.weights import ModelStore
from tests.unit.engines.fakes import FakeEngine

async def main():
    home = Path(sys.argv[1])
    fake = {"llamacpp": FakeEngine(sys.argv[3])}
    engines = Engines(ModelStore(home / "models"), log_directory=home / "logs", engines=fake, warm=unasked)
    asyncio.ensure_future(engines.lease("tiny"))
    while not engines.supervisors() or engines.supervisors()[0].pid is None:
        await asyncio.sleep(0)
    while not (home / "logs" / "engine-tiny-generate.log").read_text():
        await asyncio.sleep(0)
    print(engines.supervisors()[0].pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("mode", ["serves", "deaf", "hangs"])
@pytest.mark.usefixtures("store")
def test_a_gate_killed_at_once_leaves_no_engine(tmp_path: Path, mode: str) -> None:
    root = str(Path(__file__).parents[3])
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), root, mode], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
        child = os.pidfd_open(pid)
        try:
            assert select.select([child], [], [], 0)[0] == []
            parent.kill()
            parent.wait()
            assert select.select([child], [], [], 10)[0] == [child]
        finally:
            os.close(child)
