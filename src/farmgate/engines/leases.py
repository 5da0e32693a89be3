"""A lease is counted from when it is given until it is released, once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from farmgate.core.ports import Clock
from farmgate.engines.adapters import PLAIN

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
    def fields(self) -> Mapping[str, object]:
        """A request under it may be as it is."""
        return PLAIN

    @property
    def key(self) -> str:
        """Send it as `Authorization: Bearer KEY`: the engine answers nobody else."""
        return self._address.key

    def release(self, *, answered: bool = False) -> None:
        leases, self._leases = self._leases, None
        if leases is not None:
            leases.give_back(answered=answered)


class Leases:
    """The use of one model: how many requests are at it now, and when somebody last was."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._in_flight = 0
        self._expected = 0
        self._last_used: float | None = None
        self._answered_at: float | None = None
        """When somebody last was answered whole, on the clock."""
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def in_flight(self) -> int:
        return self._in_flight

    @property
    def expected(self) -> int:
        """How many wait for a lease."""
        return self._expected

    @property
    def is_free(self) -> bool:
        """Whether nobody is at it, nor is about to be."""
        return not self._in_flight and not self._expected

    @property
    def last_used(self) -> float | None:
        """When the last lease ended, on the clock; now while one is out, None when there never was one."""
        return self._clock() if self._in_flight else self._last_used

    def idle_s(self) -> float | None:
        """Seconds since the last lease ended; 0 while one is out, None when there never was one."""
        used = self.last_used
        return None if used is None else self._clock() - used

    def answered_since(self, at: float | None) -> bool:
        """Whether somebody has been answered whole since then; None: since never."""
        return at is not None and self._answered_at is not None and self._answered_at >= at

    async def until_idle(self) -> None:
        """Return when no lease is out."""
        await self._idle.wait()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Somebody waits for a lease as long as this is open."""
        self._expected += 1
        try:
            yield
        finally:
            self._expected -= 1

    def take(self, address: Address) -> EngineLease:
        self._in_flight += 1
        self._idle.clear()
        return EngineLease(address, self)

    def give_back(self, *, answered: bool) -> None:
        """For EngineLease alone."""
        self._in_flight -= 1
        self._last_used = self._clock()
        if answered:
            self._answered_at = self._last_used
        if not self._in_flight:
            self._idle.set()
