"""A new configuration: what it does not change goes on, what it changes takes over, and only what runs is started."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.engines.fakes import becomes, gguf, ignore, until
from tests.unit.engines.swapping import Bench

from farmgate.core.errors import EngineUnavailable, ModelNotFound
from farmgate.engines.declared import Declared, Question
from farmgate.engines.hours import parse_hours
from farmgate.engines.states import State
from farmgate.engines.surroundings import Keep


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    await bench.engines.close()


async def test_what_is_not_pulled_yet_says_how_to_get_it(bench: Bench) -> None:
    bench.engines.declare({"m": bench.declared(versions={"1": "hf:owner/name", "2": "one"})})
    with pytest.raises(ModelNotFound, match="'hf:owner/name', which is not pulled yet: farmgate pull m"):
        await bench.engines.lease("m")
    (bench.folder / "models" / "owner--name.gguf").write_bytes(gguf())
    lease = await bench.engines.lease("m")
    assert bench.engine.specs[-1].path.name == "owner--name.gguf"
    lease.release()


async def test_a_pulled_checkpoint_is_for_the_engine_of_checkpoints(bench: Bench) -> None:
    folder = bench.folder / "models" / "owner--name"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"x")
    with pytest.raises(EngineUnavailable, match="there is no engine 'transformers'"):
        await bench.engines.lease("owner--name")


async def test_who_has_no_use_for_a_setting_of_checkpoints_says_so(bench: Bench) -> None:
    bench.engines.declare({"m": bench.declared(versions={"1": "one"}, quantize="4bit")})
    with pytest.raises(EngineUnavailable, match="m is served by fake: take `dtype` and `quantize` away"):
        await bench.engines.lease("m")


async def test_what_a_new_configuration_does_not_change_goes_on(bench: Bench) -> None:
    first = await bench.engines.lease("m")
    bench.engines.declare({"m": bench.declared(keep=Keep(ttl_s=5.0, pinned=True), kept_s=1.0)})
    assert bench.process("1").keep == Keep(ttl_s=5.0, pinned=True)
    assert (await bench.engines.lease("m")).key == first.key


async def test_a_new_size_is_a_new_process_of_the_version_that_answers(bench: Bench) -> None:
    (await bench.engines.lease("m")).release()
    await bench.engines.swap("m", "2", ignore)
    bench.engines.declare({"m": bench.declared(parallel=3)})
    await until(lambda: bench.engine.specs[-1].parallel == 3)
    await until(lambda: not bench.engines._tasks)
    assert bench.answering() == "2", "who swapped by hand keeps it"


async def test_a_new_version_in_the_configuration_takes_over(bench: Bench) -> None:
    (await bench.engines.lease("m")).release()
    bench.engines.declare({"m": bench.declared(version="2")})
    await until(lambda: bench.answering() == "2")
    assert bench.states == {"2": "ready", "1": "ready"}


async def test_a_change_of_a_model_that_does_not_run_starts_nothing(bench: Bench) -> None:
    (await bench.engines.lease("m")).release()
    await bench.engines.unload("m")
    bench.engines.declare({"m": bench.declared(version="2", parallel=3)})
    assert not bench.engines._tasks
    assert "ready" not in bench.states.values()
    (await bench.engines.lease("m")).release()
    assert (bench.answering(), bench.process("2").spec.parallel, len(bench.engine.specs)) == ("2", 3, 2)
    await bench.engines.rollback("m", ignore)
    assert bench.answering() == "1"


async def test_one_that_does_not_run_is_asked_first_where_its_owner_wants_that(bench: Bench) -> None:
    (await bench.engines.lease("m")).release()
    await bench.engines.unload("m")
    bench.engines.declare({"m": bench.declared(version="2", question=Question(ask="Who?", expect="me"))})
    await until(lambda: not bench.engines._tasks)
    assert bench.answering() == "1", "it did not answer, and the other stays"
    assert len(bench.engine.specs) == 2


async def test_a_version_that_is_taken_back_while_it_comes_up_does_not_stay(bench: Bench) -> None:
    (await bench.engines.lease("m")).release()
    bench.engines.declare({"m": bench.declared(version="2")})
    await until(lambda: bench.states == {"1": "ready", "2": "starting"})
    bench.engines.declare({"m": bench.declared()})
    await until(lambda: not bench.engines._tasks)
    assert bench.answering() == "1"


async def test_a_version_that_is_taken_back_at_once_is_not_started(bench: Bench) -> None:
    (await bench.engines.lease("m")).release()
    bench.engines.declare({"m": bench.declared(version="2")})
    bench.engines.declare({"m": bench.declared()})
    await until(lambda: not bench.engines._tasks)
    assert bench.states == {"1": "ready"}


async def test_where_the_version_chosen_by_hand_is_no_more_that_of_the_configuration_answers(bench: Bench) -> None:
    versions = {"1": "one", "b": "two"}
    bench.engines.declare({"m": bench.declared(versions=versions)})
    (await bench.engines.lease("m")).release()
    await bench.engines.swap("m", "b", ignore)
    bench.engines.declare({"m": bench.declared(versions={"1": "one"})})
    await until(lambda: not bench.engines._tasks)
    assert bench.answering() == "1"


async def test_a_version_that_did_not_come_up_is_tried_again_when_its_files_are_others(bench: Bench) -> None:
    (await bench.engines.lease("m")).release()
    bench.engine._modes = ["exits"]
    bench.engines.declare({"m": bench.declared(version="2")})
    await until(lambda: not bench.engines._tasks)
    assert bench.answering() == "1"
    bench.engine._modes = ["serves"]
    bench.engines.declare({"m": bench.declared(version="2", versions={"1": "one", "2": "other"})})
    await until(lambda: not bench.engines._tasks)
    assert bench.answering() == "2", "nobody has chosen the old one"


async def test_a_version_gone_back_to_by_hand_is_kept_and_one_that_failed_is_not(bench: Bench) -> None:
    (await bench.engines.lease("m")).release()
    await bench.engines.swap("m", "2", ignore)
    await bench.engines.rollback("m", ignore)
    bench.engine._modes = ["exits"]
    with pytest.raises(EngineUnavailable):
        await bench.engines.swap("m", "other", ignore)
    bench.engine._modes = ["serves"]
    bench.engines.declare({"m": bench.declared(parallel=3)})
    await until(lambda: not bench.engines._tasks)
    assert bench.answering() == "1"


async def test_a_new_version_that_does_not_come_up_leaves_the_old_one(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    (await bench.engines.lease("m")).release()
    bench.engine._modes = ["exits"]
    bench.engines.declare({"m": bench.declared(version="2")})
    await until(lambda: "model_not_changed" in caplog.text)
    assert bench.answering() == "1"


async def test_a_model_that_is_taken_out_ends_what_it_has_begun(bench: Bench) -> None:
    lease = await bench.engines.lease("m")
    process = bench.process("1")
    bench.engines.declare({})
    await becomes(process, State.DRAINING)
    with pytest.raises(ModelNotFound):
        await bench.engines.lease("m")
    lease.release()
    await becomes(process, State.ON_DISK)
    assert "m" not in {info.name for info in bench.engines.models()}


async def test_who_waits_for_a_model_that_is_taken_out_is_told_that_it_is_not_there(bench: Bench) -> None:
    bench.engine._modes = ["hangs"]
    asking = asyncio.create_task(bench.engines.lease("m"))
    loading = asyncio.create_task(bench.engines.load("m", ignore))
    swapping = asyncio.create_task(bench.engines.swap("m", "2", ignore))
    await until(lambda: bench.states == {"1": "starting", "2": "starting"})
    bench.engines.declare({})
    for task in (asking, loading, swapping):
        with pytest.raises(ModelNotFound):
            await task


async def test_who_waits_for_a_model_that_comes_back_at_once_has_it(bench: Bench) -> None:
    bench.engine._modes = ["hangs", "serves"]
    asking = asyncio.create_task(bench.engines.lease("m"))
    await until(lambda: bench.states == {"1": "starting"})
    bench.engines.declare({})
    bench.engines.declare({"m": bench.declared(version="2")})
    (await asking).release()
    assert bench.answering() == "2"


async def test_a_version_is_what_the_configuration_says_of_it_now(bench: Bench) -> None:
    (await bench.engines.lease("m")).release()
    await bench.engines.swap("m", "2", ignore)
    await bench.engines.swap("m", "1", ignore)
    bench.engines.declare({"m": bench.declared(versions={"1": "one", "2": "other"})})
    await bench.engines.swap("m", "2", ignore)
    assert [one.spec.path.name for one in bench.engines.supervisors()][:1] == ["other.gguf"]


async def test_one_that_is_wanted_at_the_start_is_loaded_at_once(bench: Bench) -> None:
    bench.engines.declare({"n": Declared(name="n", versions={"1": "one"}, version="1", prewarm=True)})
    await until(lambda: bench.states == {"1": "ready"})
    infos = {info.name: info.loaded for info in bench.engines.models()}
    assert infos == {"n": True, "one": False, "other": False, "two": False}


async def test_it_is_kept_loaded_in_its_hours_and_leaves_behind_them(bench: Bench) -> None:
    bench.engines.declare({"m": bench.declared(hours=(parse_hours("08:00-18:00"),), keep=Keep(ttl_s=1.0))})
    keeping = asyncio.create_task(bench.engines.keep_hours())
    await bench.time.until_asleep(20.0)
    assert bench.states == {}
    bench.now = bench.now.replace(hour=8, minute=0)
    bench.time.advance(20.0)
    await until(lambda: bench.states == {"1": "ready"})
    await bench.time.until_asleep(20.0)
    bench.time.advance(20.0)
    await bench.time.until_asleep(20.0)
    assert bench.process("1").left_s() is None, "and whatever its time is, it stays"
    bench.now = bench.now.replace(hour=18)
    bench.time.advance(20.0)
    await until(lambda: bench.states == {"1": "on_disk"})
    keeping.cancel()


async def test_in_its_hours_it_stays_from_the_first_moment_and_through_a_new_configuration(bench: Bench) -> None:
    hours, keep = (parse_hours("07:00-18:00"),), Keep(ttl_s=1.0)
    bench.engines.declare({"m": bench.declared(hours=hours, keep=keep)})
    keeping = asyncio.create_task(bench.engines.keep_hours())
    await until(lambda: bench.states == {"1": "ready"})
    assert bench.process("1").left_s() is None
    bench.engines.declare({"m": bench.declared(hours=hours, keep=keep, queue=3)})
    assert bench.process("1").left_s() is None
    keeping.cancel()


async def test_files_that_are_not_there_are_told(bench: Bench) -> None:
    bench.engines.declare({"m": bench.declared(versions={"1": "nowhere.gguf"})})
    with pytest.raises(ModelNotFound, match=r"the files of m 1 are not there: models.m names 'nowhere.gguf'"):
        await bench.engines.lease("m")
    assert "m" not in {info.name for info in bench.engines.models()}


async def test_an_engine_that_there_is_not_is_told(bench: Bench) -> None:
    bench.engines.declare({"m": bench.declared(engine="abacus")})
    with pytest.raises(EngineUnavailable, match="there is no engine 'abacus': there is llamacpp"):
        await bench.engines.lease("m")


async def test_a_device_that_there_is_not_is_told(bench: Bench) -> None:
    bench.engines.declare({"m": bench.declared(device="gpu7")})
    with pytest.raises(EngineUnavailable, match="there is no device 'gpu7' for it here: there is cpu"):
        await bench.engines.lease("m")
