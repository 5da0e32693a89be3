"""A model and its adapters have one process, one line, one version; adapters change with the least that is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.unit.engines.adapting import FakeTaking, Orders, TakingEngine, folder_adapter
from tests.unit.engines.fakes import FakeTime, gguf, ignore, until

from farmgate.core.errors import EngineUnavailable, InvalidValue, ModelNotCapable, ModelNotFound, NotFound, ShuttingDown
from farmgate.core.model import Capability
from farmgate.core.ports import Purpose
from farmgate.engines import lifecycle
from farmgate.engines.adapters import Adapter
from farmgate.engines.adapting import Adaptation
from farmgate.engines.declared import Declared
from farmgate.engines.devices import Devices
from farmgate.engines.lifecycle import Engines
from farmgate.engines.pulling.weights import ModelStore
from farmgate.engines.surroundings import unasked
from farmgate.engines.versions import Options

MIB = 2**20
RUNNING = FakeTaking()
AT_START = FakeTaking(is_told_at_start=True, adapts_while_it_runs=False)


class Bench:
    """Engines of fake_engine.py, with a model `m` of two versions and two adapters."""

    def __init__(self, folder: Path, taking: FakeTaking, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time, self.orders = FakeTime(), Orders()
        self.engine = TakingEngine(taking)
        (folder / "models").mkdir()
        for name in ("one", "two"):
            (folder / "models" / f"{name}.gguf").write_bytes(gguf())
        self.a, self.b = folder_adapter(folder / "a"), folder_adapter(folder / "b")

        def adapted(*args: object, **more: object) -> Adaptation:
            return Adaptation(*args, **more, carry_out=self.orders)  # type: ignore[arg-type]

        monkeypatch.setattr(lifecycle, "Adaptation", adapted)
        self.engines = Engines(
            ModelStore(folder / "models", sources=()),
            log_directory=folder / "logs",
            engines={"llamacpp": self.engine},
            options=Options(threads=1, context_tokens=64, parallel=3),
            devices=Devices(host=lambda: (1024 * MIB, 1024 * MIB)),
            warm=unasked,
            clock=self.time.clock,
            wall=lambda: datetime(2026, 11, 30, tzinfo=UTC),
            sleep=self.time.sleep,
        )
        self.declare(self.a)

    def declare(self, *adapters: Adapter, version: str = "1") -> None:
        versions = {"1": "one", "2": "two"}
        self.engines.declare({"m": Declared(name="m", versions=versions, version=version, adapters=adapters)})

    async def ask(self, name: str = "m") -> dict[str, object]:
        lease = await self.engines.lease(name)
        lease.release(answered=True)
        return dict(lease.fields)

    @property
    def starts(self) -> list[tuple[str, list[str]]]:
        """Every process that was started: its version and what its command was given."""
        return [(spec.version, [one.name for one in spec.adapters]) for spec in self.engine.specs]

    @property
    def answering(self) -> tuple[str, tuple[str, ...]]:
        return next((one.version, one.adapters) for one in self.engines.states() if one.answers)


@pytest.fixture
async def bench(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path, getattr(request, "param", RUNNING), monkeypatch)
    yield bench
    await bench.engines.close()


at_start = pytest.mark.parametrize("bench", [AT_START], indirect=True)
both = pytest.mark.parametrize("bench", [RUNNING, AT_START], indirect=True)


@both
async def test_an_adapter_has_the_process_the_places_and_the_version_of_its_model(bench: Bench) -> None:
    await bench.ask()
    await bench.ask("m:a")
    assert len(bench.starts) == 1
    assert bench.engines.places("m:a") == bench.engines.places("m")
    places = bench.engines.places("m:a")
    assert places is not None
    assert (places.model, places.parallel) == ("m", 3)
    assert bench.engines.served("m:a") == bench.engines.served("m")
    assert bench.answering == ("1", ("a",))
    with pytest.raises(ModelNotFound):
        await bench.ask("m:b")
    with pytest.raises(ModelNotFound):
        await bench.ask("m:")


@both
async def test_those_whose_files_are_there_are_models_of_their_own(bench: Bench) -> None:
    bench.declare(bench.a, Adapter("gone", Path("/no/such/adapter")))
    found = {info.name: info for info in bench.engines.models()}
    assert set(found) == {"m", "m:a", "one", "two"}
    assert (found["m:a"].parent, found["m"].parent) == ("m", None)
    assert found["m:a"].context_tokens == found["m"].context_tokens == 64
    assert Capability.EMBEDDING in found["m:a"].lacks - found["m"].lacks
    assert not found["m:a"].loaded
    await bench.ask()
    assert next(info for info in bench.engines.models() if info.name == "m:a").loaded


async def test_one_that_could_not_be_loaded_is_not_listed_as_loaded(bench: Bench) -> None:
    bench.orders.fails["m:b"] = "no such layer"
    bench.declare(bench.a, bench.b)
    await bench.ask()
    loaded = {info.name: info.loaded for info in bench.engines.models()}
    assert loaded == {"m": True, "m:a": True, "m:b": False, "one": False, "two": False}


async def test_embeddings_are_the_models_own(bench: Bench) -> None:
    with pytest.raises(ModelNotCapable, match="m:a is an adapter, which only writes text: ask m"):
        await bench.engines.lease("m:a", purpose=Purpose.EMBED)
    (await bench.engines.lease("m", purpose=Purpose.EMBED)).release()
    assert bench.starts == [("1", [])]
    assert bench.orders.done == []


async def test_what_is_loaded_and_changed_is_the_model(bench: Bench) -> None:
    await bench.engines.load("m:a", ignore)
    assert bench.answering == ("1", ("a",))
    for change in (
        bench.engines.unload("m:a"),
        bench.engines.swap("m:a", "2", ignore),
        bench.engines.rollback("m:a", ignore),
    ):
        with pytest.raises(InvalidValue, match=r"m:a is an adapter of m and runs in its process: name m\."):
            await change


async def test_a_model_of_that_very_name_is_that_model(bench: Bench) -> None:
    declared = bench.engines.declared["m"]
    bench.engines.declare({"m": declared, "m:a": Declared(name="m:a", versions={"1": "two"}, version="1")})
    await bench.ask("m:a")
    assert [spec.model for spec in bench.engine.specs] == ["m:a"]


# ------------------------------------------------------------------------------------------------- while it runs


async def test_adapters_alone_change_in_the_process_there_is(bench: Bench) -> None:
    await bench.ask()
    bench.declare(bench.a, bench.b)
    await bench.ask("m:b")
    bench.declare(bench.b)
    await until(lambda: bench.answering == ("1", ("b",)))
    assert bench.starts == [("1", [])]
    with pytest.raises(ModelNotFound):
        await bench.ask("m:a")
    await bench.engines.unload("m")
    await bench.ask("m:b")
    assert bench.orders.done == ["/add m:a", "/add m:b", "/remove m:a", "/add m:b"], "the next has the current ones"


async def test_a_change_of_more_is_a_swap_that_brings_the_adapters(bench: Bench) -> None:
    await bench.ask()
    bench.declare(bench.b, version="2")
    await bench.ask("m:b")
    assert bench.answering == ("2", ("b",))
    assert bench.starts == [("1", []), ("2", [])]


async def test_a_version_that_is_set_aside_has_the_current_adapters_too(bench: Bench) -> None:
    await bench.ask()
    await bench.engines.swap("m", "2", ignore)
    bench.declare(bench.b)
    await bench.engines.rollback("m", ignore)
    await bench.ask("m:b")
    assert bench.answering[0] == "1"
    assert len(bench.starts) == 2, "it came back as it was"


# ----------------------------------------------------------------------------------------------- at a start alone


@at_start
async def test_where_it_takes_a_start_the_model_is_swapped_and_who_names_a_new_one_waits(bench: Bench) -> None:
    assert await bench.ask() == {"given": ["a"], "wants": None}
    held = await bench.engines.lease("m:a")
    bench.declare(bench.a, bench.b)
    assert await bench.ask("m:b") == {"given": ["a", "b"], "wants": "b"}
    assert bench.starts == [("1", ["a"]), ("1", ["a", "b"])]
    await until(lambda: [one.state for one in bench.engines.states() if not one.answers] == ["draining"])
    held.release(answered=True)
    await until(lambda: all(one.answers for one in bench.engines.states()))


@at_start
async def test_a_swap_of_adapters_leaves_the_version_to_go_back_to(bench: Bench) -> None:
    await bench.ask()
    with pytest.raises(NotFound):
        await bench.engines.rollback("m", ignore)
    await bench.engines.swap("m", "2", ignore)
    bench.declare(bench.b)
    await bench.ask("m:b")
    assert bench.answering == ("2", ("b",))
    await bench.engines.rollback("m", ignore)
    assert await bench.ask("m:b") == {"given": ["b"], "wants": "b"}
    assert bench.answering == ("1", ("b",)), "with the adapters of now"


@at_start
async def test_a_change_that_comes_during_another_is_made_after_it(bench: Bench) -> None:
    await bench.ask()
    bench.declare(bench.a, bench.b)
    await asyncio.sleep(0)
    bench.declare(Adapter("c", bench.b.path))
    assert await bench.ask("m:c") == {"given": ["c"], "wants": "c"}
    assert bench.starts == [("1", ["a"]), ("1", ["a", "b"]), ("1", ["c"])]


@at_start
async def test_what_is_not_running_is_not_started_for_it(bench: Bench) -> None:
    await bench.ask()
    await bench.engines.unload("m")
    bench.declare(bench.b)
    await asyncio.sleep(0)
    assert len(bench.starts) == 1
    assert await bench.ask("m:b") == {"given": ["b"], "wants": "b"}


@at_start
async def test_where_the_new_process_does_not_come_up_the_old_one_answers(bench: Bench) -> None:
    await bench.ask()
    bench.engine._modes = ["exits"]
    bench.declare(bench.a, bench.b)
    await asyncio.sleep(0)
    with pytest.raises(EngineUnavailable, match="m runs without the adapter b"):
        await bench.ask("m:b")
    assert await bench.ask("m:a") == {"given": ["a"], "wants": "a"}


@at_start
async def test_who_waits_for_an_adapter_at_the_end_is_told(bench: Bench) -> None:
    await bench.ask()
    asking = asyncio.create_task(bench.ask("m:b"))
    closing = asyncio.create_task(bench.engines.close())
    bench.declare(bench.a, bench.b)
    async with asyncio.timeout(5):
        with pytest.raises(ShuttingDown):
            await asking
    await closing


@at_start
async def test_going_back_to_other_adapters_leaves_no_version_twice(bench: Bench) -> None:
    await bench.ask()
    await bench.engines.swap("m", None, ignore)
    bench.declare(bench.a, bench.b)
    await bench.ask("m:b")
    bench.engine._modes = ["exits"]
    bench.declare(bench.a)
    await until(lambda: not bench.engines._tasks)
    await bench.engines.rollback("m", ignore)
    assert bench.answering == ("1", ("a",)), "the first process has them still"
    with pytest.raises(NotFound):
        await bench.engines.rollback("m", ignore)
    assert len(bench.engines.supervisors()) == len(set(bench.engines.supervisors()))


async def test_an_engine_that_takes_none_says_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.engine, "taking", None)
    await bench.ask()
    with pytest.raises(EngineUnavailable, match="m runs without the adapter a"):
        await bench.ask("m:a")


@both
async def test_a_version_that_is_loaded_anew_can_be_gone_back_from(bench: Bench) -> None:
    await bench.ask()
    await bench.engines.swap("m", None, ignore)
    await bench.engines.rollback("m", ignore)
    assert len(bench.starts) == 2, "the first process is still there"
