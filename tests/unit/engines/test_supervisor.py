from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.unit.engines.fakes import FakeEngine, FakeTime, becomes, until

from farmgate.core.errors import EngineUnavailable, FarmError, ModelTooLarge, ShuttingDown
from farmgate.core.ports import Purpose
from farmgate.engines.engine import Spec
from farmgate.engines.leases import Address
from farmgate.engines.process import EngineDied
from farmgate.engines.states import TRANSITIONS, IllegalTransition, State, check_transition
from farmgate.engines.supervisor import Supervisor
from farmgate.engines.surroundings import Keep, Settings

Make = Callable[..., Supervisor]


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
async def make(tmp_path: Path, time: FakeTime) -> AsyncIterator[Make]:
    """Makes a supervisor of fake_engine.py in the given modes."""
    spec = Spec(
        model="tiny",
        path=tmp_path / "tiny.gguf",
        purpose=Purpose.GENERATE,
        context_tokens=64,
        parallel=1,
        threads=1,
    )
    async with AsyncExitStack() as stack:

        def make(*modes: str, **more: Any) -> Supervisor:
            supervisor = Supervisor(
                spec,
                FakeEngine(*modes),
                log_file=tmp_path / "logs" / "tiny.log",
                environment={},
                settings=Settings(),
                clock=time.clock,
                sleep=time.sleep,
                **more,
            )
            # Fake time stands still: an engine that ignores SIGTERM is the test's own business.
            stack.push_async_callback(supervisor.close)
            return supervisor

        yield make


def engine_of(supervisor: Supervisor) -> FakeEngine:
    engine = supervisor.engine
    assert isinstance(engine, FakeEngine)
    return engine


def pid_of(supervisor: Supervisor) -> int:
    assert supervisor.pid is not None
    return supervisor.pid


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def has_died(pid: int) -> bool:
    """Whoever waits for it may not know yet."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize(("now", "to"), list(itertools.product(State, State)))
def test_every_pair_of_states_is_in_the_table_or_refused(now: State, to: State) -> None:
    allowed = {
        "absent pulling",
        "pulling on_disk",
        "pulling absent",
        "on_disk starting",
        "on_disk absent",
        "starting warming",
        "starting failed",
        "starting stopping",
        "warming ready",
        "warming failed",
        "warming stopping",
        "ready draining",
        "ready failed",
        "ready stopping",
        "draining ready",
        "draining asleep",
        "asleep warming",
        "asleep failed",
        "asleep stopping",
        "warming asleep",
        "draining failed",
        "draining stopping",
        "stopping on_disk",
        "failed starting",
        "failed stopping",
    }
    assert set(TRANSITIONS) == set(State)
    if f"{now} {to}" in allowed:
        check_transition(now, to)
    else:
        with pytest.raises(IllegalTransition):
            check_transition(now, to)


async def test_a_lease_starts_the_process_and_waits_until_it_is_ready(make: Make) -> None:
    supervisor = make("serves")
    assert supervisor.pid is None
    lease = await supervisor.lease()
    assert supervisor.state is State.READY
    assert lease.url == "http://127.0.0.1:1"
    assert len(lease.key) >= 32
    assert lease.key not in " ".join(engine_of(supervisor).launched[0].command)
    assert not is_gone(pid_of(supervisor))


async def test_many_leases_start_one_process(make: Make) -> None:
    supervisor = make("serves")
    leases = await asyncio.gather(*(supervisor.lease() for _ in range(20)))
    assert len(engine_of(supervisor).launched) == 1
    assert supervisor.leases.in_flight == 20
    for lease in leases:
        lease.release()
    assert supervisor.leases.in_flight == 0


async def test_stop_returns_when_the_process_is_gone_and_a_lease_starts_another(make: Make) -> None:
    supervisor = make("serves")
    (await supervisor.lease()).release()
    pid = pid_of(supervisor)
    await supervisor.stop()
    assert is_gone(pid)
    assert supervisor.state is State.ON_DISK
    (await supervisor.lease()).release()
    assert pid_of(supervisor) != pid


async def test_a_process_that_ignores_sigterm_is_killed_after_two_seconds(make: Make, time: FakeTime) -> None:
    supervisor = make("deaf")
    (await supervisor.lease()).release()
    pid = pid_of(supervisor)
    stopping = asyncio.create_task(supervisor.stop())
    await time.until_asleep(2.0)
    assert not is_gone(pid)
    time.advance(2.0)
    await stopping
    assert is_gone(pid)


async def test_a_start_that_fails_tells_how_and_quotes_the_log(make: Make) -> None:
    supervisor = make("exits")
    with pytest.raises(EngineUnavailable) as caught:
        await supervisor.lease()
    assert "exited with code 3" in caught.value.message
    assert "no such weights" in caught.value.message
    assert str(supervisor._log_file) in caught.value.message
    assert caught.value.retry_after_s == 0.5


async def test_a_crash_is_logged_with_the_model_and_the_reason(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="farmgate"), pytest.raises(EngineUnavailable):
        await make("exits").lease()
    (message,) = [record.getMessage() for record in caplog.records if "engine_crashed" in record.getMessage()]
    assert "model=" in message
    assert "exited with code 3" in message
    assert "wait_s=0.5" in message


async def test_everybody_who_waits_for_a_failing_start_is_told(make: Make) -> None:
    supervisor = make("exits")
    outcomes = await asyncio.gather(*(supervisor.lease() for _ in range(5)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [EngineUnavailable] * 5
    assert len(engine_of(supervisor).launched) == 1


async def test_a_command_that_cannot_run_is_a_failed_start(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = make("serves")
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(EngineUnavailable, match="could not be started"):
        await supervisor.lease()


async def test_a_bug_in_an_engine_is_a_failed_start_too(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = make("serves")
    monkeypatch.setattr(FakeEngine, "launch", None)
    with pytest.raises(EngineUnavailable, match="could not be supervised"):
        await supervisor.lease()


async def test_a_process_that_never_gets_ready_is_killed_in_time(make: Make, time: FakeTime) -> None:
    supervisor = make("hangs")
    asking = asyncio.create_task(supervisor.lease())
    await time.until_asleep(180.0)
    pid = pid_of(supervisor)
    time.advance(180.0)
    with pytest.raises(EngineUnavailable, match="was not ready within 180 s"):
        await asking
    assert is_gone(pid)


async def test_a_line_without_an_end_is_a_failed_start(make: Make) -> None:
    supervisor = make("endless_line")
    with pytest.raises(EngineUnavailable, match="a line without an end"):
        await supervisor.lease()


async def test_what_an_engine_prints_later_does_not_block_it(make: Make) -> None:
    supervisor = make("babbles")
    (await supervisor.lease()).release()
    await until(lambda: "said it all" in supervisor._log_file.read_text())


def worker_of(supervisor: Supervisor) -> int:
    """A process that the engine has started, and that holds its output open."""
    return int(supervisor._log_file.read_text().rpartition("worker ")[2])


async def test_its_end_is_noticed_and_told_whatever_it_has_started(make: Make) -> None:
    supervisor = make("forks")
    await supervisor.lease()
    worker = worker_of(supervisor)
    os.kill(pid_of(supervisor), signal.SIGKILL)
    await becomes(supervisor, State.FAILED)
    await until(lambda: is_gone(worker))


async def test_a_start_that_fails_is_told_at_once_whatever_it_has_started(make: Make) -> None:
    supervisor = make("forks_and_exits")
    with pytest.raises(EngineUnavailable, match="exited with code 3 at its start"):
        await supervisor.lease()
    await until(lambda: is_gone(worker_of(supervisor)))


async def test_what_it_has_started_goes_with_it(make: Make) -> None:
    supervisor = make("forks")
    await supervisor.lease()
    worker = worker_of(supervisor)
    await supervisor.stop()
    await until(lambda: is_gone(worker))


async def test_a_crash_in_use_is_repaired_after_the_pause_and_waited_for(make: Make, time: FakeTime) -> None:
    supervisor = make("serves")
    (await supervisor.lease()).release(answered=True)
    lease = await supervisor.lease()
    pid = pid_of(supervisor)
    os.kill(pid, signal.SIGUSR1)
    await becomes(supervisor, State.FAILED)
    assert supervisor.failure == "was killed by SIGUSR1"
    asking = asyncio.create_task(supervisor.lease())
    await until(lambda: supervisor.leases.expected == 1)
    time.advance(0.5)
    other = await asking
    assert engine_of(supervisor).specs[0] == supervisor.spec
    assert pid_of(supervisor) != pid
    lease.release()
    other.release()
    assert supervisor.leases.in_flight == 0


async def test_one_that_keeps_crashing_is_waited_for_no_longer(make: Make, time: FakeTime) -> None:
    supervisor = make("serves")
    for pause_s in (0.5, 1.0, 2.0, 4.0):
        (await supervisor.lease()).release()
        os.kill(pid_of(supervisor), signal.SIGUSR1)
        await becomes(supervisor, State.FAILED)
        await time.until_asleep(pause_s)
        if pause_s < 4.0:
            time.advance(pause_s)
    time.advance(0.2)
    with pytest.raises(EngineUnavailable) as caught:
        await supervisor.lease()
    assert "was killed by SIGUSR1" in caught.value.message
    assert caught.value.retry_after_s == pytest.approx(3.8)


async def test_one_that_is_wanted_anew_has_a_clean_slate(make: Make, time: FakeTime) -> None:
    supervisor = make("serves")
    for _ in range(4):
        (await supervisor.lease()).release()
        supervisor.forgive()
        os.kill(pid_of(supervisor), signal.SIGUSR1)
        await becomes(supervisor, State.FAILED)
        await time.until_asleep(0.5)
        time.advance(0.5)


async def test_starts_that_fail_are_waited_for_while_their_pauses_are_short(make: Make, time: FakeTime) -> None:
    supervisor = make("serves", "exits")
    (await supervisor.lease()).release(answered=True)
    os.kill(pid_of(supervisor), signal.SIGUSR1)
    await becomes(supervisor, State.FAILED)
    asking = asyncio.create_task(supervisor.lease())
    for starts, pause_s in enumerate((0.5, 1.0, 2.0), start=1):
        await until(lambda starts=starts: (supervisor.starts, supervisor.state) == (starts, State.FAILED))  # type: ignore[misc]
        await time.until_asleep(pause_s)
        assert not asking.done()
        time.advance(pause_s)
    with pytest.raises(EngineUnavailable, match="exited with code 3 at its start") as caught:
        await asking
    assert caught.value.retry_after_s == 4.0


async def test_a_model_used_lately_comes_back_and_one_used_long_ago_does_not(make: Make, time: FakeTime) -> None:
    supervisor = make("serves")
    (await supervisor.lease()).release()
    time.advance(299.0)
    os.kill(pid_of(supervisor), signal.SIGUSR1)
    await time.until_asleep(0.5)
    time.advance(0.5)
    await becomes(supervisor, State.READY)

    time.advance(400.0)
    os.kill(pid_of(supervisor), signal.SIGUSR1)
    await time.until_asleep(0.5)
    time.advance(0.5)
    await becomes(supervisor, State.ON_DISK)
    assert len(engine_of(supervisor).launched) == 2


async def test_crashes_in_a_row_wait_longer_and_a_healthy_minute_forgets_them(make: Make, time: FakeTime) -> None:
    supervisor = make("exits", "exits", "serves")
    for wait_s in (0.5, 1.0):
        with pytest.raises(EngineUnavailable) as caught:
            await supervisor.lease()
        assert caught.value.retry_after_s == wait_s
        await time.until_asleep(wait_s)
        time.advance(wait_s)
        await becomes(supervisor, State.ON_DISK)
    (await supervisor.lease()).release()
    time.advance(60.0)
    os.kill(pid_of(supervisor), signal.SIGUSR1)
    await time.until_asleep(0.5)


async def test_one_that_answered_before_it_crashed_is_started_again_soon(make: Make, time: FakeTime) -> None:
    supervisor = make("serves")
    for _ in range(5):
        (await supervisor.lease()).release(answered=True)
        os.kill(pid_of(supervisor), signal.SIGUSR1)
        await becomes(supervisor, State.FAILED)
        await time.until_asleep(0.5)
        time.advance(0.5)
        await becomes(supervisor, State.READY)


async def test_a_caller_who_leaves_does_not_stop_the_start(make: Make) -> None:
    supervisor = make("serves")
    asking = asyncio.create_task(supervisor.lease())
    await until(lambda: supervisor.state is State.STARTING)
    asking.cancel()
    await asyncio.wait({asking})
    await becomes(supervisor, State.READY)
    assert supervisor.leases.in_flight == 0


async def test_closing_while_somebody_waits_tells_them_and_leaves_no_process(make: Make) -> None:
    supervisor = make("hangs")
    asking = asyncio.create_task(supervisor.lease())
    await until(lambda: supervisor.pid is not None)
    pid = pid_of(supervisor)
    await supervisor.close()
    assert is_gone(pid)
    async with asyncio.timeout(10):
        with pytest.raises(ShuttingDown):
            await asking
    with pytest.raises(ShuttingDown):
        await supervisor.lease()


async def test_closing_before_the_start_began_starts_nothing(make: Make) -> None:
    supervisor = make("serves")
    supervisor._begin()
    await supervisor.close()
    assert supervisor.state is State.ON_DISK
    assert engine_of(supervisor).launched == []


async def test_closing_during_the_pause_ends_it(make: Make, time: FakeTime) -> None:
    supervisor = make("exits")
    with pytest.raises(EngineUnavailable):
        await supervisor.lease()
    await time.until_asleep(0.5)
    await supervisor.close()
    assert supervisor.state is State.ON_DISK


async def test_the_log_starts_anew_with_each_process_and_the_one_before_is_kept(make: Make, time: FakeTime) -> None:
    supervisor = make("exits", "serves")
    with pytest.raises(EngineUnavailable):
        await supervisor.lease()
    await time.until_asleep(0.5)
    time.advance(0.5)
    await becomes(supervisor, State.ON_DISK)
    (await supervisor.lease()).release()
    log = supervisor._log_file
    assert "no such weights" not in log.read_text()
    assert "no such weights" in log.with_name(log.name + ".1").read_text()


async def test_the_child_gets_only_the_environment_it_is_given_and_no_socket_of_ours(make: Make) -> None:
    supervisor = make("serves")
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        (await supervisor.lease()).release()
        child = Path(f"/proc/{pid_of(supervisor)}")
        assert (child / "environ").read_bytes() == b""
        targets = [os.readlink(link) for link in (child / "fd").iterdir()]
        inode = os.fstat(server.sockets[0].fileno()).st_ino
        assert f"socket:[{inode}]" not in targets
        assert os.getsid(pid_of(supervisor)) == pid_of(supervisor)


# ------------------------------------------------------------------------------------------------ how it leaves


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


# -------------------------------------------------------------------------------------------- room, and warming


class Booked:
    """Room that writes down what happens in it."""

    def __init__(self, error: FarmError | None = None) -> None:
        self.told: list[str] = []
        self.error = error
        self.has_host = True

    @asynccontextmanager
    async def __call__(self, spec: Spec, keep: Keep) -> AsyncIterator[Booked]:
        if self.error is not None:
            raise self.error
        self.told.append("came")
        try:
            yield self
        finally:
            self.told.append("left")

    @property
    def environment(self) -> dict[str, str]:
        return {"CUDA_VISIBLE_DEVICES": "1"}

    def placed(self, spec: Spec) -> Spec:
        return spec

    def may_sleep(self) -> bool:
        self.told.append("may sleep")
        return self.has_host

    def asleep(self, pid: int) -> None:
        self.told.append("asleep")

    @asynccontextmanager
    async def waking(self, pid: int) -> AsyncIterator[None]:
        if self.error is not None:
            raise self.error
        self.told.append("waking")
        yield
        self.told.append("awake")

    def settle(self, pid: int) -> None:
        self.told.append(f"settled {not is_gone(pid)}")


async def test_it_has_its_room_as_long_as_its_process_lives(make: Make) -> None:
    room = Booked()
    supervisor = make("serves", room=room)
    (await supervisor.lease()).release()
    assert room.told == ["came", "settled True"]
    assert engine_of(supervisor).launched[0].environment == {"CUDA_VISIBLE_DEVICES": "1"}
    await supervisor.stop()
    assert room.told == ["came", "settled True", "left"]


async def test_a_crash_gives_the_room_back_before_the_pause(make: Make) -> None:
    room = Booked()
    supervisor = make("exits", room=room)
    with pytest.raises(EngineUnavailable):
        await supervisor.lease()
    assert room.told == ["came", "left"]


async def test_where_there_is_no_room_everybody_who_waits_is_told_at_once(make: Make) -> None:
    supervisor = make("serves", room=Booked(ModelTooLarge("it needs 9 MiB")))
    told = await asyncio.gather(*(supervisor.lease() for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in told] == ["it needs 9 MiB"] * 3
    assert len({id(error) for error in told}) == 3
    assert supervisor.state is State.ON_DISK
    assert supervisor.failure is None, "nothing crashed"
    with pytest.raises(ModelTooLarge):
        await supervisor.lease()
    assert supervisor.starts == 0


async def test_it_is_ready_once_it_has_answered(make: Make) -> None:
    asked: list[str] = []
    go = asyncio.Event()

    async def warm(spec: Spec, address: Address) -> None:
        asked.append(f"{spec.model} at {address.url}")
        await go.wait()

    supervisor = make("serves", warm=warm)
    asking = asyncio.create_task(supervisor.lease())
    await becomes(supervisor, State.WARMING)
    await until(lambda: bool(asked))
    assert not asking.done()
    go.set()
    (await asking).release()
    assert asked == ["tiny at http://127.0.0.1:1"]


async def test_one_that_comes_up_and_does_not_answer_has_failed(make: Make) -> None:
    async def warm(spec: Spec, address: Address) -> None:
        raise EngineDied("came up and answered nothing")

    supervisor = make("serves", warm=warm)
    with pytest.raises(EngineUnavailable, match="came up and answered nothing"):
        await supervisor.lease()


async def test_one_that_hangs_when_it_is_first_asked_is_killed_in_time(make: Make, time: FakeTime) -> None:
    async def warm(spec: Spec, address: Address) -> None:
        await asyncio.Event().wait()

    supervisor = make("serves", warm=warm)
    asking = asyncio.create_task(supervisor.lease())
    await becomes(supervisor, State.WARMING)
    time.advance(180.0)
    with pytest.raises(EngineUnavailable, match="was not ready within 180 s"):
        await asking


# ------------------------------------------------------------------------------------------------------- its sleep


class Bed:
    """Puts to sleep and wakes as a test says: `slow` holds it up until it is set."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.fails: set[str] = set()
        self.slow = asyncio.Event()
        self.slow.set()

    async def sleep(self, address: Address) -> None:
        await self._do("sleep")

    async def wake(self, address: Address) -> None:
        await self._do("wake")

    async def _do(self, what: str) -> None:
        self.told.append(what)
        await self.slow.wait()
        if what in self.fails:
            raise EngineDied(f"answered nothing when it was asked to {what}")


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
