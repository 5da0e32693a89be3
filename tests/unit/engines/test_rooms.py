"""Memory is asked for before a model is loaded, and others leave for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from tests.unit.engines.fakes import FakeTime, until

from farmgate.core.errors import EngineUnavailable, ModelTooLarge
from farmgate.engines.eviction import Tenant
from farmgate.engines.ledger import Memory
from farmgate.engines.rooms import Held, Rooms, Want

MIB = 2**20


class Machine:
    """A device of 100 MiB; who is loaded stays until it is told to leave, and leaves when the test lets it."""

    def __init__(self) -> None:
        self.time = FakeTime()
        self.free = 100 * MIB
        self.tenants: dict[str, Tenant] = {}
        self.rooms = Rooms(
            lambda: [Memory(device="cpu", total=100 * MIB, free=self.free)],
            tenants=self.tenants.values,
            leave=lambda tenant: self.leave(tenant.name),
            clock=self.time.clock,
            sleep=self.time.sleep,
        )
        self.left: list[str] = []
        self.may_leave = asyncio.Event()
        self.may_leave.set()
        self._stacks: dict[str, AsyncExitStack] = {}

    async def load(self, want: Want, *, used_at: float = 0.0, pinned: bool = False, in_flight: int = 0) -> Held:
        stack = AsyncExitStack()
        held = await stack.enter_async_context(self.rooms.room(want))
        held.settle(held.shares)
        self._stacks[want.name] = stack
        self.tenants[want.name] = Tenant(
            name=want.name,
            held=self.rooms.ledger.holdings[want.name].bytes,
            used_at=used_at,
            pinned=pinned,
            in_flight=in_flight,
            priority=want.priority,
        )
        return held

    async def leave(self, name: str) -> None:
        tenant = self.tenants.pop(name)
        try:
            await self.may_leave.wait()
        except asyncio.CancelledError:
            self.tenants[name] = tenant
            raise
        self.left.append(name)
        await self._stacks.pop(name).aclose()

    async def close(self) -> None:
        self.may_leave.set()
        for name in list(self.tenants):
            await self.leave(name)


@pytest.fixture
async def machine() -> AsyncIterator[Machine]:
    machine = Machine()
    yield machine
    await machine.close()
    assert machine.rooms.ledger.holdings == {}


def want(name: str, mib: int, **more: object) -> Want:
    return Want(name=name, needed=mib * MIB, **more)  # type: ignore[arg-type]


async def test_what_fits_is_let_in_and_booked_until_it_goes(machine: Machine) -> None:
    held = await machine.load(want("a", 60))
    assert held.shares == {"cpu": 60 * MIB}
    assert machine.rooms.ledger.held("cpu") == 60 * MIB
    held.settle({"cpu": 50 * MIB})
    assert machine.rooms.ledger.held("cpu") == 50 * MIB, "measured, it is what it is"
    await machine.leave("a")
    assert machine.rooms.ledger.held("cpu") == 0


async def test_what_fits_no_empty_device_is_refused_at_once_with_the_numbers(machine: Machine) -> None:
    await machine.load(want("a", 60))
    with pytest.raises(ModelTooLarge, match=r"b cannot be loaded .* it needs 101 MiB; .* 100 MiB on cpu") as caught:
        await machine.load(want("b", 101))
    assert (caught.value.status, caught.value.should_retry) == (507, False)
    assert machine.left == [], "and nobody left for it"


async def test_the_least_used_leave_and_no_more_than_have_to(machine: Machine) -> None:
    await machine.load(want("old", 30), used_at=1.0)
    await machine.load(want("new", 30), used_at=3.0)
    await machine.load(want("older", 30), used_at=0.0)
    await machine.load(want("b", 35))
    assert machine.left == ["older"]
    await machine.load(want("c", 50))
    assert machine.left == ["older", "b", "old"], "b was never used, and one of them alone is too small"


async def test_nobody_else_is_promised_what_is_about_to_be_free(machine: Machine) -> None:
    await machine.load(want("a", 80))
    machine.may_leave.clear()
    first = asyncio.create_task(machine.load(want("b", 80)))
    await until(lambda: "a" not in machine.tenants)
    second = asyncio.create_task(machine.load(want("c", 80)))
    await machine.time.until_asleep(1.0)
    machine.may_leave.set()
    await first
    assert not second.done()
    machine.rooms.stir()
    await second
    assert machine.left == ["a", "b"]


async def test_one_who_leaves_makes_room_for_one_alone(machine: Machine) -> None:
    await machine.load(want("a", 60), pinned=True)
    machine.may_leave.clear()
    first, second = (
        asyncio.create_task(machine.load(want(name, mib), pinned=True)) for name, mib in (("b", 70), ("c", 60))
    )
    await machine.time.until_asleep(1.0)
    # Both look in the same turn of the loop, and nobody has left in between.
    machine.tenants["a"] = replace(machine.tenants["a"], pinned=False)
    machine.rooms.stir()
    await until(lambda: "a" not in machine.tenants)
    assert list(machine.rooms.ledger.holdings) == ["a", "b"]
    machine.may_leave.set()
    await first
    assert machine.rooms.ledger.held("cpu") == 70 * MIB
    second.cancel()
    await asyncio.wait({second})


async def test_the_pinned_stay_and_who_waits_for_them_is_told_after_a_minute(machine: Machine) -> None:
    await machine.load(want("a", 80), pinned=True)
    asking = asyncio.create_task(machine.load(want("b", 80)))
    for _ in range(60):
        await machine.time.until_asleep(1.0)
        machine.time.advance(1.0)
    with pytest.raises(EngineUnavailable, match="b needs 80 MiB, and what is loaded is pinned") as caught:
        await asking
    assert caught.value.retry_after_s == 60.0
    assert caught.value.message.endswith("who holds the memory.")
    assert machine.left == []


async def test_a_higher_priority_stays_and_a_lower_one_leaves(machine: Machine) -> None:
    await machine.load(want("a", 80, priority=1), used_at=0.0)
    asking = asyncio.create_task(machine.load(want("b", 80)))
    await machine.time.until_asleep(1.0)
    asking.cancel()
    await asyncio.wait({asking})
    await machine.load(want("c", 80, priority=2))
    assert machine.left == ["a"]


async def test_memory_that_another_program_gives_back_is_noticed(machine: Machine) -> None:
    machine.free = 10 * MIB
    asking = asyncio.create_task(machine.load(want("a", 50)))
    await machine.time.until_asleep(1.0)
    machine.free = 60 * MIB
    machine.time.advance(1.0)
    await asking


async def test_it_waits_until_the_device_shows_the_room_that_was_made(machine: Machine) -> None:
    await machine.load(want("a", 80))
    machine.free = 20 * MIB
    asking = asyncio.create_task(machine.load(want("b", 80)))
    await machine.time.until_asleep(0.25)
    assert machine.left == ["a"]
    machine.time.advance(0.25)
    await machine.time.until_asleep(0.25)
    assert not asking.done()
    machine.free = 100 * MIB
    machine.time.advance(0.25)
    await asking


async def test_a_device_that_never_shows_it_is_not_waited_for_for_ever(machine: Machine) -> None:
    await machine.load(want("a", 80))
    machine.free = 20 * MIB
    asking = asyncio.create_task(machine.load(want("b", 80)))
    for _ in range(20):
        await machine.time.until_asleep(0.25)
        machine.time.advance(0.25)
    await asking


async def test_who_gives_up_while_others_leave_for_it_leaves_no_promise(machine: Machine) -> None:
    await machine.load(want("a", 80))
    machine.may_leave.clear()
    asking = asyncio.create_task(machine.load(want("b", 80)))
    await until(lambda: "a" not in machine.tenants)
    asking.cancel()
    await asyncio.wait({asking})
    assert set(machine.rooms.ledger.holdings) == {"a"}


async def test_nobody_leaves_for_its_own_successor(machine: Machine) -> None:
    await machine.load(want("a@1", 80))
    asking = asyncio.create_task(machine.load(want("a@2", 80, spares=frozenset({"a@1"}))))
    await machine.time.until_asleep(1.0)
    assert machine.left == []
    for _ in range(60):
        await machine.time.until_asleep(1.0)
        machine.time.advance(1.0)
    with pytest.raises(EngineUnavailable) as caught:
        await asking
    assert caught.value.message.endswith(
        " a@1 answers until it is replaced: where both have no room, unload it first."
    ), "who swaps is told what would help"
