"""How much memory each device has left for models: what is promised counts before it is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Holding", "Ledger", "Memory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a device says of its memory now, in bytes. `spare` stays free: for what models need only now and then."""

    device: str
    total: int
    free: int
    spare: int = 0

    @property
    def usable(self) -> int:
        """What models can have of it when nothing else is there."""
        return max(0, self.total - self.spare)


@dataclass(slots=True)
class Holding:
    """What one model holds, by device. Until it is `settled` its bytes are a promise that the device may not show."""

    bytes: dict[str, int]
    settled: bool = False


@dataclass(slots=True)
class Ledger:
    """Who holds what. A model is written down before it is loaded and struck out when its process is gone."""

    holdings: dict[str, Holding] = field(default_factory=dict)

    def reserve(self, model: str, needed: Mapping[str, int]) -> None:
        """Promise memory. A model holds one promise: a second would hide a mistake."""
        if model in self.holdings:
            raise ValueError(f"{model} holds memory already")
        self.holdings[model] = Holding(dict(needed))

    def settle(self, model: str, measured: Mapping[str, int]) -> None:
        """It is loaded: what it uses takes the place of what was expected."""
        self.holdings[model] = Holding(dict(measured), settled=True)

    def release(self, model: str) -> None:
        self.holdings.pop(model, None)

    def held(self, device: str) -> int:
        return sum(holding.bytes.get(device, 0) for holding in self.holdings.values())

    def promised(self, device: str) -> int:
        """Of what is held, how much the device need not show yet."""
        return sum(holding.bytes.get(device, 0) for holding in self.holdings.values() if not holding.settled)

    def free(self, memory: Memory) -> int:
        """What may be promised: no more than the device reports, which is late, and no more than the books allow."""
        reported = memory.free - memory.spare - self.promised(memory.device)
        booked = memory.usable - self.held(memory.device)
        return max(0, min(reported, booked))
