"""What `pynvml` looks like to us, with as many GPUs as a test wants."""

from __future__ import annotations

from dataclasses import dataclass, field


class NVMLError(Exception):
    """What every function of the real one raises."""


@dataclass
class Running:
    """A process that computes on a GPU; None where its memory cannot be told."""

    pid: int
    usedGpuMemory: int | None


@dataclass
class Card:
    """A GPU. What is None cannot be asked of it."""

    total: int = 8 << 30
    free: int = 8 << 30
    gpu: int | None = 40
    heat: int | None = 55
    milliwatts: int | None = 120_500
    is_lost: bool = False
    uuid: str | None = None
    processes: list[Running] | None = None


@dataclass
class Numbers:
    """One answer with several fields."""

    total: int = 0
    free: int = 0
    gpu: int = 0


def told(number: int | None) -> int:
    if number is None:
        raise NVMLError("Not Supported")
    return number


@dataclass
class FakeNvml:
    """Names and errors are those of the real module."""

    cards: list[Card] = field(default_factory=list)
    has_driver: bool = True
    started: int = 0

    NVMLError = NVMLError
    NVML_TEMPERATURE_GPU = 0

    def nvmlInit(self) -> None:
        if not self.has_driver:
            raise NVMLError("Driver Not Loaded")
        self.started += 1

    def nvmlShutdown(self) -> None:
        self.started -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, at: int) -> Card:
        if self.cards[at].is_lost:
            raise NVMLError("GPU is lost")
        return self.cards[at]

    def nvmlDeviceGetUUID(self, card: Card) -> str:
        if card.uuid is None:
            raise NVMLError("Not Supported")
        return card.uuid

    def nvmlDeviceGetMemoryInfo(self, card: Card) -> Numbers:
        return Numbers(total=card.total, free=card.free)

    def nvmlDeviceGetUtilizationRates(self, card: Card) -> Numbers:
        return Numbers(gpu=told(card.gpu))

    def nvmlDeviceGetTemperature(self, card: Card, _: int) -> int:
        return told(card.heat)

    def nvmlDeviceGetPowerUsage(self, card: Card) -> int:
        return told(card.milliwatts)

    def nvmlDeviceGetComputeRunningProcesses(self, card: Card) -> list[Running]:
        if card.processes is None:
            raise NVMLError("Not Supported")
        return card.processes

    def nvmlDeviceGetName(self, card: Card) -> str:
        return f"Fake {card.total >> 30} GiB"
