"""A lease is counted from when it is given until it is released, once."""

from __future__ import annotations

from dataclasses import dataclass

from farmgate.core.ports import Clock

__all__ = ["Address", "EngineLease", "Leases"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where one engine process listens, and the key it answers to (`Authorization: Bearer KEY`)."""

    url: str
    key: str


class EngineLease:
    """An engine's address while one request uses it."""

    __slots__ = ("_address", "_leases")

    def __init__(self, address: Address, leases: Leases) -> None:
        self._address = address
        self._leases: Leases | None = leases

    @property
    def url(self) -> str:
        return self._address.url

    @property
    def key(self) -> str:
        """Send it as `Authorization: Bearer KEY`: the engine answers nobody else."""
        return self._address.key

    def release(self) -> None:
        leases, self._leases = self._leases, None
        if leases is not None:
            leases.give_back()


class Leases:
    """The use of one model: how many requests are at it now, and when somebody last was."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._in_flight = 0
        self._last_used: float | None = None

    @property
    def in_flight(self) -> int:
        return self._in_flight

    def idle_s(self) -> float | None:
        """Seconds since the last lease ended; 0 while one is out, None when there never was one."""
        if self._in_flight:
            return 0.0
        return None if self._last_used is None else self._clock() - self._last_used

    def take(self, address: Address) -> EngineLease:
        self._in_flight += 1
        return EngineLease(address, self)

    def give_back(self) -> None:
        """For EngineLease alone."""
        self._in_flight -= 1
        self._last_used = self._clock()
