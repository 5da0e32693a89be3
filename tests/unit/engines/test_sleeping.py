"""Models of vLLM and SGLang give their GPU up to each other and take it back, without ending; a server that behaves
like them, on a GPU whose driver says so."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from tests.unit.engines.adapting import folder_adapter
from tests.unit.engines.fake_nvml import Card, FakeNvml
from tests.unit.engines.fakes import FakeTime, becomes, until

from farmgate.core.errors import ModelNotFound, ModelTooLarge
from farmgate.core.model import EngineLoad, ModelState
from farmgate.engines.command import COMMANDS, Command
from farmgate.engines.declared import Declared
from farmgate.engines.devices import Devices
from farmgate.engines.hours import parse_hours
from farmgate.engines.leases import Address
from farmgate.engines.lifecycle import Engines
from farmgate.engines.process import EngineDied
from farmgate.engines.pulling.weights import ModelStore
from farmgate.engines.sleeping import LOOK_EVERY_S, SglangSleep, VllmSleep
from farmgate.engines.states import State
from farmgate.engines.supervisor import Supervisor
from farmgate.engines.surroundings import Keep

GIB = 1 << 30
FAKE = (sys.executable, str(Path(__file__).with_name("fake_sleeper.py")))
SERVERS = {
    "vllm": replace(COMMANDS["vllm"], argv=(*FAKE, "vllm", *COMMANDS["vllm"].argv[2:])),
    "sglang": replace(COMMANDS["sglang"], argv=(*FAKE, "sglang", *COMMANDS["sglang"].argv[4:])),
}
OWN = Command(
    name="own", argv=(*FAKE, "vllm", "{path}", "--port", "{port}"), runs_on=frozenset({"cpu"}),
    key_variable="VLLM_API_KEY",
)  # fmt: skip
NOON, EVENING = (datetime(2026, 11, 30, hour) for hour in (12, 18))  # noqa: DTZ001 - the machine's own clock
REST = 2 * GIB
"""What one keeps of a GPU where the driver does not tell."""


class Bench:
    """One GPU of 16 GiB, of which 14.4 are for models, and 8 GiB of the machine's memory, 7.2 of them."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder = folder
        self.kind = kind
        self.time = FakeTime()
        self.wall = NOON
        self.card = Card(total=16 * GIB, free=16 * GIB)
        self.engines = Engines(
            ModelStore(folder / "none", sources=()),
            log_directory=folder / "logs",
            engines={**SERVERS, "own": OWN},
            environment=dict(os.environ),
            devices=Devices(FakeNvml([self.card]), host=lambda: (8 * GIB, 8 * GIB)),
            clock=self.time.clock,
            wall=lambda: self.wall,
            sleep=self.time.sleep,
        )

    def declare(self, **models: Declared) -> None:
        self.engines.declare(models)

    def model(
        self, name: str, gib: int = 12, *, weights_gib: int = 1, engine: str | None = None, **more: object
    ) -> Declared:
        path = self.folder / name
        path.mkdir(exist_ok=True)
        (path / "config.json").write_text("{}")
        with (path / "model.safetensors").open("wb") as weights:
            weights.truncate(weights_gib * GIB)
        given = {"sleeps": engine is None, "memory_bytes": gib * GIB, "engine": engine or self.kind, **more}
        return Declared(name=name, versions={"1": str(path)}, version="1", **given)  # type: ignore[arg-type]

    def told(self, name: str) -> list[str]:
        """What a server was started with, and what it was asked since."""
        return (self.folder / name / "told").read_text().splitlines()

    def say(self, name: str, text: str) -> None:
        (self.folder / name / "say").write_text(text)

    async def use(self, name: str) -> int:
        """Ask it something; the process that answered."""
        async with asyncio.timeout(20):
            (await self.engines.lease(name)).release(answered=True)
        pid = self.state(name.partition(":")[0]).pid
        assert pid is not None
        return pid

    def state(self, name: str) -> ModelState:
        return next(one for one in self.engines.states() if one.name == name)

    def supervisor(self, name: str) -> Supervisor:
        return next(one for one in self.engines.supervisors() if one.spec.model == name)


@pytest.fixture(params=SERVERS)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path, request.param)
    yield bench
    await bench.engines.close()


async def test_two_that_have_no_room_beside_each_other_take_turns(bench: Bench) -> None:
    bench.declare(a=bench.model("a"), b=bench.model("b"))
    first = await bench.use("a")
    second = await bench.use("b")
    assert (bench.state("a").state, bench.state("b").state) == ("asleep", "ready")
    assert bench.state("a").memory == {"gpu0": REST, "cpu": GIB}
    assert bench.state("b").memory == {"gpu0": 12 * GIB}
    assert await bench.use("a") == first, "the same process"
    assert (bench.state("a").state, bench.state("b").state) == ("ready", "asleep")
    assert bench.state("a").memory == {"gpu0": 12 * GIB}, "it has left the memory of the machine"
    assert bench.state("b").memory == {"gpu0": REST, "cpu": GIB}
    assert await bench.use("b") == second
    assert bench.told("a")[1:] == ["answers", "sleep", "wake", "answers", "sleep"]
    books = {name: held for device in bench.engines.devices() for name, held in device.models.items()}
    assert set(books) == {"a@1 (generate)", "b@1 (generate)"}, "nothing is left of the room to wake in"


async def test_many_who_ask_for_both_at_once_all_have_them_and_the_books_are_right(bench: Bench) -> None:
    bench.declare(a=bench.model("a"), b=bench.model("b"))
    await asyncio.gather(*(bench.use("ab"[at % 2]) for at in range(30)))
    assert [one.starts for one in bench.engines.states()] == [1, 1]
    awake, asleep = sorted(bench.engines.states(), key=lambda one: one.state, reverse=True)
    assert (awake.state, asleep.state) == ("ready", "asleep")
    assert (awake.memory, asleep.memory) == ({"gpu0": 12 * GIB}, {"gpu0": REST, "cpu": GIB})
    assert [sum(device.models.values()) for device in bench.engines.devices()] == [14 * GIB, GIB]


async def test_where_it_is_not_enough_that_one_sleeps_it_leaves(bench: Bench) -> None:
    bench.declare(a=bench.model("a", 13), b=bench.model("b", 13))
    await bench.use("a")
    await bench.use("b")
    assert bench.state("a").state == "on_disk", "13 and the rest of the other are more than 14.4"
    assert bench.told("a")[1:] == ["answers"]


async def test_one_that_is_not_told_to_has_no_such_routes_and_leaves(bench: Bench) -> None:
    bench.declare(a=bench.model("a", sleeps=False), b=bench.model("b"))
    await bench.use("a")
    await bench.use("b")
    assert bench.state("a").state == "on_disk"
    words = SERVERS[bench.kind].sleep_words
    assert [word in bench.told("a")[0] for word in words] == [False] * len(words)


async def test_where_its_weights_have_no_room_in_the_machine_it_leaves(bench: Bench) -> None:
    bench.declare(a=bench.model("a", weights_gib=8), b=bench.model("b"))
    await bench.use("a")
    await bench.use("b")
    assert bench.state("a").state == "on_disk"


async def test_a_sleeper_leaves_first_where_the_memory_of_the_machine_is_wanted(bench: Bench) -> None:
    high = Keep(priority=5)
    bench.declare(
        a=bench.model("a", weights_gib=4, keep=high),
        b=bench.model("b", keep=high),
        low=bench.model("low", 3, engine="own"),
        c=bench.model("c", 4, engine="own", keep=Keep(priority=5)),
    )
    await bench.use("low")
    await bench.use("a")
    await bench.use("b")
    assert bench.state("a").state == "asleep"
    await bench.use("c")
    assert bench.state("a").state == "on_disk"
    assert bench.state("low").state == "ready", "though its priority is lower"
    await bench.use("a")
    assert bench.state("a").starts == 2


async def test_by_hand_it_ends_and_by_its_hours_it_sleeps(bench: Bench) -> None:
    bench.declare(a=bench.model("a", hours=(parse_hours("08:00-18:00"),)))
    bench.engines._look_at_the_clock()
    await until(lambda: bool(bench.engines.supervisors()))
    await becomes(bench.supervisor("a"), State.READY)
    bench.wall = EVENING
    bench.engines._look_at_the_clock()
    await becomes(bench.supervisor("a"), State.ASLEEP)
    await bench.engines.unload("a")
    assert bench.state("a").state == "on_disk"


async def test_one_that_cannot_wake_is_started_anew_for_who_waits(bench: Bench) -> None:
    bench.declare(a=bench.model("a"), b=bench.model("b"))
    first = await bench.use("a")
    await bench.use("b")
    bench.say("a", "wake")
    asking = asyncio.create_task(bench.engines.lease("a"))
    await bench.time.until_asleep(0.5)
    assert "did not wake: it answered" in (bench.state("a").failure or "")
    bench.time.advance(0.5)
    (await asking).release()
    assert bench.state("a").pid != first
    assert bench.state("a").starts == 2


async def test_a_new_version_is_another_process_and_the_one_that_slept_ends(bench: Bench) -> None:
    bench.declare(a=bench.model("a"), b=bench.model("b", 2))
    await bench.use("a")
    await bench.engines.unload("b")
    supervisor = bench.supervisor("a")
    await supervisor.leave(1.0, rest=True)
    assert supervisor.state is State.ASLEEP
    bench.declare(a=bench.model("a", context_tokens=64), b=bench.model("b", 2))
    await becomes(supervisor, State.ON_DISK)
    assert await bench.use("a")
    assert next(one for one in bench.engines.states() if one.answers).starts == 1


async def test_one_too_large_is_refused_and_nobody_sleeps_for_it(bench: Bench) -> None:
    bench.declare(a=bench.model("a"), b=bench.model("b", 15))
    await bench.use("a")
    with pytest.raises(ModelTooLarge):
        await bench.engines.lease("b")
    assert bench.state("a").state == "ready"


# ----------------------------------------------------------------------------------- adapters that change meanwhile


async def test_adapters_that_change_while_it_sleeps_are_there_before_anybody_is_let_in(
    bench: Bench, tmp_path: Path
) -> None:
    old, kept, new = (folder_adapter(tmp_path / name) for name in ("old", "kept", "new"))
    bench.declare(a=bench.model("a", adapters=(old, kept)), b=bench.model("b"))
    first = await bench.use("a:old")
    await bench.use("b")
    bench.declare(a=bench.model("a", adapters=(kept, new)), b=bench.model("b"))
    assert bench.state("a").state == "asleep"
    await bench.use("b")
    assert bench.told("a")[1:] == ["answers", "sleep"], "who sleeps is not asked for anything"
    assert await bench.use("a:new") == first
    assert bench.told("a")[3:] == ["wake", "answers", "load new", "unload old"]
    assert bench.state("a").adapters == ("kept", "new")
    with pytest.raises(ModelNotFound):
        await bench.engines.lease("a:old")


async def test_a_change_that_is_under_way_is_over_before_it_sleeps(bench: Bench, tmp_path: Path) -> None:
    one, other = folder_adapter(tmp_path / "one"), folder_adapter(tmp_path / "other")
    bench.declare(a=bench.model("a", adapters=(one,)))
    await bench.use("a")
    bench.declare(a=bench.model("a", adapters=(other,)))
    await bench.supervisor("a").leave(1.0, rest=True)
    assert (bench.state("a").state, bench.told("a")[-1]) == ("asleep", "sleep")
    assert await bench.use("a:other")
    assert not any(line.endswith("asleep") for line in bench.told("a")[1:])
    assert sorted(line for line in bench.told("a")[1:] if "load" in line) == ["load other", "unload one"]


async def test_one_that_cannot_have_them_as_it_was_started_ends_for_a_new_one(bench: Bench, tmp_path: Path) -> None:
    bench.declare(a=bench.model("a"), b=bench.model("b", 2))
    first = await bench.use("a")
    await bench.supervisor("a").leave(1.0, rest=True)
    bench.declare(a=bench.model("a", adapters=(folder_adapter(tmp_path / "new"),)), b=bench.model("b", 2))
    (await bench.engines.lease("a:new")).release(answered=True)
    assert next(one for one in bench.engines.states() if one.answers).pid != first


# --------------------------------------------------------------------------------------------------- how it is asked


@pytest.mark.parametrize("bench", ["vllm"], indirect=True)
async def test_vllm_is_asked_until_it_has_done_it_and_what_is_wrong_is_told(bench: Bench) -> None:
    bench.declare(a=bench.model("a"))
    lease = await bench.engines.lease("a")
    address = Address(url=lease.url, key=lease.key)
    await VllmSleep().sleep(address)
    await VllmSleep().wake(address)
    assert bench.told("a")[1:] == ["answers", "sleep", "wake"]
    bench.say("a", "sleep")
    with pytest.raises(EngineDied, match=r"answered HTTP 500: CUDA error when it was asked for /sleep"):
        await VllmSleep().sleep(address)
    bench.say("a", "unclear")
    with pytest.raises(EngineDied, match="does not say whether it sleeps"):
        await VllmSleep().sleep(address)
    lease.release()
    await bench.engines.unload("a")
    with pytest.raises(EngineDied, match=r"broke the connection \(.*\) when it was asked for /wake_up"):
        await VllmSleep().wake(address)


@pytest.mark.parametrize("bench", ["sglang"], indirect=True)
async def test_sglang_is_asked_once_it_computes_nothing_and_what_is_wrong_is_told(bench: Bench) -> None:
    bench.declare(a=bench.model("a"))
    lease = await bench.engines.lease("a")
    address = Address(url=lease.url, key=lease.key)
    bench.say("a", "busy")
    sleeping = asyncio.create_task(SglangSleep(bench.time.sleep).sleep(address))
    for _ in range(3):
        await bench.time.until_asleep(LOOK_EVERY_S)
        assert bench.told("a")[1:] == ["answers"], "it would end"
        bench.time.advance(LOOK_EVERY_S)
    await bench.time.until_asleep(LOOK_EVERY_S)
    bench.say("a", "")
    bench.time.advance(LOOK_EVERY_S)
    await bench.time.until_asleep(LOOK_EVERY_S)
    bench.time.advance(LOOK_EVERY_S)
    await sleeping
    await SglangSleep().wake(address)
    assert bench.told("a")[1:] == ["answers", "sleep", "wake"]
    bench.say("a", "sleep")
    with pytest.raises(EngineDied, match=r"answered HTTP 500: CUDA error when it was asked for /release_memory"):
        await SglangSleep().sleep(address)
    lease.release()
    await bench.engines.unload("a")
    with pytest.raises(EngineDied, match=r"broke the connection \(.*\) when it was asked for /flush_cache"):
        await SglangSleep().sleep(address)


async def test_it_tells_how_busy_it_is_while_it_is_awake(bench: Bench) -> None:
    bench.declare(a=bench.model("a"), b=bench.model("b"))
    await bench.use("a")
    assert bench.state("a").engine_load is None, "nobody has asked it"
    await bench.engines.hearing.look()
    assert bench.state("a").engine_load == EngineLoad(running=3, waiting=1, cache_used=0.25)
    await bench.use("b")
    await bench.engines.hearing.look()
    assert bench.state("a").engine_load is None
    assert bench.told("a").count("told") == 1, "who sleeps is not asked"
