"""Where a model is put, and who leaves for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from farmgate.engines.eviction import Tenant, choose
from farmgate.engines.ledger import Ledger, Memory

__all__ = ["NeverFits", "Placement", "place"]


MOST_TRIED = 8
"""Devices among which room is made for a model on several: all sets of 16 would be too many to look at."""


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
    counts: Sequence[int] = (1,),
    each: int = 0,
    priority: int = 0,
) -> Placement | None:
    """On the fewest devices of the `counts` that have room, those with most of it, an equal share on each; where none
    have, on those where the least is lost by making room.

    `each`: of what is needed on one device, the bytes that every one of several needs. None: those who could make room
    are pinned or of a higher priority. Raises NeverFits.
    """
    shares = {count: share_of(needed, count, each) for count in sorted(counts)}
    if not any(fits(share, count, memories) for count, share in shares.items()):
        raise NeverFits(told(shares, memories))
    rooms = {memory.device: ledger.free(memory) for memory in memories}
    most = sorted(rooms, key=lambda device: -rooms[device])
    for count, share in shares.items():
        if len(most) >= count and rooms[most[count - 1]] >= share:
            return Placement(shares=dict.fromkeys(most[:count], share))
    usable = {memory.device: memory.usable for memory in memories}
    made = [
        Placement(shares=dict.fromkeys(devices, share), leaving=leaving)
        for count, share in shares.items()
        for devices in combinations([device for device in most if usable[device] >= share][:MOST_TRIED], count)
        if (leaving := choose(tenants, {one: share - rooms[one] for one in devices}, priority=priority)) is not None
    ]
    return min(made, key=loss, default=None)


def share_of(needed: int, count: int, each: int) -> int:
    """Bytes on each of so many devices; together never less than is needed."""
    each = min(each, needed)
    return each + -(-(needed - each) // count)


def fits(share: int, count: int, memories: Sequence[Memory]) -> bool:
    """Whether there are so many devices that have room for it when they hold nothing else."""
    return sum(memory.usable >= share for memory in memories) >= count


def loss(placement: Placement) -> tuple[tuple[bool, int, bool, float], int, int]:
    """The most that is lost with one of those who leave, how many they are, on how many devices."""
    return max(one.worth for one in placement.leaving), len(placement.leaving), len(placement.shares)


def told(shares: Mapping[int, int], memories: Sequence[Memory]) -> str:
    there = ", ".join(f"{mib(memory.usable)} on {memory.device}" for memory in memories) or "no device"
    possible = {count: share for count, share in shares.items() if count <= len(memories)} or shares
    ways = " or ".join(
        mib(share) if count == 1 else f"{mib(share)} on each of {count}" for count, share in possible.items()
    )
    return f"it needs {ways}; with nothing else loaded there are {there}"


def mib(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"
