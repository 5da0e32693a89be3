"""Which devices a model may go to, and what its process sees of them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.engines.fake_nvml import Card, FakeNvml, Running
from tests.unit.engines.fakes import FakeEngine, FakeTime

from farmgate.core.errors import EngineUnavailable, ModelTooLarge
from farmgate.core.ports import Purpose
from farmgate.engines.devices import Devices
from farmgate.engines.engine import Gpus, Spec
from farmgate.engines.eviction import Tenant
from farmgate.engines.ledger import Ledger, Memory
from farmgate.engines.machine import Machine, NoSuchDevice, Place, allowed
from farmgate.engines.needs import expected_bytes
from farmgate.engines.rooms import Held, Rooms
from farmgate.engines.supervisor import Supervisor
from farmgate.engines.surroundings import Keep

BOTH = frozenset({"cpu", "gpu"})
THERE = ("gpu0", "gpu1", "cpu")
GIB = 1 << 30


@pytest.mark.parametrize(
    ("device", "runs_on", "there", "found"),
    [
        ("auto", BOTH, THERE, {"gpu0", "gpu1"}),
        ("auto", BOTH, ("cpu",), {"cpu"}),
        ("auto", {"cpu"}, THERE, {"cpu"}),
        ("gpu", BOTH, THERE, {"gpu0", "gpu1"}),
        ("cuda", BOTH, THERE, {"gpu0", "gpu1"}),
        ("gpu1", BOTH, THERE, {"gpu1"}),
        ("cpu", BOTH, THERE, {"cpu"}),
    ],
)
def test_where_a_model_may_go(device: str, runs_on: Iterable[str], there: Iterable[str], found: set[str]) -> None:
    assert allowed(device, frozenset(runs_on), there) == found


@pytest.mark.parametrize(
    ("device", "runs_on", "there"), [("gpu", BOTH, ("cpu",)), ("gpu2", BOTH, THERE), ("gpu", {"cpu"}, THERE)]
)
def test_a_device_that_is_not_there_is_told_with_those_that_are(
    device: str, runs_on: Iterable[str], there: Iterable[str]
) -> None:
    with pytest.raises(NoSuchDevice, match=f"there is no device '{device}' for it here: there is .*cpu"):
        allowed(device, frozenset(runs_on), there)


def place(*shares: str, has_gpus: bool = True, cards: Iterable[Card] = (), host: int = 16, **more: int) -> Place:
    ledger = Ledger()
    ledger.reserve("m", dict.fromkeys(shares, 1 << 20))
    held = Held("m", dict.fromkeys(shares, 1 << 20), ledger)
    devices, time = Devices(FakeNvml(list(cards))), FakeTime()
    there = [Memory(device="cpu", total=host * GIB, free=host * GIB)]
    there += [Memory(device=name, total=2 << 20, free=2 << 20) for name in shares]
    rooms = Rooms(lambda: there, tenants=tuple, leave=nobody, clock=time.clock, sleep=time.sleep)
    rooms.ledger = ledger
    return Place(held, devices, rooms, has_gpus=has_gpus, **more)


async def nobody(tenant: Tenant) -> None:
    raise AssertionError(f"{tenant.name} is not to leave")


def test_a_process_sees_the_devices_it_has_room_on() -> None:
    assert place("gpu1").environment["CUDA_VISIBLE_DEVICES"] == "1"
    assert place("gpu0", "gpu2").environment["CUDA_VISIBLE_DEVICES"] == "0,2"
    assert place("gpu0").environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID", "numbered as its driver numbers them"
    assert place("cpu").environment["CUDA_VISIBLE_DEVICES"] == ""
    assert place("cpu", has_gpus=False).environment == {}


def test_what_a_process_uses_counts_where_it_is_more_than_was_expected() -> None:
    more = place("cpu")
    more.settle(os.getpid())
    assert more.held.ledger.held("cpu") > 10 << 20
    less = place("cpu")
    less.settle(0)
    assert less.held.ledger.held("cpu") == 1 << 20
    assert less.held.ledger.promised("cpu") == 0
    gpu = place("gpu0")
    gpu.settle(os.getpid())
    assert gpu.held.ledger.held("gpu0") == 1 << 20, "what a process has in the machine is nothing of a GPU"


def test_what_a_process_and_its_children_have_on_gpus_counts_where_it_is_more() -> None:
    child = subprocess.Popen(["sleep", "1000"])
    try:
        ours = [Running(os.getpid(), GIB), Running(child.pid, 2 * GIB), Running(1, 7 * GIB)]
        two = place("gpu0", "gpu1", cards=[Card(processes=ours), Card(processes=[Running(child.pid, 5)])])
        two.settle(os.getpid())
    finally:
        child.kill()
        child.wait()
    ledger = two.held.ledger
    assert (ledger.held("gpu0"), ledger.held("gpu1")) == (3 * GIB, 1 << 20)
    assert (ledger.promised("gpu0"), ledger.promised("gpu1")) == (0, 0)
    silent = place("gpu0", cards=[Card(processes=[Running(os.getpid(), None)])])
    silent.settle(os.getpid())
    assert silent.held.ledger.held("gpu0") == 1 << 20, "what is not told stays as it was promised"


async def test_asleep_it_has_its_weights_in_the_machine_and_a_rest_of_its_gpus_as_the_driver_tells() -> None:
    cards = [Card(processes=[Running(os.getpid(), 7)]), Card()]
    one = place("gpu0", "gpu1", cards=cards, gpu_bytes=9, weights=GIB)
    books = one.held.ledger
    one.settle(os.getpid())
    assert one.may_sleep()
    assert (books.held("cpu"), books.held("gpu0")) == (GIB, 1 << 20), "from before it does"
    one.asleep(os.getpid())
    assert books.holdings["m"].bytes == {"gpu0": 9, "gpu1": 9, "cpu": GIB}
    cards[0].processes = [Running(os.getpid(), 11)]
    one.asleep(os.getpid())
    assert books.holdings["m"].bytes["gpu1"] == 11, "as much as on the other: it lacks as much on each"
    cards[0].processes = [Running(os.getpid(), 9)]
    one.asleep(os.getpid())
    async with one.waking(os.getpid()):
        assert books.holdings["m, waking"].bytes == dict.fromkeys(("gpu0", "gpu1"), (1 << 20) - 9)
        assert books.held("cpu") == GIB
    assert books.holdings["m"].bytes == dict.fromkeys(("gpu0", "gpu1"), 1 << 20)
    assert set(books.holdings) == {"m"}


def test_it_does_not_sleep_where_the_machine_has_no_room_for_its_weights() -> None:
    one = place("gpu0", host=1, gpu_bytes=9, weights=2 * GIB)
    assert not one.may_sleep()
    assert one.held.ledger.holdings["m"].bytes == {"gpu0": 1 << 20}


async def test_one_that_does_not_wake_leaves_no_promise() -> None:
    one = place("gpu0", weights=GIB, gpu_bytes=9)
    assert one.may_sleep()
    one.asleep(0)
    with pytest.raises(OSError, match="broken"):
        async with one.waking(0):
            raise OSError("broken")
    assert one.held.ledger.holdings["m"].bytes == {"gpu0": 9, "cpu": GIB}
    assert set(one.held.ledger.holdings) == {"m"}


def machine(*cards: Card, total: int = 16 * GIB, supervisors: Iterable[Supervisor] = ()) -> Machine:
    time = FakeTime()
    return Machine(
        Devices(FakeNvml(list(cards)), host=lambda: (total, total)),
        supervisors=lambda: supervisors,
        answers=lambda _: False,
        clock=time.clock,
        sleep=time.sleep,
    )


class Able(FakeEngine):
    """An engine that can be on a processor, or on so many GPUs."""

    runs_on = BOTH
    gpu_bytes = GIB

    def __init__(self, *counts: int) -> None:
        super().__init__()
        self.counts = counts or (1,)

        self.looked = 0
        self.here = BOTH

    def runs_here(self, environment: Mapping[str, str]) -> frozenset[str]:
        self.looked += 1
        return self.here

    def gpu_counts(self, spec: Spec) -> tuple[int, ...]:
        return self.counts


def spec(path: Path, device: str = "auto", **more: Any) -> Spec:
    return Spec(
        model="m",
        path=path,
        purpose=Purpose.GENERATE,
        context_tokens=1,
        parallel=1,
        threads=1,
        version="1",
        device=device,
        **more,
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "m.gguf"
    file.write_bytes(bytes(1000))
    return file


async def test_it_goes_to_the_gpu_with_most_room_and_is_on_the_books_while_it_is_there(file: Path) -> None:
    there = machine(Card(free=2 * GIB), Card(free=4 * GIB))
    one = spec(file)
    async with there.room(one, Keep(), engine=Able()) as room:
        assert room.environment["CUDA_VISIBLE_DEVICES"] == "1"
        assert there.held(one) == {"gpu1": expected_bytes(one, on_host=False, gpu_bytes=GIB)}
        told = {state.name: dict(state.models) for state in there.states()}
        assert told == {
            "gpu0": {},
            "gpu1": {"m@1 (generate)": expected_bytes(one, on_host=False, gpu_bytes=GIB)},
            "cpu": {},
        }
        async with there.room(spec(file), Keep(), engine=Able()):
            assert len(there.states()[1].models) == 2, "the same version once more has its own line"
    assert there.held(one) == {}
    there.close()


async def test_one_too_large_for_every_device_is_refused(file: Path) -> None:
    there = machine(total=1 << 20)
    with pytest.raises(ModelTooLarge, match=r"m@1 .* cannot be loaded on this machine: it needs 64 MiB"):
        async with there.room(spec(file), Keep(), engine=Able()):
            pass


async def test_one_whose_file_is_gone_or_whose_device_is_not_there_is_told(file: Path) -> None:
    there = machine()
    for one in (spec(file, "gpu"), spec(file.parent / "none.gguf")):
        with pytest.raises(EngineUnavailable, match="m cannot be loaded: "):
            async with there.room(one, Keep(), engine=Able()):
                pass
    assert all(not state.models for state in there.states())


async def test_an_engine_that_can_is_on_several_gpus_and_is_told_how_many(file: Path) -> None:
    there = machine(Card(), Card(), Card())
    one = spec(file, memory_bytes=10 * GIB)
    async with there.room(one, Keep(), engine=Able(1, 2, 4)) as room:
        assert room.environment["CUDA_VISIBLE_DEVICES"] == "0,1"
        assert there.held(one) == {"gpu0": 5 * GIB, "gpu1": 5 * GIB}, "what its owner says is for all of it"
        assert room.placed(one) == replace(one, gpus=Gpus(count=2, share=5 / 8, share_of_free=4 / 8))
    async with there.room(spec(file, "cpu"), Keep(), engine=Able(2)) as room:
        assert room.placed(one).gpus.count == 0, "a processor is not several"


async def test_the_share_of_a_gpu_is_of_all_of_it_or_of_what_others_leave(file: Path) -> None:
    there = machine(Card(total=16 * GIB, free=10 * GIB))
    for mib, share, of_free in ((5 * GIB, 5 / 16, 4 / 10), (GIB, 1 / 16, 1 / 20)):
        one = spec(file, memory_bytes=mib)
        async with there.room(one, Keep(), engine=Able()) as room:
            told = room.placed(one).gpus
            assert (told.share, told.share_of_free) == (share, of_free)


async def test_one_device_that_is_named_is_not_left_for_several(file: Path) -> None:
    there = machine(Card(), Card())
    with pytest.raises(
        ModelTooLarge, match=r"it needs 10,240 MiB; with nothing else loaded there are 7,373 MiB on gpu1"
    ):
        async with there.room(spec(file, "gpu1", memory_bytes=10 * GIB), Keep(), engine=Able(1, 2)):
            pass


async def test_the_program_is_counted_on_each_of_several_gpus(tmp_path: Path) -> None:
    there = machine(Card(), Card())
    one = spec(tmp_path)
    with (tmp_path / "model.safetensors").open("wb") as weights:
        weights.truncate(10 * GIB)
    async with there.room(one, Keep(), engine=Able(1, 2)):
        assert there.held(one) == dict.fromkeys(("gpu0", "gpu1"), 11 * GIB // 2 + GIB)


async def test_weights_that_are_made_smaller_go_to_a_gpu_and_nowhere_else(file: Path) -> None:
    one = spec(file, quantize="4bit")
    async with machine(Card(total=1)).room(replace(one, device="cpu", quantize="none"), Keep(), engine=Able()):
        pass
    with pytest.raises(EngineUnavailable, match="`quantize: 4bit` needs a GPU, and there is none here"):
        async with machine().room(one, Keep(), engine=Able()):
            pass
    with pytest.raises(EngineUnavailable, match="there is no device 'cpu' for it here: there is gpu0"):
        async with machine(Card()).room(replace(one, device="cpu"), Keep(), engine=Able()):
            pass


async def test_an_engine_that_is_installed_for_processors_alone_is_put_on_one(file: Path) -> None:
    engine = Able()
    engine.here = frozenset({"cpu"})
    one = spec(file)
    there = machine(Card())
    async with there.room(one, Keep(), engine=engine) as room:
        assert set(there.held(one)) == {"cpu"}
        assert room.environment["CUDA_VISIBLE_DEVICES"] == ""
    with pytest.raises(EngineUnavailable, match="there is no device 'gpu' for it here: there is cpu"):
        async with there.room(spec(file, "gpu"), Keep(), engine=engine):
            pass
    looked = engine.looked
    async with machine().room(one, Keep(), engine=engine):
        assert engine.looked == looked, "where there is no GPU nobody looks"
