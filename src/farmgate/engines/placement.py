"""Where a model is put, and who leaves for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from farmgate.engines.eviction import Tenant, choose
from farmgate.engines.ledger import Ledger, Memory

__all__ = ["NeverFits", "Placement", "place"]


class NeverFits(Exception):
    """It would not fit a device that holds nothing else. The text has the numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Bytes by device, and who has to leave before they are there."""

    shares: Mapping[str, int]
    leaving: tuple[Tenant, ...] = ()


def place(
    needed: int,
    memories: Sequence[Memory],
    ledger: Ledger,
    tenants: Sequence[Tenant] = (),
    *,
    splits: bool = False,
    priority: int = 0,
) -> Placement | None:
    """On the one device with most room; over several, if the engine `splits`; else where the least is lost by making
    room. None: those who could make room are pinned or of a higher priority. Raises NeverFits.
    """
    largest = max((memory.usable for memory in memories), default=0)
    if needed > (sum(memory.usable for memory in memories) if splits else largest):
        raise NeverFits(told(needed, memories, splits=splits))
    rooms = {memory.device: ledger.free(memory) for memory in memories}
    best = max(rooms, key=lambda device: rooms[device])
    if rooms[best] >= needed:
        return Placement(shares={best: needed})
    if splits and (shares := spread(needed, rooms)) is not None:
        return Placement(shares=shares)
    made = [
        Placement(shares={memory.device: needed}, leaving=leaving)
        for memory in memories
        if needed <= memory.usable
        and (leaving := choose(tenants, {memory.device: needed - rooms[memory.device]}, priority=priority)) is not None
    ]
    return min(made, key=loss, default=None)


def loss(placement: Placement) -> tuple[tuple[int, bool, float], int]:
    """The most that is lost with one of those who leave, then how many they are."""
    return max(one.worth for one in placement.leaving), len(placement.leaving)


def spread(needed: int, rooms: Mapping[str, int]) -> dict[str, int] | None:
    """Shares in proportion to the room there is."""
    room = sum(rooms.values())
    if room < needed:
        return None
    shares = {device: needed * free // room for device, free in rooms.items()}
    for device, free in rooms.items():
        shares[device] += min(free - shares[device], needed - sum(shares.values()))
    return {device: share for device, share in shares.items() if share}


def told(needed: int, memories: Sequence[Memory], *, splits: bool) -> str:
    there = ", ".join(f"{mib(memory.usable)} on {memory.device}" for memory in memories) or "no device"
    together = " together" if splits and len(memories) > 1 else ""
    return f"it needs {mib(needed)}; with nothing else loaded there are{together} {there}"


def mib(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"
