"""A process leaves when it is told to, or when nobody has used it for long enough; whoever is at it ends first."""

from __future__ import annotations

import asyncio
import os
import signal

from tests.unit.engines.fakes import FakeTime, becomes, until
from tests.unit.engines.supervising import Make, has_died, is_gone, pid_of

from farmgate.engines.states import State
from farmgate.engines.surroundings import Keep


async def test_one_that_leaves_lends_no_more_and_lets_those_at_it_end(make: Make) -> None:
    supervisor = make("serves")
    lease = await supervisor.lease()
    pid = pid_of(supervisor)
    leaving = asyncio.create_task(supervisor.leave(30.0))
    await becomes(supervisor, State.DRAINING)
    asking = asyncio.create_task(supervisor.lease())
    await until(lambda: supervisor.leases.expected == 1)
    assert supervisor.leases.in_flight == 1
    assert not is_gone(pid)
    lease.release()
    await leaving
    assert is_gone(pid)
    (await asking).release()
    assert supervisor.starts == 2, "who came while it left has a new process"


async def test_two_who_want_it_gone_both_let_those_at_it_end(make: Make) -> None:
    supervisor = make("serves")
    lease = await supervisor.lease()
    first, second = (asyncio.create_task(supervisor.leave(30.0)) for _ in range(2))
    await becomes(supervisor, State.DRAINING)
    for _ in range(9):
        await asyncio.sleep(0)
    assert supervisor.state is State.DRAINING
    first.cancel()
    await asyncio.wait({first})
    assert supervisor.state is State.DRAINING, "the other still wants it gone"
    lease.release()
    await second
    await becomes(supervisor, State.ON_DISK)


async def test_who_has_less_patience_ends_it_first_and_the_other_ends_nothing_more(make: Make, time: FakeTime) -> None:
    supervisor = make("serves")
    lease = await supervisor.lease()
    patient = asyncio.create_task(supervisor.leave(600.0))
    await time.until_asleep(600.0)
    hurried = asyncio.create_task(supervisor.leave(1.0))
    await time.until_asleep(1.0)
    time.advance(1.0)
    await hurried
    other = await supervisor.lease()
    lease.release()
    time.advance(600.0)
    await patient
    assert supervisor.state is State.READY, "that is another process"
    other.release()


async def test_one_that_is_not_let_go_leaves_when_the_time_is_up(make: Make, time: FakeTime) -> None:
    supervisor = make("serves")
    await supervisor.lease()
    leaving = asyncio.create_task(supervisor.leave(30.0))
    await becomes(supervisor, State.DRAINING)
    await time.until_asleep(30.0)
    time.advance(30.0)
    await leaving
    await becomes(supervisor, State.ON_DISK)


async def test_it_stays_when_whoever_wanted_it_gone_gives_up(make: Make) -> None:
    supervisor = make("serves")
    await supervisor.lease()
    leaving = asyncio.create_task(supervisor.leave(30.0))
    await becomes(supervisor, State.DRAINING)
    leaving.cancel()
    await asyncio.wait({leaving})
    assert supervisor.state is State.READY
    (await supervisor.lease()).release()
    assert supervisor.starts == 1


async def test_a_crash_while_it_leaves_ends_it_too(make: Make) -> None:
    supervisor = make("serves")
    lease = await supervisor.lease()
    leaving = asyncio.create_task(supervisor.leave(30.0))
    await becomes(supervisor, State.DRAINING)
    os.kill(pid_of(supervisor), signal.SIGUSR1)
    await becomes(supervisor, State.FAILED)
    lease.release()
    await leaving
    assert supervisor.state is State.ON_DISK


async def test_whoever_wants_one_gone_that_crashes_does_not_end_the_next(make: Make, time: FakeTime) -> None:
    supervisor = make("serves")
    held = await supervisor.lease()
    leaving = asyncio.create_task(supervisor.leave(600.0))
    await time.until_asleep(600.0)
    os.kill(pid_of(supervisor), signal.SIGKILL)
    async with asyncio.timeout(5):
        await leaving
    other = await supervisor.lease()
    time.advance(600.0)
    held.release()
    for _ in range(20):
        await asyncio.sleep(0)
    assert (supervisor.state, supervisor.starts) == (State.READY, 2), "whoever is at it was not cut off"
    other.release()


async def test_unused_for_its_time_it_ends_and_the_time_begins_with_the_end_of_the_last_request(
    make: Make, time: FakeTime
) -> None:
    supervisor = make("serves", keep=Keep(ttl_s=60.0))
    lease = await supervisor.lease()
    assert supervisor.left_s() == 60.0
    time.advance(500.0)
    assert supervisor.state is State.READY, "somebody is at it"
    lease.release()
    await time.until_asleep(60.0)
    time.advance(59.0)
    (await supervisor.lease()).release()
    await time.until_asleep(1.0)
    time.advance(1.0)
    await time.until_asleep(59.0)
    assert supervisor.state is State.READY, "it was used in between"
    pid = pid_of(supervisor)
    time.advance(59.0)
    await becomes(supervisor, State.ON_DISK)
    assert is_gone(pid)
    assert supervisor.failure is None
    (await supervisor.lease()).release()
    assert supervisor.starts == 2


async def test_one_that_dies_in_the_moment_in_which_it_was_to_end_has_not_crashed(make: Make, time: FakeTime) -> None:
    supervisor = make("serves", keep=Keep(ttl_s=9.0))
    (await supervisor.lease()).release()
    await time.until_asleep(9.0)
    owner = supervisor._owner
    assert owner is not None
    pid = pid_of(supervisor)
    os.kill(pid, signal.SIGKILL)
    while not has_died(pid):
        # The loop hears of it later: it has no turn in between.
        os.sched_yield()
    time.advance(9.0)
    await becomes(supervisor, State.ON_DISK)
    assert owner.exception() is None
    assert supervisor.failure is None


async def test_one_that_nobody_ever_used_ends_too(make: Make, time: FakeTime) -> None:
    supervisor = make("serves", keep=Keep(ttl_s=60.0))
    asking = asyncio.create_task(supervisor.lease())
    await until(lambda: supervisor.state is State.STARTING)
    asking.cancel()
    await becomes(supervisor, State.READY)
    await time.until_asleep(60.0)
    time.advance(60.0)
    await becomes(supervisor, State.ON_DISK)


async def test_how_long_it_stays_can_change_while_it_runs(make: Make, time: FakeTime) -> None:
    supervisor = make("serves", keep=Keep(ttl_s=3600.0))
    (await supervisor.lease()).release()
    await time.until_asleep(3600.0)
    supervisor.keep = Keep(ttl_s=10.0, pinned=True)
    assert supervisor.left_s() is None
    time.advance(5000.0)
    supervisor.keep = Keep(ttl_s=5060.0)
    await time.until_asleep(60.0)
    time.advance(60.0)
    await becomes(supervisor, State.ON_DISK)
    assert supervisor.starts == 1
