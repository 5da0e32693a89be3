"""A process that can sleep gives its room up without ending, and wakes for who comes."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from tests.unit.engines.fakes import FakeTime, becomes, until
from tests.unit.engines.supervising import Bed, Booked, Make, is_gone, pid_of

from farmgate.core.errors import EngineUnavailable
from farmgate.engines.engine import Spec
from farmgate.engines.leases import Address
from farmgate.engines.states import State
from farmgate.engines.surroundings import Keep


async def test_to_rest_it_ends_what_it_has_begun_and_keeps_its_process(make: Make) -> None:
    bed, room = Bed(), Booked()
    supervisor = make("serves", room=room, sleeper=bed)
    lease = await supervisor.lease()
    pid = pid_of(supervisor)
    leaving = asyncio.create_task(supervisor.leave(30.0, rest=True))
    await becomes(supervisor, State.DRAINING)
    assert bed.told == []
    lease.release()
    await leaving
    assert supervisor.state is State.ASLEEP
    assert pid_of(supervisor) == pid
    assert bed.told == ["sleep"]
    assert room.told == ["came", "settled True", "may sleep", "asleep"]
    assert supervisor.left_s() is None


async def test_the_first_who_comes_wakes_it_once_for_all_and_it_is_asked_for_a_token(make: Make) -> None:
    asked: list[str] = []

    async def warm(spec: Spec, address: Address) -> None:
        asked.append(spec.model)

    bed, room = Bed(), Booked()
    supervisor = make("serves", room=room, sleeper=bed, warm=warm)
    (await supervisor.lease()).release()
    await supervisor.leave(30.0, rest=True)
    leases = await asyncio.gather(*(supervisor.lease() for _ in range(10)))
    assert bed.told == ["sleep", "wake"]
    assert room.told[-2:] == ["waking", "awake"]
    assert (len(asked), supervisor.starts, supervisor.state) == (2, 1, State.READY)
    for lease in leases:
        lease.release()
    await supervisor.leave(30.0, rest=True)
    assert bed.told[2:] == ["sleep"], "and it can sleep again"


async def test_one_that_stays_for_no_time_wakes_for_who_comes(make: Make) -> None:
    bed = Bed()
    supervisor = make("serves", keep=Keep(ttl_s=0.0), sleeper=bed)
    (await supervisor.lease()).release()
    await becomes(supervisor, State.ASLEEP)
    async with asyncio.timeout(5):
        lease = await supervisor.lease()
    assert (supervisor.state, bed.told) == (State.READY, ["sleep", "wake"])
    lease.release()


async def test_unused_for_its_time_it_sleeps(make: Make, time: FakeTime) -> None:
    bed = Bed()
    supervisor = make("serves", keep=Keep(ttl_s=60.0), sleeper=bed)
    (await supervisor.lease()).release()
    await time.until_asleep(60.0)
    time.advance(60.0)
    await becomes(supervisor, State.ASLEEP)
    (await supervisor.lease()).release()
    await time.until_asleep(60.0)
    time.advance(60.0)
    await becomes(supervisor, State.ASLEEP)
    assert (bed.told, supervisor.starts) == (["sleep", "wake", "sleep"], 1)


async def test_who_comes_while_it_falls_asleep_waits_and_wakes_it(make: Make) -> None:
    bed = Bed()
    supervisor = make("serves", sleeper=bed)
    (await supervisor.lease()).release()
    bed.slow.clear()
    leaving = asyncio.create_task(supervisor.leave(30.0, rest=True))
    await until(lambda: bed.told == ["sleep"])
    asking = asyncio.create_task(supervisor.lease())
    await until(lambda: supervisor.leases.expected == 1)
    bed.slow.set()
    (await asking).release()
    await leaving
    assert (bed.told, supervisor.starts) == (["sleep", "wake"], 1)


async def test_by_hand_it_ends_whole_awake_or_asleep(make: Make) -> None:
    bed = Bed()
    supervisor = make("serves", sleeper=bed)
    (await supervisor.lease()).release()
    await supervisor.leave(30.0)
    assert (supervisor.state, bed.told) == (State.ON_DISK, [])
    (await supervisor.lease()).release()
    pid = pid_of(supervisor)
    await supervisor.leave(30.0, rest=True)
    await supervisor.leave(30.0)
    assert supervisor.state is State.ON_DISK
    assert is_gone(pid)


async def test_it_ends_where_there_is_no_room_for_its_weights_or_it_cannot_sleep(make: Make, time: FakeTime) -> None:
    bed, room = Bed(), Booked()
    room.has_host = False
    supervisor = make("serves", room=room, sleeper=bed, keep=Keep(ttl_s=60.0))
    (await supervisor.lease()).release()
    await supervisor.leave(30.0, rest=True)
    assert (supervisor.state, bed.told) == (State.ON_DISK, [])
    room.has_host, bed.fails = True, {"sleep"}
    (await supervisor.lease()).release()
    await time.until_asleep(60.0)
    time.advance(60.0)
    await becomes(supervisor, State.ON_DISK)
    assert (supervisor.failure, bed.told) == (None, ["sleep"])


async def test_one_that_does_not_fall_asleep_in_time_ends(make: Make, time: FakeTime) -> None:
    bed = Bed()
    supervisor = make("serves", sleeper=bed)
    (await supervisor.lease()).release()
    bed.slow.clear()
    leaving = asyncio.create_task(supervisor.leave(30.0, rest=True))
    await time.until_asleep(180.0)
    time.advance(180.0)
    await leaving
    assert supervisor.state is State.ON_DISK


async def test_where_there_is_no_room_to_wake_all_who_wait_are_told_and_it_sleeps_on(make: Make) -> None:
    bed, room = Bed(), Booked()
    supervisor = make("serves", room=room, sleeper=bed)
    (await supervisor.lease()).release()
    await supervisor.leave(30.0, rest=True)
    room.error = EngineUnavailable("all is pinned")
    told = await asyncio.gather(*(supervisor.lease() for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in told] == ["all is pinned"] * 3
    assert (supervisor.state, supervisor.failure, bed.told) == (State.ASLEEP, None, ["sleep"])
    room.error = None
    (await supervisor.lease()).release()
    assert (bed.told, supervisor.starts) == (["sleep", "wake"], 1), "the next one wakes it"


async def test_one_that_fails_to_wake_ends_and_is_started_anew_for_who_waits(make: Make, time: FakeTime) -> None:
    bed = Bed()
    supervisor = make("serves", sleeper=bed)
    (await supervisor.lease()).release(answered=True)
    pid = pid_of(supervisor)
    await supervisor.leave(30.0, rest=True)
    bed.fails = {"wake"}
    asking = asyncio.create_task(supervisor.lease())
    await time.until_asleep(0.5)
    assert supervisor.failure == "did not wake: it answered nothing when it was asked to wake"
    assert is_gone(pid)
    time.advance(0.5)
    (await asking).release()
    assert (supervisor.starts, supervisor.state) == (2, State.READY)


async def test_a_crash_in_its_sleep_is_no_reason_to_take_its_room_back(make: Make, time: FakeTime) -> None:
    supervisor = make("serves", sleeper=Bed())
    (await supervisor.lease()).release(answered=True)
    await supervisor.leave(30.0, rest=True)
    os.kill(pid_of(supervisor), signal.SIGUSR1)
    await time.until_asleep(0.5)
    time.advance(0.5)
    await becomes(supervisor, State.ON_DISK)
    (await supervisor.lease()).release()
    assert supervisor.starts == 2, "but who asks has it"


async def test_one_that_dies_before_it_could_fall_asleep_is_not_waited_for(make: Make) -> None:
    bed, room = Bed(), Booked()
    supervisor = make("serves", room=room, sleeper=bed)
    lease = await supervisor.lease()
    room.slow.clear()
    leaving = asyncio.create_task(supervisor.leave(30.0, rest=True))
    await becomes(supervisor, State.DRAINING)
    os.kill(pid_of(supervisor), signal.SIGKILL)
    await until(lambda: supervisor.address is None)
    lease.release()
    for _ in range(20):
        await asyncio.sleep(0)
    room.slow.set()
    async with asyncio.timeout(5):
        await leaving
    assert (supervisor.state, bed.told) == (State.ON_DISK, [])


async def test_who_comes_when_it_dies_in_its_sleep_does_not_wake_the_next(make: Make, time: FakeTime) -> None:
    bed, room = Bed(), Booked()
    supervisor = make("serves", room=room, sleeper=bed)
    (await supervisor.lease()).release(answered=True)
    await supervisor.leave(30.0, rest=True)
    room.slow.clear()
    os.kill(pid_of(supervisor), signal.SIGKILL)
    await until(lambda: supervisor.address is None)
    asking = asyncio.create_task(supervisor.lease())
    await until(lambda: supervisor.leases.expected == 1)
    room.slow.set()
    await time.until_asleep(0.5)
    time.advance(0.5)
    (await asking).release()
    await supervisor.leave(30.0, rest=True)
    for _ in range(20):
        await asyncio.sleep(0)
    assert (supervisor.state, bed.told) == (State.ASLEEP, ["sleep", "sleep"])


async def test_who_comes_later_is_not_told_of_the_room_that_there_was_not(make: Make, time: FakeTime) -> None:
    room = Booked()
    supervisor = make("deaf", room=room, sleeper=Bed())
    (await supervisor.lease()).release()
    await supervisor.leave(30.0, rest=True)
    room.error = EngineUnavailable("no room came free")
    with pytest.raises(EngineUnavailable, match="no room came free"):
        await supervisor.lease()
    room.error = None
    stopping = asyncio.create_task(supervisor.stop())
    await time.until_asleep(2.0)
    asking = asyncio.create_task(supervisor.lease())
    await until(lambda: supervisor.leases.expected == 1)
    time.advance(2.0)
    await stopping
    (await asking).release()
    supervisor.lend(False)
    closing = asyncio.create_task(supervisor.stop())
    await time.until_asleep(2.0)
    time.advance(2.0)
    await closing


async def test_a_crash_while_it_wakes_is_one(make: Make, time: FakeTime) -> None:
    bed = Bed()
    supervisor = make("serves", sleeper=bed)
    (await supervisor.lease()).release(answered=True)
    await supervisor.leave(30.0, rest=True)
    bed.slow.clear()
    asking = asyncio.create_task(supervisor.lease())
    await until(lambda: bed.told == ["sleep", "wake"])
    os.kill(pid_of(supervisor), signal.SIGUSR1)
    await time.until_asleep(0.5)
    assert supervisor.failure == "was killed by SIGUSR1"
    time.advance(0.5)
    (await asking).release()


async def test_one_that_nobody_is_sent_to_any_more_does_not_sleep_on(make: Make) -> None:
    bed = Bed()
    supervisor = make("serves", sleeper=bed)
    (await supervisor.lease()).release()
    await supervisor.leave(30.0, rest=True)
    supervisor.lend(False)
    await becomes(supervisor, State.ON_DISK)
    supervisor.lend(True)
    (await supervisor.lease()).release()
    supervisor.lend(False)
    await supervisor.leave(30.0, rest=True)
    assert (supervisor.state, bed.told) == (State.ON_DISK, ["sleep"])


async def test_who_gives_up_while_it_falls_asleep_does_not_wake_it(make: Make) -> None:
    bed = Bed()
    supervisor = make("serves", sleeper=bed)
    (await supervisor.lease()).release()
    bed.slow.clear()
    leaving = asyncio.create_task(supervisor.leave(30.0, rest=True))
    await until(lambda: bed.told == ["sleep"])
    leaving.cancel()
    await asyncio.wait({leaving})
    bed.slow.set()
    await becomes(supervisor, State.ASLEEP)


async def test_closing_ends_a_sleeper(make: Make) -> None:
    supervisor = make("serves", sleeper=Bed())
    (await supervisor.lease()).release()
    await supervisor.leave(30.0, rest=True)
    pid = pid_of(supervisor)
    await supervisor.close()
    assert is_gone(pid)
