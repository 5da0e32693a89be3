"""Pulls that are cut, lied to, put off or short of room, against two real HTTP servers on loopback."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import resource
from collections import deque
from functools import partial
from pathlib import Path

import pytest
from tests.fakes.hub import FakeHub, corrupt, cut, drip, hold, longer, refuses, reset, running, says, sends_to
from tests.unit.engines.fakes import gguf, ignore, until
from tests.unit.engines.pulling.stores import MODEL, Waits, is_as_large, store, visible

from farmgate.core.errors import ModelBusy, Unavailable
from farmgate.core.ports import Progress

# -------------------------------------------------------------------------------------------------- cut and resumed


@pytest.mark.parametrize("seed", range(4))
async def test_cut_at_many_places_it_comes_whole_and_no_byte_comes_twice(
    fake: FakeHub, tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    counts = [draw.randrange(1, 60_000) for _ in range(30)]
    fake.faults.extend(draw.choice((cut, reset))(count) for count in counts)
    await store(tmp_path, fake).fetch("hf:owner/name", ignore)
    assert (tmp_path / "owner--name.gguf").read_bytes() == MODEL
    starts = [asked.start for asked in fake.of_files()]
    assert starts == sorted(starts)
    assert len(starts) > 10


async def test_a_server_that_gives_little_at_a_time_is_borne_with(fake: FakeHub, tmp_path: Path) -> None:
    fake.faults.append(drip)
    await store(tmp_path, fake).fetch("hf:owner/name", ignore)
    assert (tmp_path / "owner--name.gguf").read_bytes() == MODEL


async def test_one_that_falls_silent_is_left_and_asked_for_the_rest(fake: FakeHub, tmp_path: Path) -> None:
    fake.faults.append(hold(1000))
    await store(tmp_path, fake, stall_s=0.2).fetch("hf:owner/name", ignore)
    assert (tmp_path / "owner--name.gguf").read_bytes() == MODEL
    assert [asked.start for asked in fake.of_files()] == [0, 1000]


async def test_a_pull_that_was_given_up_goes_on_from_where_it_was_and_was_never_a_model(
    fake: FakeHub, tmp_path: Path
) -> None:
    for source, name, file in (
        ("hf:owner/name", "a", "name-Q4_K_M.gguf"),
        ("hf:owner/whole", "b", "model.safetensors"),
    ):
        fake.faults_of[file] = deque([hold(100_000)])
        fake.reached.clear()
        models = store(tmp_path, fake)
        pulling = asyncio.create_task(models.fetch(source, ignore, name=name))
        await asyncio.to_thread(fake.reached.wait, 20)
        await until(partial(is_as_large, tmp_path / f".{name}.part" / "files" / file, 100_000))
        assert models.known(name) is None
        pulling.cancel()
        await asyncio.wait({pulling})
        assert pulling.cancelled()
        assert models.models() == ()
        before = len(fake.of_files())
        told: list[Progress] = []
        await store(tmp_path, fake).fetch(source, told.append, name=name)
        assert 100_000 in [asked.start for asked in fake.of_files()[before:]]
        first = next(progress for progress in told if progress.total is not None)
        assert 100_000 <= first.completed < (first.total or 0)
        models.remove(name)


async def test_what_was_left_of_another_commit_is_not_gone_on_with(fake: FakeHub, tmp_path: Path) -> None:
    fake.faults.extend([cut(100_000), *[refuses(404)] * 2])
    with pytest.raises(Unavailable):
        await store(tmp_path, fake).fetch("hf:owner/name", ignore)
    changed = gguf(context=5, filler=600_000)
    fake.change("owner/name", {"name-Q4_K_M.gguf": changed})
    fake.faults.clear()
    before = len(fake.of_files())
    await store(tmp_path, fake).fetch("hf:owner/name", ignore)
    assert (tmp_path / "owner--name.gguf").read_bytes() == changed
    assert [asked.start for asked in fake.of_files()[before:]] == [0]


async def test_several_files_come_at_once_and_not_more_than_four(fake: FakeHub, tmp_path: Path) -> None:
    parts = {f"model-{number:05}-of-00012.safetensors": bytes(3000 + number) for number in range(1, 13)}
    fake.add("owner/many", {"config.json": b"{}", **parts})
    fake.faults.extend([hold(1)] * 13)  # less than the smallest has: who has all of a file may ask for the next
    pulling = asyncio.create_task(store(tmp_path, fake).fetch("hf:owner/many", ignore))
    await asyncio.to_thread(fake.wait_for, 4)
    fake.release.set()
    await pulling
    assert fake.most_at_once == 4


# ------------------------------------------------------------------------------------------------ what is not believed


async def test_bytes_that_are_not_the_right_ones_are_thrown_away(fake: FakeHub, tmp_path: Path) -> None:
    fake.faults.append(corrupt)
    with pytest.raises(Unavailable, match="its hash is not the expected one"):
        await store(tmp_path, fake).fetch("hf:owner/name", ignore)
    assert visible(tmp_path) == []
    await store(tmp_path, fake).fetch("hf:owner/name", ignore)
    assert (tmp_path / "owner--name.gguf").read_bytes() == MODEL


async def test_a_bad_beginning_costs_one_more_try(fake: FakeHub, tmp_path: Path) -> None:
    fake.faults.extend([cut(50_000), *[refuses(404)] * 2])
    with pytest.raises(Unavailable):
        await store(tmp_path, fake).fetch("hf:owner/name", ignore)
    (left,) = (tmp_path / ".owner--name.part" / "files").iterdir()
    left.write_bytes(bytes(50_000))
    fake.faults.clear()
    await store(tmp_path, fake).fetch("hf:owner/name", ignore)
    assert (tmp_path / "owner--name.gguf").read_bytes() == MODEL


async def test_a_small_file_is_checked_by_gits_own_hash(fake: FakeHub, tmp_path: Path) -> None:
    fake.faults_of["config.json"] = deque([corrupt])
    with pytest.raises(Unavailable, match=r"config\.json did not send what it should"):
        await store(tmp_path, fake).fetch("hf:owner/whole", ignore)
    assert visible(tmp_path) == []


async def test_a_file_of_another_size_is_refused(fake: FakeHub, tmp_path: Path) -> None:
    fake.faults.append(longer)
    with pytest.raises(Unavailable, match=f"has {len(MODEL) + 1} bytes and not the {len(MODEL)} expected"):
        await store(tmp_path, fake).fetch("hf:owner/name", ignore)
    assert visible(tmp_path) == []


async def test_what_is_called_gguf_and_is_none_is_refused(fake: FakeHub, tmp_path: Path) -> None:
    fake.add("owner/page", {"model.gguf": b"<html>" * 1000})
    with pytest.raises(Unavailable, match="does not begin as GGUF files do"):
        await store(tmp_path, fake).fetch("hf:owner/page", ignore)
    assert visible(tmp_path) == []


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"sha": "main", "siblings": []}'])
async def test_an_answer_that_is_no_hubs_is_told(fake: FakeHub, tmp_path: Path, body: bytes) -> None:
    fake.api_faults.append(says(body))
    with pytest.raises(Unavailable, match="hf:owner/name could not be fetched: "):
        await store(tmp_path, fake).fetch("hf:owner/name", ignore)


# -------------------------------------------------------------------------------------------------- patience


async def test_a_hub_that_asks_to_wait_is_waited_for(fake: FakeHub, tmp_path: Path) -> None:
    waits = Waits()
    fake.api_faults.extend([refuses(429, Retry_After="7"), refuses(429, RateLimit='"api";r=0;t=55'), refuses(503)])
    fake.faults.extend([refuses(429, Retry_After="3"), cut(1000), refuses(503, Retry_After="2")])
    told: list[Progress] = []
    await store(tmp_path, fake, wait=waits).fetch("hf:owner/name", told.append)
    assert (tmp_path / "owner--name.gguf").read_bytes() == MODEL
    assert waits.seconds == [7, 55, 4, 3, 2]
    waited = [one.status for one in told if "before the next try" in one.status]
    assert waited == [f"waiting {seconds} s before the next try" for seconds in (7, 55, 4, 3, 2)]


async def test_one_that_is_always_busy_is_given_up(fake: FakeHub, tmp_path: Path) -> None:
    waits = Waits()
    fake.faults.extend([refuses(429, Retry_After="1")] * 20)
    with pytest.raises(Unavailable, match="answered 429") as failed:
        await store(tmp_path, fake, wait=waits).fetch("hf:owner/name", ignore)
    assert waits.seconds == [1] * 5
    assert "the same command goes on from there" in failed.value.message


async def test_without_a_network_it_says_what_to_do(tmp_path: Path) -> None:
    with running() as gone:
        pass
    with pytest.raises(Unavailable) as failed:
        await store(tmp_path, gone).fetch("hf:owner/name", ignore)
    assert "refused" in failed.value.message
    assert "Without a network: copy the model here and take it by its path" in failed.value.message
    assert "HF_ENDPOINT names a mirror" in failed.value.message


@pytest.mark.parametrize("where", ["ftp://127.0.0.1/x", "file:///etc/passwd"])
async def test_a_redirect_out_of_the_web_is_not_followed(fake: FakeHub, tmp_path: Path, where: str) -> None:
    fake.faults.append(sends_to(where))
    with pytest.raises(Unavailable, match=r"which is not followed|answered 302"):
        await store(tmp_path, fake).fetch("hf:owner/name", ignore)


# -------------------------------------------------------------------------------------------------- room, and others


async def test_what_does_not_fit_the_disk_is_refused_before_the_first_byte(fake: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"owner--name needs 67\.8 MB more in .*, and 1\.0 MB are free") as refused:
        await store(tmp_path, fake, free=1_000_000).fetch("hf:owner/name", ignore)
    assert "farmgate rm" in refused.value.message
    assert fake.of_files() == []


async def test_a_disk_that_is_full_on_the_way_is_told_once_and_the_rest_comes_later(
    fake: FakeHub, tmp_path: Path
) -> None:
    waits = Waits()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        with pytest.raises(Unavailable, match="cannot be written to: File too large"):
            await store(tmp_path, fake, wait=waits).fetch("hf:owner/name", ignore)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (waits.seconds, len(fake.of_files())) == ([], 1)
    await store(tmp_path, fake).fetch("hf:owner/name", ignore)
    assert (tmp_path / "owner--name.gguf").read_bytes() == MODEL
    assert fake.of_files()[-1].start > 200_000


async def test_a_directory_that_cannot_be_written_to_is_told(fake: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot be written to"):
        await store(tmp_path / "file" / "models", fake).fetch("hf:owner/name", ignore)


async def test_many_who_ask_share_one_pull_and_all_see_it_move(fake: FakeHub, tmp_path: Path) -> None:
    fake.faults.append(hold(10_000))
    models = store(tmp_path, fake)
    told: list[list[Progress]] = [[] for _ in range(5)]
    pulls = [asyncio.create_task(models.fetch("hf:owner/name", each.append)) for each in told]
    await until(lambda: all(any(one.completed for one in each) for each in told))
    with pytest.raises(ModelBusy, match="owner--name is being pulled from hf:owner/name now"):
        await models.fetch("hf:owner/whole", ignore, name="owner--name")
    fake.release.set()
    assert set(await asyncio.gather(*pulls)) == {"owner--name"}
    assert len(fake.of_files()) == 1
    assert all(each[-1].status == "verifying" for each in told)


async def test_two_stores_as_two_processes_take_turns(fake: FakeHub, tmp_path: Path) -> None:
    fake.faults.append(hold(10_000))
    told: list[Progress] = []
    first = asyncio.create_task(store(tmp_path, fake).fetch("hf:owner/name", ignore))
    await asyncio.to_thread(fake.reached.wait, 20)
    second = asyncio.create_task(store(tmp_path, fake).fetch("hf:owner/name", told.append))
    await until(lambda: any("waiting for another Farmgate" in one.status for one in told))
    fake.release.set()
    await asyncio.gather(first, second)
    assert len(fake.of_files()) == 1
    assert told[-1].status.endswith("is what is here")


async def test_killed_between_note_and_place_the_same_command_ends_it(fake: FakeHub, tmp_path: Path) -> None:
    models = store(tmp_path, fake)
    await models.fetch("hf:owner/name", ignore)
    part = tmp_path / ".owner--name.part"
    (part / "files").mkdir(parents=True)
    os.rename(tmp_path / "owner--name.gguf", part / "files" / "name-Q4_K_M.gguf")
    digest = hashlib.sha256(MODEL).hexdigest()
    (part / "plan.json").write_text(json.dumps({"name-Q4_K_M.gguf": [len(MODEL), digest, None, None]}))
    assert models.known("owner--name") is None
    before = len(fake.of_files())
    await store(tmp_path, fake).fetch("hf:owner/name", ignore)
    assert (tmp_path / "owner--name.gguf").read_bytes() == MODEL
    assert len(fake.of_files()) == before


async def test_rm_takes_what_a_pull_left(fake: FakeHub, tmp_path: Path) -> None:
    fake.faults.extend([cut(100), *[refuses(404)] * 2])
    models = store(tmp_path, fake)
    with pytest.raises(Unavailable):
        await models.fetch("hf:owner/name", ignore)
    assert (tmp_path / ".owner--name.part").exists()
    models.remove("owner--name")
    assert [path.name for path in tmp_path.iterdir()] == [".owner--name.lock"]
