"""Kept responses: found by their owner until they are deleted, too old or in the way; in memory and in files alike."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from farmgate.core.errors import Unavailable
from farmgate.core.ports import KeptResponse, Responses
from farmgate.stores import responses as module
from farmgate.stores.responses import DiskResponses, MemoryResponses, NoResponses
from farmgate.testing import FakeClock

DAY_S = 86_400.0
MIB = 1 << 20
Store = DiskResponses | MemoryResponses


def kept(
    id: str = "resp_1", *, created: float = 0.0, size: int = 10, items: tuple[str, ...] = ("msg_1",)
) -> KeptResponse:
    return KeptResponse(
        id=id,
        previous_id=None,
        provider="up",
        created_unix=int(created),
        item_ids=items,
        response=b'{"output":[]}',
        items=json.dumps(["x" * size]).encode(),
    )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "disk"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Store]:
    made: Store
    if request.param == "memory":
        made = MemoryResponses(keep_s=DAY_S, keep_bytes=MIB, clock=clock)
    else:
        made = disk(tmp_path, clock)
    yield made
    await made.close()


def disk(directory: Path, clock: FakeClock, failures: list[OSError] | None = None) -> DiskResponses:
    told = failures if failures is not None else []
    return DiskResponses(directory / "responses", keep_s=DAY_S, keep_bytes=MIB, clock=clock, failed=told.append)


async def test_what_is_kept_is_found_at_once_and_later(store: Store) -> None:
    store.keep("me", kept())
    assert await store.find("me", "resp_1") == kept()
    assert await store.find_item("me", "msg_1") == kept()
    await asyncio.sleep(0)
    assert await store.find("me", "resp_1") == kept()


async def test_nobody_finds_what_another_keeps(store: Store) -> None:
    store.keep("me", kept())
    assert await store.find("you", "resp_1") is None
    assert await store.find_item("you", "msg_1") is None
    assert await store.forget("you", "resp_1") is False
    store.keep("you", replace(kept(), provider=None))
    assert await store.find("me", "resp_1") == kept()


async def test_what_is_deleted_is_gone(store: Store) -> None:
    store.keep("me", kept())
    assert await store.forget("me", "resp_1") is True
    assert await store.find("me", "resp_1") is None
    assert await store.find_item("me", "msg_1") is None
    assert await store.forget("me", "resp_1") is False


async def test_what_is_too_old_is_gone_whether_somebody_asks_or_not(store: Store, clock: FakeClock) -> None:
    store.keep("me", kept("resp_1", created=clock()))
    clock.advance(DAY_S + 2)
    store.keep("me", kept("resp_2", created=clock()))
    assert await store.find("me", "resp_1") is None
    await store.tend()
    assert await store.forget("me", "resp_1") is False
    assert await store.find("me", "resp_2") is not None


async def test_the_longest_unused_gives_way_to_new_ones(store: Store) -> None:
    for name in ("resp_1", "resp_2", "resp_3"):
        store.keep("me", kept(name, size=300_000, items=(f"msg_{name}",)))
    assert await store.find("me", "resp_1") is not None
    store.keep("me", kept("resp_4", size=300_000))
    assert await store.find("me", "resp_2") is None
    assert await store.find_item("me", "msg_resp_2") is None
    assert await store.find("me", "resp_1") is not None
    assert await store.find("me", "resp_4") is not None


async def test_one_that_is_larger_than_all_the_room_is_not_kept_and_drives_nobody_out(store: Store) -> None:
    store.keep("me", kept("resp_1"))
    store.keep("me", kept("resp_2", size=2 * MIB))
    assert await store.find("me", "resp_2") is None
    assert await store.find("me", "resp_1") is not None


async def test_an_item_is_found_in_the_newest_response_it_is_in(store: Store) -> None:
    store.keep("me", kept("resp_1"))
    store.keep("me", kept("resp_2"))
    await store.forget("me", "resp_1")
    found = await store.find_item("me", "msg_1")
    assert found is not None
    assert found.id == "resp_2"


@pytest.mark.parametrize("id", ["../resp_1", "a/b", "", ".", "x" * 129, "a\0b", "a.json", "\udcff", "resp 1"])
async def test_no_id_leads_out_of_the_directory(store: Store, tmp_path: Path, id: str) -> None:
    (tmp_path / "resp_1.json").write_text("{}")
    store.keep("me", kept(id))
    assert await store.find("me", id) is None
    assert await store.forget("me", id) is False
    await store.close()
    assert not list(tmp_path.glob("responses/*/*"))


async def test_where_nothing_is_kept_nothing_is_found() -> None:
    store: Responses = NoResponses()
    store.keep("me", kept())
    assert not store.keeps
    assert await store.find("me", "resp_1") is None
    assert await store.find_item("me", "msg_1") is None
    assert await store.forget("me", "resp_1") is False


# ------------------------------------------------------------------------------------------------------------ files


async def test_files_outlive_the_process_and_are_nobody_else_s_to_read(tmp_path: Path, clock: FakeClock) -> None:
    first = disk(tmp_path, clock)
    first.keep("m/e \udcff", kept())
    await first.close()
    (path,) = tmp_path.glob("responses/*/*")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    second = disk(tmp_path, clock)
    assert await second.find("m/e \udcff", "resp_1") == kept()
    assert await second.find_item("m/e \udcff", "msg_1") == kept()
    assert await second.forget("m/e \udcff", "resp_1")
    await second.close()
    assert not path.exists()


async def test_another_gate_with_the_same_directory_finds_them_too(tmp_path: Path, clock: FakeClock) -> None:
    here, there = disk(tmp_path, clock), disk(tmp_path, clock)
    assert await there.find("me", "resp_1") is None
    here.keep("me", kept())
    await here.close()
    assert await there.find("me", "resp_1") == kept()
    assert await there.forget("me", "resp_1")
    await there.close()


async def test_old_files_are_deleted_when_nobody_asks(tmp_path: Path, clock: FakeClock) -> None:
    first = disk(tmp_path, clock)
    first.keep("me", kept(created=clock()))
    await first.close()
    clock.advance(DAY_S + 2)
    second = disk(tmp_path, clock)
    await second.tend()
    await second.close()
    assert not list(tmp_path.glob("responses/*/*"))


async def test_what_gave_way_is_deleted_from_the_disk(tmp_path: Path, clock: FakeClock) -> None:
    store = disk(tmp_path, clock)
    for number in range(6):
        store.keep("me", kept(f"resp_{number}", size=300_000))
    await store.close()
    assert sorted(path.stem for path in tmp_path.glob("responses/*/*")) == ["resp_3", "resp_4", "resp_5"]
    os.utime(next(tmp_path.glob("responses/*/resp_3.json")), (1, 1))
    smaller = DiskResponses(tmp_path / "responses", keep_s=DAY_S, keep_bytes=700_000, clock=clock)
    assert await smaller.find("me", "resp_5") is not None
    await smaller.close()
    assert sorted(path.stem for path in tmp_path.glob("responses/*/*")) == ["resp_4", "resp_5"]


async def test_files_that_make_no_sense_are_passed_over_and_drafts_cleared(tmp_path: Path, clock: FakeClock) -> None:
    store = disk(tmp_path, clock)
    store.keep("me", kept())
    await store.close()
    (path,) = tmp_path.glob("responses/*/*")
    for name, data in (("resp_2.json", b"{"), ("resp_3.json", b"[]"), ("resp_4.json", b"\xff"), ("x.draft", b"half")):
        (path.parent / name).write_bytes(data)
    again = disk(tmp_path, clock)
    assert await again.find("me", "resp_1") == kept()
    for number in (2, 3, 4):
        assert await again.find("me", f"resp_{number}") is None
    assert not (path.parent / "x.draft").exists()
    await again.close()


async def test_a_disk_that_takes_nothing_stops_no_answer(tmp_path: Path, clock: FakeClock) -> None:
    failures: list[OSError] = []
    (tmp_path / "responses").write_text("not a directory")
    store = disk(tmp_path, clock, failures)
    store.keep("me", kept())
    assert await store.find("me", "resp_2") is None
    async with asyncio.timeout(5):
        while not failures:
            await asyncio.sleep(0)
    assert await store.find("me", "resp_1") is None
    await store.close()


async def test_a_file_that_cannot_be_deleted_is_told(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[OSError] = []
    store = disk(tmp_path, clock, failures)
    store.keep("me", kept())

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module, "unlink", refuse)
    with pytest.raises(Unavailable):
        await store.forget("me", "resp_1")
    assert len(failures) == 1
    assert await store.find("me", "resp_1") == kept()
    await store.close()
