"""A version takes over from another: nobody is let down, and what fails changes nothing."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.engines.fakes import becomes, gguf, ignore, until
from tests.unit.engines.swapping import MIB, Bench

from farmgate.core.errors import EngineUnavailable, InvalidValue, ModelBusy, ModelNotFound, NotFound, ShuttingDown
from farmgate.core.ports import Purpose
from farmgate.engines.lifecycle import DRAIN_S
from farmgate.engines.release import Release
from farmgate.engines.states import State
from farmgate.engines.supervisor import Supervisor
from farmgate.engines.surroundings import Keep


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    await bench.engines.close()


def file_of(supervisor: Supervisor) -> str:
    return supervisor.spec.path.name


async def test_the_new_version_comes_up_beside_and_takes_over(bench: Bench) -> None:
    old = await bench.engines.lease("m")
    told: list[str] = []
    await bench.engines.swap("m", "2", lambda progress: told.append(progress.status))
    new = await bench.engines.lease("m")
    assert old.key != new.key
    assert bench.states == {"2": "ready", "1": "ready"}, "the old one ends what it has begun"
    assert file_of(bench.process("2")) == "two.gguf"
    assert bench.answering() == "2"
    assert told == ["starting m 2 beside", "m is 2 now"]


async def test_the_old_version_is_kept_a_while_and_then_leaves(bench: Bench) -> None:
    lease = await bench.engines.lease("m")
    await bench.engines.swap("m", "2", ignore)
    old = bench.process("1")
    bench.time.advance(5000.0)
    assert old.state is State.READY, "somebody is at it"
    lease.release()
    await bench.time.until_asleep(600.0)
    bench.time.advance(600.0)
    await becomes(old, State.ON_DISK)
    assert bench.process("2").state is State.READY


async def test_going_back_is_instant_while_the_old_version_is_kept(bench: Bench) -> None:
    first = await bench.engines.lease("m")
    await bench.engines.swap("m", "2", ignore)
    await bench.engines.rollback("m", ignore)
    again = await bench.engines.lease("m")
    assert again.key == first.key, "it is the same process"
    assert bench.process("1").left_s() is None, "and it stays, as before"
    await bench.engines.swap("m", "2", ignore)
    assert bench.process("2").starts == 1, "and so is the other, whichever word is used"


async def test_going_back_after_that_starts_it_anew(bench: Bench) -> None:
    (await bench.engines.lease("m")).release()
    await bench.engines.swap("m", "2", ignore)
    await bench.process("1").stop()
    await bench.engines.rollback("m", ignore)
    (await bench.engines.lease("m")).release()
    assert bench.answering() == "1"
    assert bench.process("1").starts == 2


async def test_going_back_to_one_that_rests_after_a_crash_does_not_wait_for_that(bench: Bench) -> None:
    (await bench.engines.lease("m")).release()
    await bench.engines.swap("m", "2", ignore)
    os.kill(bench.process("1").pid or 0, signal.SIGKILL)
    await becomes(bench.process("1"), State.FAILED)
    await bench.engines.rollback("m", ignore)
    (await bench.engines.lease("m")).release()
    assert bench.answering() == "1"


async def test_there_is_nothing_to_go_back_to_before_the_first_change(bench: Bench) -> None:
    with pytest.raises(NotFound, match="m has had no other version"):
        await bench.engines.rollback("m", ignore)


async def test_a_third_version_ends_the_first(bench: Bench) -> None:
    lease = await bench.engines.lease("m")
    first = bench.process("1")
    await bench.engines.swap("m", "2", ignore)
    await bench.engines.swap("m", "other", ignore)
    await becomes(first, State.DRAINING)
    lease.release()
    await becomes(first, State.ON_DISK)
    await until(lambda: "1" not in bench.states)
    assert bench.states == {"other": "ready", "2": "ready"}


async def test_the_same_version_can_be_loaded_anew(bench: Bench) -> None:
    before = await bench.engines.lease("m")
    await bench.engines.swap("m", None, ignore)
    after = await bench.engines.lease("m")
    assert before.key != after.key
    assert {one.version for one in bench.engines.states()} == {"1"}
    assert len(bench.engines.devices()[0].models) == 2, "each has its own room"


async def test_a_swap_to_what_answers_leaves_the_one_to_go_back_to(bench: Bench) -> None:
    (await bench.engines.lease("m")).release()
    await bench.engines.swap("m", "2", ignore)
    told: list[str] = []
    await bench.engines.swap("m", "2", lambda progress: told.append(progress.status))
    assert told == ["loading m", "m is ready"]
    assert bench.process("2").starts == 1
    await bench.engines.rollback("m", ignore)
    assert bench.answering() == "1"


async def test_a_swap_to_what_answers_loads_it_where_it_has_left(bench: Bench) -> None:
    await bench.engines.swap("m", "2", ignore)
    await bench.process("2").stop()
    await bench.engines.swap("m", "2", ignore)
    assert bench.process("2").state is State.READY


async def test_a_swap_to_what_answers_and_has_crashed_does_not_wait_for_its_rest(bench: Bench) -> None:
    await bench.engines.swap("m", "2", ignore)
    os.kill(bench.process("2").pid or 0, signal.SIGKILL)
    await becomes(bench.process("2"), State.FAILED)
    await bench.engines.swap("m", "2", ignore)
    (await bench.engines.lease("m")).release()
    assert bench.answering() == "2"


async def test_a_new_process_for_one_that_crashed_leaves_the_version_to_go_back_to(bench: Bench) -> None:
    await bench.engines.swap("m", "2", ignore)
    os.kill(bench.process("2").pid or 0, signal.SIGKILL)
    await becomes(bench.process("2"), State.FAILED)
    await bench.engines.swap("m", "2", ignore)
    await until(lambda: len(bench.engines.supervisors()) == 1)
    await bench.engines.rollback("m", ignore)
    assert bench.answering() == "1"


async def test_a_version_that_does_not_come_up_changes_nothing(bench: Bench) -> None:
    first = await bench.engines.lease("m")
    bench.engine._modes = ["exits"]
    with pytest.raises(EngineUnavailable, match="exited with code 3 at its start"):
        await bench.engines.swap("m", "2", ignore)
    assert (await bench.engines.lease("m")).key == first.key
    await until(lambda: bench.states == {"1": "ready"})
    bench.engine._modes = ["serves"]
    await bench.engines.swap("m", "2", ignore)
    assert bench.answering() == "2"


async def test_a_version_that_answers_wrongly_does_not_take_over(bench: Bench) -> None:
    asked: list[str] = []

    async def wrong(lease: object) -> None:
        asked.append(bench.answering())
        raise EngineUnavailable("it answered 'x'")

    first = await bench.engines.lease("m")
    deployment = bench.engines._deployments["m"]
    release = bench.engines._release(bench.engines._versions.labelled("m", "2"), Keep())
    with pytest.raises(EngineUnavailable, match="it answered 'x'"):
        await deployment.swap(release, ignore, check=wrong)
    assert asked == ["1"], "callers were still sent to the old one"
    assert (await bench.engines.lease("m")).key == first.key


async def test_a_version_killed_while_it_comes_up_changes_nothing(bench: Bench) -> None:
    first = await bench.engines.lease("m")
    bench.engine._modes = ["hangs"]
    swapping = asyncio.create_task(bench.engines.swap("m", "2", ignore))
    await until(lambda: "2" in bench.states and bench.process("2").pid is not None)
    os.kill(bench.process("2").pid or 0, signal.SIGKILL)
    with pytest.raises(EngineUnavailable, match="was killed by SIGKILL"):
        await swapping
    assert (await bench.engines.lease("m")).key == first.key


async def test_the_old_version_killed_meanwhile_does_not_stop_the_change(bench: Bench) -> None:
    (await bench.engines.lease("m")).release()
    await bench.engines.swap("m", "2", ignore)
    os.kill(bench.process("1").pid or 0, signal.SIGKILL)
    await becomes(bench.process("1"), State.FAILED)
    (await bench.engines.lease("m")).release()
    await bench.time.until_asleep(0.5)
    bench.time.advance(0.5)
    await becomes(bench.process("1"), State.ON_DISK)
    assert bench.process("1").starts == 1, "nobody is sent to it: it is not started again"


async def test_two_changes_at_a_time_are_refused(bench: Bench) -> None:
    (await bench.engines.lease("m")).release()
    bench.engine._modes = ["hangs"]
    first = asyncio.create_task(bench.engines.swap("m", "2", ignore))
    await until(lambda: "2" in bench.states)
    with pytest.raises(ModelBusy, match="m is being swapped already"):
        await bench.engines.swap("m", "other", ignore)
    first.cancel()
    await asyncio.wait({first})
    bench.engine._modes = ["serves"]
    await bench.engines.swap("m", "other", ignore)


async def test_who_waits_for_the_old_version_is_sent_to_the_new_one(bench: Bench) -> None:
    lease = await bench.engines.lease("m")
    leaving = asyncio.create_task(bench.process("1").leave(100.0))
    await becomes(bench.process("1"), State.DRAINING)
    waiting = asyncio.create_task(bench.engines.lease("m"))
    await until(lambda: bench.process("1").leases.expected == 1)
    await bench.engines.swap("m", "2", ignore)
    (await waiting).release()
    assert bench.process("2").leases.idle_s() == 0.0
    lease.release()
    await leaving


async def test_an_unknown_version_is_told_with_those_there_are(bench: Bench) -> None:
    with pytest.raises(InvalidValue, match=r"m has no version '9': there is 1, 2, one, other, two.*"):
        await bench.engines.swap("m", "9", ignore)
    for path in ("/etc/passwd", "../models/one", str(bench.folder / "models" / "one.gguf")):
        with pytest.raises(InvalidValue):
            await bench.engines.swap("m", path, ignore)
    with pytest.raises(ModelNotFound):
        await bench.engines.swap("nobody", "1", ignore)


async def test_a_swap_to_what_has_no_room_beside_changes_nothing(bench: Bench) -> None:
    bench.free = 300 * MIB
    first = await bench.engines.lease("m")
    swapping = asyncio.create_task(bench.engines.swap("m", "2", ignore))
    bench.free = 50 * MIB
    for _ in range(60):
        await bench.time.until_asleep(1.0)
        bench.time.advance(1.0)
    with pytest.raises(EngineUnavailable, match="needs 64 MiB, and what is loaded"):
        await swapping
    assert (await bench.engines.lease("m")).key == first.key, "it did not have to go for its own successor"


async def test_a_version_that_crashed_long_ago_and_has_no_room_is_told_to_have_none(bench: Bench) -> None:
    bench.free = 300 * MIB
    (await bench.engines.lease("m")).release()
    await bench.engines.swap("m", "2", ignore)
    os.kill(bench.process("1").pid or 0, signal.SIGKILL)
    await bench.time.until_asleep(0.5)
    bench.time.advance(0.5)
    await becomes(bench.process("1"), State.ON_DISK)
    bench.free = 50 * MIB
    going_back = asyncio.create_task(bench.engines.rollback("m", ignore))
    for _ in range(60):
        await bench.time.until_asleep(1.0)
        bench.time.advance(1.0)
    with pytest.raises(EngineUnavailable, match="needs 64 MiB, and what is loaded"):
        await going_back


async def test_unloading_ends_both_and_the_next_request_loads_what_answers(bench: Bench) -> None:
    (await bench.engines.lease("m")).release()
    await bench.engines.swap("m", "2", ignore)
    await bench.engines.unload("m")
    assert bench.states == {"2": "on_disk", "1": "on_disk"}
    assert bench.engines.devices()[0].models == {}
    (await bench.engines.lease("m")).release()
    assert bench.states == {"2": "ready", "1": "on_disk"}
    await bench.engines.unload("other")
    with pytest.raises(ModelNotFound):
        await bench.engines.unload("nobody")


async def test_a_model_is_listed_as_the_version_that_answers(bench: Bench) -> None:
    (bench.folder / "models" / "two.gguf").write_bytes(gguf(context=32, filler=100))
    first, second = (bench.store.known(name) for name in ("one", "two"))
    assert first is not None
    assert second is not None

    def told(name: str = "m") -> tuple[int | None, int | None, str | None]:
        info = next(info for info in bench.engines.models() if info.name == name)
        return info.context_tokens, info.size_bytes, info.description

    assert told() == (64, first.stat().st_size, "version 1")
    await bench.engines.swap("m", "2", ignore)
    assert told() == (32, second.stat().st_size, "version 2")
    await bench.engines.rollback("m", ignore)
    assert told() == (64, first.stat().st_size, "version 1")
    await bench.engines.swap("m", "two", ignore)
    assert told()[0] == 32, "a pulled model that its entry does not name"
    await bench.engines.swap("one", "two", ignore)
    assert told("one") == (32, second.stat().st_size, "version two"), "and a model without an entry"
    second.unlink()
    assert told() == (64, first.stat().st_size, "version 1"), "its files are gone: as it will be at the next start"


async def test_a_model_is_listed_with_the_time_that_it_has_left(bench: Bench) -> None:
    def told() -> tuple[bool | None, float | None]:
        info = next(info for info in bench.engines.models() if info.name == "m")
        return info.loaded, info.leaves_s

    assert told() == (False, None)
    (await bench.engines.lease("m")).release()
    assert told() == (True, None), "it stays"
    bench.engines.declare({"m": bench.declared(keep=Keep(ttl_s=60.0))})
    bench.time.advance(20.0)
    assert told() == (True, 40.0)
    (await bench.engines.lease("m", purpose=Purpose.EMBED)).release()
    assert told() == (True, 60.0), "of its processes the last one"


async def test_unloading_a_model_whose_files_are_gone_ends_what_runs_of_it(bench: Bench) -> None:
    lease = await bench.engines.lease("other")
    path = bench.store.known("other")
    assert path is not None
    path.unlink()
    leaving = asyncio.create_task(bench.engines.unload("other"))
    await until(lambda: [one.state for one in bench.engines.states()] == ["draining"])
    lease.release()
    await leaving
    assert bench.engines.states() == ()
    assert bench.engines.devices()[0].models == {}
    for unknown in (bench.engines.unload("other"), bench.engines.lease("other")):
        with pytest.raises(ModelNotFound):
            await unknown


async def test_who_only_loads_a_model_gives_up_when_it_is_unloaded(bench: Bench) -> None:
    bench.free = 0
    loading = asyncio.create_task(bench.engines.load("m", ignore))
    await bench.time.until_asleep(1.0)
    await bench.engines.unload("m")
    with pytest.raises(EngineUnavailable, match="m was unloaded before it had come up"):
        await loading
    assert bench.states == {"1": "on_disk"}
    asking = asyncio.create_task(bench.engines.lease("m"))
    await bench.time.until_asleep(1.0)
    await bench.engines.unload("m")
    bench.free = 1024 * MIB
    bench.time.advance(1.0)
    (await asking).release()
    assert bench.states == {"1": "ready"}, "whoever waits for an answer still has it"


async def test_who_gives_up_loading_leaves_nothing_behind(bench: Bench) -> None:
    loading = asyncio.create_task(bench.engines.load("m", ignore))
    await until(lambda: bench.states == {"1": "starting"})
    loading.cancel()
    await asyncio.wait({loading})
    await until(lambda: bench.states == {"1": "ready"})
    assert [one.in_flight + one.waiting for one in bench.engines.states()] == [0]


async def test_unloading_waits_for_those_who_are_at_it(bench: Bench) -> None:
    lease = await bench.engines.lease("m")
    unloading = asyncio.create_task(bench.engines.unload("m"))
    await bench.time.until_asleep(DRAIN_S)
    lease.release()
    await unloading


async def test_unloading_waits_for_versions_that_are_on_their_way_out(bench: Bench) -> None:
    lease = await bench.engines.lease("m")
    first = bench.process("1")
    await bench.engines.swap("m", "2", ignore)
    await bench.engines.swap("m", "other", ignore)
    await becomes(first, State.DRAINING)
    unloading = asyncio.create_task(bench.engines.unload("m"))
    await until(lambda: bench.states == {"1": "draining", "2": "on_disk", "other": "on_disk"})
    assert not unloading.done()
    lease.release()
    await unloading
    assert first.state is State.ON_DISK


# -------------------------------------------------------------------------------------------------- memory


async def test_a_model_leaves_for_another_when_both_do_not_fit(bench: Bench) -> None:
    bench.free = 100 * MIB + int(1024 * MIB * 0.1)
    (await bench.engines.lease("one")).release()
    held = bench.engines.devices()[0].models
    assert list(held) == ["one@one (generate)"]
    bench.free -= 70 * MIB
    asking = asyncio.create_task(bench.engines.lease("two"))
    await bench.time.until_asleep(0.25)
    assert bench.states == {"one": "on_disk", "two": "starting"}
    bench.free += 70 * MIB
    bench.time.advance(0.25)
    (await asking).release()
    assert list(bench.engines.devices()[0].models) == ["two@two (generate)"]


async def test_nothing_is_lent_after_the_end(bench: Bench) -> None:
    (await bench.engines.lease("m")).release()
    await bench.engines.swap("m", "2", ignore)
    pids = [one.pid for one in bench.engines.supervisors() if one.pid is not None]
    assert len(pids) == 2
    await bench.engines.close()
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    with pytest.raises(ShuttingDown):
        await bench.engines.lease("m")
    with pytest.raises(ShuttingDown):
        await bench.engines.swap("m", "1", ignore)


async def test_a_swap_in_its_middle_starts_nothing_after_the_end(bench: Bench) -> None:
    (await bench.engines.lease("m")).release()
    (await bench.engines.lease("m", purpose=Purpose.EMBED)).release()
    deployment = bench.engines._deployments["m"]
    release = bench.engines._release(bench.engines._versions.labelled("m", "2"), Keep())

    async def check(_: object) -> None:
        await bench.engines.close()

    with pytest.raises(ShuttingDown):
        await deployment.swap(release, ignore, check=check)
    assert [one.pid for one in (*bench.engines.supervisors(), *release.supervisors.values()) if one.pid] == []


async def test_the_end_waits_for_no_one_and_leaves_nothing_of_a_model_that_was_taken_out(bench: Bench) -> None:
    await bench.engines.lease("m")
    process = bench.process("1")
    bench.engines.declare({})
    await bench.time.until_asleep(DRAIN_S)
    assert [(one.state, one.answers) for one in bench.engines.states()] == [("draining", False)], "it is still seen"
    await bench.engines.close()
    assert process.state is State.ON_DISK


async def test_a_model_that_is_taken_out_at_the_very_end_ends_too(bench: Bench) -> None:
    await bench.engines.lease("m")
    process = bench.process("1")
    bench.engines.declare({})
    await bench.engines.close()
    assert process.state is State.ON_DISK


async def test_every_purpose_that_runs_is_swapped(bench: Bench) -> None:
    (await bench.engines.lease("m")).release()
    (await bench.engines.lease("m", purpose=Purpose.EMBED)).release()
    await bench.engines.swap("m", "2", ignore)
    ready = [(one.version, one.purpose) for one in bench.engines.states() if one.answers and one.state == "ready"]
    assert ready == [("2", "generate"), ("2", "embed")]
    assert isinstance(bench.engines._deployments["m"].current, Release)
