"""One process is started, watched, started again and ended."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path

import pytest
from tests.unit.engines.fakes import FakeEngine, FakeTime, becomes, until
from tests.unit.engines.supervising import Make, engine_of, is_gone, pid_of

from farmgate.core.errors import EngineUnavailable, ShuttingDown
from farmgate.engines.states import State
from farmgate.engines.supervisor import Supervisor


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


async def test_a_start_that_fails_tells_callers_how_and_operators_what_the_log_says(make: Make) -> None:
    supervisor = make("exits")
    with pytest.raises(EngineUnavailable) as caught:
        await supervisor.lease()
    assert "exited with code 3" in caught.value.message
    assert supervisor.failure is not None
    assert "no such weights" in supervisor.failure
    assert "no such weights" not in caught.value.message
    assert str(supervisor._log_file.parent) not in caught.value.message
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
