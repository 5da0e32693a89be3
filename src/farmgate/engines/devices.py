"""What models can be loaded on: each NVIDIA GPU, as its driver tells, and the memory of this machine."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar

from farmgate.engines.ledger import Memory
from farmgate.telemetry import log

__all__ = ["HOST", "Device", "Devices", "host_memory"]

T = TypeVar("T")
HOST = "cpu"
SPARE_SHARE = 0.1
"""Of a device's memory, what is left for everything else: contexts, fragments, other programs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device now. What it does not tell is None. `utilisation` is from 0 to 1."""

    memory: Memory
    title: str
    utilisation: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None

    @property
    def name(self) -> str:
        return self.memory.device


class Devices:
    """Reads them anew each time. `nvml`: the module of nvidia-ml-py, or what behaves like it; None looks for it.
    `visible`: what the gate's own CUDA_VISIBLE_DEVICES says, if it is there: others are not for it."""

    def __init__(
        self, nvml: Any = None, *, host: Callable[[], tuple[int, int]] | None = None, visible: str | None = None
    ) -> None:
        self._nvml = nvml if nvml is not None else found_nvml()
        self._host = host if host is not None else host_memory
        self._visible = None if visible is None else visible_in(visible)
        self._started = False

    def read(self) -> tuple[Device, ...]:
        """Every device, GPUs first. A GPU that does not answer is left out; the host is always there."""
        total, free = self._host()
        spare = int(total * SPARE_SHARE)
        memory = Memory(device=HOST, total=total, free=min(free, total), spare=spare)
        return (*self._gpus(), Device(memory=memory, title="memory of this machine", utilisation=load_share()))

    def used_by(self, processes: Collection[int]) -> dict[str, int]:
        """Bytes that these processes, by their ids, have on each GPU. What the driver does not tell is left out: in a
        container it may know them by other ids, or not at all."""
        used: dict[str, int] = {}
        for at in range(self._count()):
            handle = self._asked(self._nvml.nvmlDeviceGetHandleByIndex, at)
            there = self._asked(self._nvml.nvmlDeviceGetComputeRunningProcesses, handle) if handle is not None else None
            told = [one.usedGpuMemory for one in there or () if one.pid in processes]
            if told and None not in told:
                used[f"gpu{at}"] = sum(told)
        return used

    def close(self) -> None:
        if self._started:
            self._started = False
            self._nvml.nvmlShutdown()

    def _gpus(self) -> list[Device]:
        found = (self._gpu(at) for at in range(self._count()))
        return [device for device in found if device is not None]

    def _count(self) -> int:
        return (self._asked(self._nvml.nvmlDeviceGetCount) or 0) if self._start() else 0

    def _start(self) -> bool:
        if self._nvml is not None and not self._started:
            try:
                self._nvml.nvmlInit()
                self._started = True
            except self._nvml.NVMLError as error:
                # No driver, or none that may be asked: it is not tried for each reading.
                log.info("gpus_unknown", reason=str(error))
                self._nvml = None
        return self._started

    def _gpu(self, at: int) -> Device | None:
        nvml = self._nvml
        handle = self._asked(nvml.nvmlDeviceGetHandleByIndex, at)
        if handle is None or not self._is_visible(at, handle):
            return None
        memory = self._asked(nvml.nvmlDeviceGetMemoryInfo, handle)
        if memory is None:
            return None
        rates = self._asked(nvml.nvmlDeviceGetUtilizationRates, handle)
        heat = self._asked(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU)
        milliwatts = self._asked(nvml.nvmlDeviceGetPowerUsage, handle)
        title = self._asked(nvml.nvmlDeviceGetName, handle)
        total, free = int(memory.total), int(memory.free)
        return Device(
            memory=Memory(device=f"gpu{at}", total=total, free=free, spare=int(total * SPARE_SHARE)),
            title=title.decode() if isinstance(title, bytes) else str(title or "GPU"),
            utilisation=None if rates is None else rates.gpu / 100,
            temperature_c=None if heat is None else float(heat),
            power_w=None if milliwatts is None else milliwatts / 1000,
        )

    def _is_visible(self, at: int, handle: object) -> bool:
        if self._visible is None or str(at) in self._visible:
            return True
        uuid = self._asked(self._nvml.nvmlDeviceGetUUID, handle) or ""
        told = uuid.decode() if isinstance(uuid, bytes) else str(uuid)
        return any(told.startswith(one) for one in self._visible if one.startswith("GPU-"))

    def _asked(self, ask: Callable[..., T], *arguments: object) -> T | None:
        """What the driver answers; None where this device cannot tell, or fell off the bus."""
        with suppress(self._nvml.NVMLError):
            return ask(*arguments)
        return None


def visible_in(told: str) -> frozenset[str] | None:
    """Numbers, as the driver counts, and beginnings of names; None: all, where parts of GPUs are meant, which have no
    names here. What is behind an entry that is none does not count.

    Source: https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#env-vars
    """
    entries = [one.strip() for one in told.split(",")]
    if any(one.startswith("MIG-") for one in entries):
        return None
    return frozenset(takewhile(lambda one: one.isdecimal() or one.startswith("GPU-"), entries))


def found_nvml() -> Any:
    """The module, where it is installed."""
    with suppress(ImportError):
        return importlib.import_module("pynvml")
    return None


def load_share() -> float | None:
    """Of the processors' time, how much was wanted in the last minute."""
    try:
        return min(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    except OSError:
        return None


def host_memory(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> tuple[int, int]:
    """Bytes in all and free: of the machine, or of the container, where that has less."""
    total, free = machine_memory(proc)
    limit = number_in(cgroup / "memory.max")
    if limit is not None and limit < total:
        used = number_in(cgroup / "memory.current") or 0
        return limit, max(0, min(free, limit - used))
    return total, free


def machine_memory(proc: Path) -> tuple[int, int]:
    """Elsewhere than on Linux nobody tells what is free: half of it is supposed to be."""
    try:
        lines = (proc / "meminfo").read_text().splitlines()
    except OSError:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return total, total // 2
    told = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines) if rest}
    return told["MemTotal"], told.get("MemAvailable", told.get("MemFree", 0))


def number_in(file: Path) -> int | None:
    """None: no such file, or no limit."""
    with suppress(OSError, ValueError):
        return int(file.read_text())
    return None
