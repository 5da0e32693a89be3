"""Whoever loads a model waits here for its memory: others leave for it, where they may; nothing is promised twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from farmgate.core.errors import EngineUnavailable, ModelTooLarge
from farmgate.core.ports import Clock
from farmgate.engines.eviction import Tenant
from farmgate.engines.ledger import Ledger, Memory
from farmgate.engines.placement import NeverFits, Placement, mib, place
from farmgate.engines.timing import Sleep, either
from farmgate.telemetry import log

__all__ = ["Held", "Rooms", "Want"]

PATIENCE_S = 60.0
"""How long a model waits for others to leave. Longer, and its callers have given up."""
LOOK_AGAIN_S = 1.0
"""How often somebody who waits looks for what another program gave back."""
LOOK_EVERY_S = 0.25
COMES_BACK_S = 5.0
"""How late a driver may be in telling that the memory of a process that ended is free again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """What one model asks for. `devices`: where it may go, by name; none: anywhere. `counts`: on how many of
    them at once, an equal share on each; `each`: of what it needs, the bytes that every one of several needs. `spares`:
    who does not leave for it."""

    name: str
    needed: int
    priority: int = 0
    devices: frozenset[str] = frozenset()
    counts: tuple[int, ...] = (1,)
    each: int = 0
    spares: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Held:
    """Memory that one model has, by device, until the block it was asked for in ends."""

    name: str
    shares: Mapping[str, int]
    ledger: Ledger = field(repr=False)

    def settle(self, used: Mapping[str, int]) -> None:
        """It is loaded and uses so many bytes, by device."""
        self.ledger.settle(self.name, used)


class Rooms:
    """One for all models of a machine.

    `memories` reads the devices anew. `tenants`: who is loaded and could leave. `leave` ends one of them, or has it
    sleep where it has a `rest`, once those who are at it are done.
    """

    def __init__(
        self,
        memories: Callable[[], Sequence[Memory]],
        *,
        tenants: Callable[[], Iterable[Tenant]],
        leave: Callable[[Tenant], Awaitable[None]],
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self.ledger = Ledger()
        self._memories = memories
        self._tenants = tenants
        self._leave = leave
        self._clock = clock
        self._sleep = sleep
        self._stirred = asyncio.Event()
        self._going: set[str] = set()
        """Who was told to leave and is not gone yet: what they have is promised."""

    def stir(self) -> None:
        """Something changed that may let a waiting model in: one became idle, unpinned, or left."""
        stirred, self._stirred = self._stirred, asyncio.Event()
        stirred.set()

    @asynccontextmanager
    async def room(self, want: Want) -> AsyncIterator[Held]:
        """Memory for one model, while this is open. Raises ModelTooLarge at once, EngineUnavailable after a while."""
        placement = await self._until_placed(want)
        try:
            if placement.leaving:
                await self._clear(want, placement)
            yield Held(want.name, placement.shares, self.ledger)
        finally:
            self.ledger.release(want.name)
            self.stir()

    def add(self, name: str, device: str, count: int) -> bool:
        """So many bytes more for one that has some; False: there is no such room now. Nobody leaves for it."""
        memory = next((one for one in self._memories() if one.device == device), None)
        if memory is None or self.ledger.free(memory) < count:
            return False
        held = self.ledger.holdings[name].bytes
        held[device] = held.get(device, 0) + count
        return True

    async def _until_placed(self, want: Want) -> Placement:
        """Where it goes, written into the books: nobody who comes later is promised the same bytes."""
        until = self._clock() + PATIENCE_S
        while (placement := self._place(want)) is None:
            left_s = until - self._clock()
            if left_s <= 0:
                raise self._no_room(want)
            stirred = asyncio.ensure_future(self._stirred.wait())
            try:
                await either(stirred, self._sleep(min(left_s, LOOK_AGAIN_S)))
            finally:
                stirred.cancel()
        self.ledger.reserve(want.name, placement.shares)
        return placement

    def _place(self, want: Want) -> Placement | None:
        memories = self._memories_for(want)
        tenants = [one for one in self._tenants() if one.name not in want.spares | self._going]
        chosen = partial(place, counts=want.counts, each=want.each, priority=want.priority)
        try:
            found = chosen(want.needed, memories, self.ledger, tenants)
            if found is None and any(one.rest for one in tenants):
                # It is not enough that they sleep.
                found = chosen(want.needed, memories, self.ledger, [one.whole() for one in tenants])
            return found
        except NeverFits as error:
            raise ModelTooLarge(f"{want.name} cannot be loaded on this machine: {error}.") from error

    def _no_room(self, want: Want) -> EngineUnavailable:
        staying = ", ".join(name for name in self.ledger.holdings if name in want.spares)
        beside = (
            f" {staying} answers until it is replaced: where both have no room, unload it first." if staying else ""
        )
        return EngineUnavailable(
            f"{want.name} needs {mib(want.needed)}, and what is loaded is pinned, of a higher priority or not leaving. "
            f"It waited {PATIENCE_S:g} s; `farmgate ps` shows who holds the memory.{beside}",
            retry_after_s=PATIENCE_S,
        )

    def _memories_for(self, want: Want) -> list[Memory]:
        return [one for one in self._memories() if not want.devices or one.device in want.devices]

    async def _clear(self, want: Want, placement: Placement) -> None:
        names = [one.name for one in placement.leaving]
        log.info("engines_leave", model=want.name, leaving=names, needed_bytes=want.needed)
        self._going.update(names)
        try:
            await asyncio.gather(*(self._leave(one) for one in placement.leaving))
        finally:
            self._going.difference_update(names)
        until = self._clock() + COMES_BACK_S
        while not self._is_back(want, placement.shares) and self._clock() < until:
            await self._sleep(LOOK_EVERY_S)

    def _is_back(self, want: Want, shares: Mapping[str, int]) -> bool:
        """Whether the devices show the room that the books have."""
        return all(one.free - one.spare >= shares.get(one.device, 0) for one in self._memories_for(want))
