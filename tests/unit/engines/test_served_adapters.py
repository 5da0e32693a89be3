"""Servers of others with adapters, from their start to their end: a real process that speaks as they say they do."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.engines.adapting import folder_adapter
from tests.unit.engines.fakes import until

from farmgate.core.errors import EngineUnavailable, ModelNotFound
from farmgate.engines.adapters import Adapter
from farmgate.engines.asking import ask
from farmgate.engines.command import COMMANDS
from farmgate.engines.declared import Declared
from farmgate.engines.lifecycle import Engines
from farmgate.engines.pulling.weights import ModelStore
from farmgate.engines.surroundings import unasked

SERVER = str(Path(__file__).with_name("fake_lora_server.py"))


class Bench:
    """Engines with one model `m` behind a server of that kind."""

    def __init__(self, folder: Path, kind: str) -> None:
        (folder / "m").mkdir()
        (folder / "m" / "config.json").write_text("{}")
        self.folder = folder
        self.a, self.b = folder_adapter(folder / "a"), folder_adapter(folder / "b")
        real = COMMANDS[kind]
        own_words = real.argv[{"vllm": 2, "sglang": 3, "tgi": 1}[kind] :]
        server = replace(real, argv=(sys.executable, SERVER, kind, *own_words), runs_on=frozenset({"cpu"}))
        self.engines = Engines(
            ModelStore(folder / "none", sources=()),
            log_directory=folder / "logs",
            engines={kind: server},
            environment=dict(os.environ),
            warm=unasked,
        )
        self._kind = kind
        self.changes = kind != "tgi"
        """Whether it takes adapters while it runs."""

    def declare(self, *adapters: Adapter) -> None:
        versions = {"1": str(self.folder / "m")}
        declared = Declared(
            name="m", versions=versions, version="1", engine=self._kind, memory_bytes=1, adapters=adapters
        )
        self.engines.declare({"m": declared})

    async def said(self, name: str) -> object:
        """Whose words a request with this name is answered in."""
        lease = await self.engines.lease(name)
        try:
            body = {"model": name, "messages": [], **lease.fields}
            told = await ask(lease.url, lease.key, "/v1/chat/completions", body)
        finally:
            lease.release(answered=True)
        return told["choices"][0]["message"]["content"]  # type: ignore[index]

    @property
    def pid(self) -> int | None:
        """Of the process that answers."""
        return next(one.pid for one in self.engines.states() if one.answers)

    @property
    def adapters(self) -> list[tuple[str, ...]]:
        return [one.adapters for one in self.engines.states() if one.answers]


@pytest.fixture(params=["vllm", "sglang", "tgi"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path, request.param)
    yield bench
    await bench.engines.close()


async def test_those_of_its_start_and_those_of_later_answer_by_their_names(bench: Bench) -> None:
    bench.declare(bench.a)
    assert await bench.said("m") == ""
    first = bench.pid
    assert await bench.said("m:a") == str(bench.a.path)
    bench.declare(bench.a, bench.b)
    assert await bench.said("m:b") == str(bench.b.path)
    bench.declare(bench.b)
    await until(lambda: bench.adapters == [("b",)])
    assert (await bench.said("m"), await bench.said("m:b")) == ("", str(bench.b.path))
    assert (bench.pid == first) is bench.changes
    with pytest.raises(ModelNotFound):
        await bench.said("m:a")


async def test_other_files_under_a_name_take_the_place_of_the_first(bench: Bench) -> None:
    bench.declare(bench.a)
    assert await bench.said("m:a") == str(bench.a.path)
    first = bench.pid
    bench.declare(Adapter("a", bench.b.path))
    if not bench.changes:
        assert await bench.said("m:a") == str(bench.a.path), "until the next process is there"
        await until(lambda: bench.pid != first)
    assert await bench.said("m:a") == str(bench.b.path)
    assert (bench.pid == first) is bench.changes


async def test_the_first_one_takes_a_new_start_beside(bench: Bench) -> None:
    bench.declare()
    assert await bench.said("m") == ""
    first = bench.pid
    bench.declare(bench.a)
    assert await bench.said("m:a") == str(bench.a.path)
    assert bench.pid != first


async def test_one_that_does_not_fit_what_it_was_started_with_takes_a_new_start(bench: Bench) -> None:
    bench.declare(bench.a)
    assert await bench.said("m:a") == str(bench.a.path)
    first = bench.pid
    large = folder_adapter(bench.folder / "large", rank=64)
    bench.declare(bench.a, large)
    assert await bench.said("m:large") == str(large.path)
    assert await bench.said("m:a") == str(bench.a.path)
    assert bench.pid != first


async def test_one_that_cannot_be_loaded_is_told_and_the_others_answer(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.declare(bench.a, Adapter("none", bench.folder / "none"))
    assert await bench.said("m:a") == str(bench.a.path), "what is certainly none does not keep it from starting"
    first = bench.pid
    with pytest.raises(EngineUnavailable):
        await bench.said("m:none")
    bad = folder_adapter(bench.folder / "unloadable")
    bench.declare(bench.a, bad)
    why = "m:unloadable could not be loaded" if bench.changes else "m runs without the adapter unloadable"
    with pytest.raises(EngineUnavailable, match=why):
        await bench.said("m:unloadable")
    assert ("answered HTTP 400" if bench.changes else "Failed to load LoRA m:unloadable") in caplog.text
    assert await bench.said("m:a") == str(bench.a.path)
    assert bench.pid == first


async def test_one_that_was_started_again_has_those_of_now(bench: Bench) -> None:
    bench.declare(bench.a)
    assert await bench.said("m:a") == str(bench.a.path)
    first = bench.pid
    bench.declare(bench.a, bench.b)
    assert await bench.said("m:b") == str(bench.b.path)
    await bench.engines.unload("m")
    assert await bench.said("m:b") == str(bench.b.path)
    assert bench.pid != first


@pytest.mark.parametrize("bench", ["tgi"], indirect=True)
async def test_what_tgi_would_read_as_something_else_is_not_said_to_it(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    odd = [folder_adapter(bench.folder / name) for name in ("x,y", "x=y", "x@y")]
    bench.declare(bench.a, *(Adapter(f"odd{at}", one.path) for at, one in enumerate(odd)))
    assert await bench.said("m:a") == str(bench.a.path)
    assert bench.adapters == [("a",)]
    with pytest.raises(EngineUnavailable, match="m:odd1 could not be loaded"):
        await bench.said("m:odd1")
    assert "which splits it at any of ,=@" in caplog.text
