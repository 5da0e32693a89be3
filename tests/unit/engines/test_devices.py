"""GPUs as their driver tells, and this machine's memory, which a container may have less of."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from tests.unit.engines.fake_nvml import Card, FakeNvml, Running

from farmgate.engines.devices import Devices, host_memory

GIB = 1 << 30


def host() -> tuple[int, int]:
    return 16 * GIB, 10 * GIB


def test_a_gpu_tells_its_memory_load_heat_and_power() -> None:
    gpu, machine = Devices(FakeNvml([Card(total=8 * GIB, free=6 * GIB)]), host=host).read()
    assert (gpu.name, gpu.title) == ("gpu0", "Fake 8 GiB")
    assert (gpu.memory.total, gpu.memory.free) == (8 * GIB, 6 * GIB)
    assert gpu.memory.usable == 8 * GIB - int(8 * GIB * 0.1)
    assert (gpu.utilisation, gpu.temperature_c, gpu.power_w) == (0.4, 55.0, 120.5)
    assert (machine.name, machine.memory.total, machine.memory.free) == ("cpu", 16 * GIB, 10 * GIB)


def test_what_a_gpu_cannot_tell_is_not_made_up() -> None:
    gpu, _ = Devices(FakeNvml([Card(gpu=None, heat=None, milliwatts=None)]), host=host).read()
    assert (gpu.utilisation, gpu.temperature_c, gpu.power_w) == (None, None, None)


def test_what_processes_have_on_each_gpu_is_told_as_far_as_the_driver_does() -> None:
    cards = [
        Card(processes=[Running(7, 3 * GIB), Running(8, GIB), Running(9, GIB)]),
        Card(processes=[Running(9, GIB)]),
        Card(processes=[Running(7, GIB), Running(8, None)]),
        Card(),
        Card(is_lost=True),
    ]
    devices = Devices(FakeNvml(cards), host=host)
    assert devices.used_by({7, 8}) == {"gpu0": 4 * GIB}
    assert Devices(FakeNvml(cards, has_driver=False), host=host).used_by({7}) == {}


def test_a_gpu_that_fell_off_the_bus_leaves_the_others_their_names() -> None:
    names = [device.name for device in Devices(FakeNvml([Card(is_lost=True), Card()]), host=host).read()]
    assert names == ["gpu1", "cpu"]


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (None, ["gpu0", "gpu1", "gpu2"]),
        ("1", ["gpu1"]),
        ("2, 0", ["gpu0", "gpu2"]),
        ("", []),
        ("-1", []),
        ("1,-1,2", ["gpu1"]),
        ("GPU-bb", ["gpu1"]),
        ("GPU-", ["gpu0", "gpu1"]),
        ("7", []),
        ("MIG-cc", ["gpu0", "gpu1", "gpu2"]),
    ],
)
def test_those_that_are_hidden_from_the_gate_are_not_for_its_models(visible: str | None, names: list[str]) -> None:
    cards = [Card(uuid="GPU-aa11"), Card(uuid="GPU-bb22"), Card()]
    devices = Devices(FakeNvml(cards), host=host, visible=visible)
    assert [device.name for device in devices.read()] == [*names, "cpu"]


def test_without_a_driver_there_is_the_machine_and_it_is_asked_for_once() -> None:
    nvml = FakeNvml([Card()], has_driver=False)
    devices = Devices(nvml, host=host)
    assert [device.name for device in devices.read()] == ["cpu"]
    nvml.has_driver = True
    assert [device.name for device in devices.read()] == ["cpu"]
    devices.close()


def test_the_driver_is_started_once_and_let_go() -> None:
    nvml = FakeNvml([Card()])
    devices = Devices(nvml, host=host)
    devices.read()
    devices.read()
    assert nvml.started == 1
    devices.close()
    devices.close()
    assert nvml.started == 0


def test_without_the_package_there_are_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    assert [device.name for device in Devices(host=host).read()] == ["cpu"]


def lay(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        (directory / name.replace("__", ".")).write_text(text)
    return directory


MEMINFO = "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    600 kB\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, (1000 << 10, 600 << 10)),
        ({"memory__max": "max\n", "memory__current": "5"}, (1000 << 10, 600 << 10)),
        ({"memory__max": str(500 << 10), "memory__current": str(100 << 10)}, (500 << 10, 400 << 10)),
        ({"memory__max": str(900 << 10), "memory__current": str(100 << 10)}, (900 << 10, 600 << 10)),
        ({"memory__max": str(5000 << 10)}, (1000 << 10, 600 << 10)),
    ],
    ids=["no container", "no limit", "its limit", "the machine has less free", "a limit above the machine"],
)
def test_memory_is_the_machines_or_what_a_container_may_have(
    files: dict[str, str], expected: tuple[int, int], tmp_path: Path
) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "group").mkdir()
    proc, group = lay(tmp_path / "proc", meminfo=MEMINFO), lay(tmp_path / "group", **files)
    assert host_memory(proc, group) == expected


def test_this_machine_has_memory(tmp_path: Path) -> None:
    total, free = host_memory()
    assert 0 < free <= total
    assert host_memory(tmp_path, tmp_path)[0] > 0
