"""Ids: UUIDs of version 7 that sort by time."""

from __future__ import annotations

import time
import uuid

import pytest

from farmgate.core.ids import new_id


def test_an_id_is_a_uuid_of_version_7_made_now() -> None:
    before = time.time_ns() // 1_000_000
    told = uuid.UUID(new_id())
    after = time.time_ns() // 1_000_000
    assert (told.version, told.variant) == (7, uuid.RFC_4122)
    assert before <= told.int >> 80 <= after


def test_ids_sort_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    for ms in (0, 1, 1_000, 1_700_000_000_000, (1 << 48) - 1):
        monkeypatch.setattr(time, "time_ns", lambda ms=ms: ms * 1_000_000)
        ids.append(new_id())
    assert ids == sorted(ids)
    assert {len(each) for each in ids} == {32}


def test_ids_of_one_moment_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert len({new_id() for _ in range(10_000)}) == 10_000
