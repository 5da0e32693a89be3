"""The quick rows of the fault matrix. `make faults` tries all of them and writes docs/faults.md."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.faults.board import line, page, peer_page
from tests.faults.matrix import ROWS
from tests.faults.peers import models
from tests.faults.rig import judged
from tests.faults.running import Result, run
from tests.faults.words import COMBOS, Combo, Expected, Kind, Outcome, Surface, broken, refused, whole


async def test_the_quick_rows_pass(tmp_path: Path) -> None:
    quick = [row for row in ROWS if row.is_quick]
    # Beside other tests: none of these rows is about time.
    results = await run(tmp_path, quick, slack=20.0)
    assert [fault for result in results for fault in result.faults] == []
    assert len(quick) > 8
    assert sum(result.cases for result in results) > 150


def test_every_row_is_there_once_and_is_tried_or_says_for_what_it_waits() -> None:
    assert [row.number for row in ROWS] == list(range(1, 53))
    assert all(bool(row.faults or row.specials) != bool(row.waits) for row in ROWS)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome(Kind.SILENT, ["m-0 "]), whole()),
        (Outcome(Kind.SILENT), broken("upstream_stream_truncated")),
        (Outcome(Kind.ODD), refused(502, calls=(1, 0))),
        (Outcome(Kind.WHOLE, ["m-0 m-1 "]), refused(502, calls=(1, 0))),
        (Outcome(Kind.REFUSED, status=500), refused(502, calls=(1, 0))),
        (Outcome(Kind.REFUSED, status=502, code="other"), refused(502, "upstream_error", calls=(1, 0))),
        (Outcome(Kind.BROKEN, ["n-0 "], status=200, code="a"), broken("a")),
        (Outcome(Kind.BROKEN, ["m-0 "], status=200, code="a", raw=b"data: [DONE]"), broken("a")),
        (Outcome(Kind.WHOLE, took_s=1.0), Expected((Kind.WHOLE,), within_s=0.5)),
    ],
)
def test_what_is_wrong_is_seen(outcome: Outcome, expected: Expected) -> None:
    assert judged(outcome, expected, "m")


def test_what_is_right_is_not_held_against_it() -> None:
    assert judged(Outcome(Kind.BROKEN, ["m-0 "], status=200, code="a"), broken("a"), "m") == []
    assert judged(Outcome(Kind.REFUSED, status=502, code="a"), refused(502, "a", "b", calls=(1, 0)), "m") == []


def test_places_are_those_of_the_dialect() -> None:
    places = [Combo(surface, True, False).place("rst={mid},x={role}") for surface in Surface][:3]
    assert places == ["rst=3,x=1", "rst=5,x=3", "rst=6,x=4"]
    assert Combo(Surface.CHAT, False, False).place("rst={mid}") == "rst=1"
    assert len(COMBOS) == 14


def test_only_the_board_of_the_page_is_written_anew() -> None:
    first = page("# Faults\n\n<!-- board: written by make faults -->\nold\n<!-- /board -->\n\nMore.\n", [])
    assert first.startswith("# Faults\n")
    assert first.endswith("<!-- /board -->\n\nMore.\n")
    assert "old" not in first
    assert "0 rows" in first


@pytest.mark.parametrize("show", [line, lambda result: page("", [result])])
def test_a_board_tells_what_failed(show: Callable[[Result], str]) -> None:
    result = Result(next(row for row in ROWS if row.number == 7))
    result.note([])
    result.note(["chat: it broke"])
    assert "failed" in show(result).lower()
    assert "it broke" in show(result)


def test_what_came_of_a_peer_is_written_once_and_leaves_the_rest() -> None:
    result = Result(next(row for row in ROWS if row.number == 7))
    result.note([])
    result.note(["chat: it broke"])
    known = page("# Faults\n\n<!-- board: written by make faults -->\n<!-- /board -->\n", [])
    known += "\n<!-- peers: written by make faults PEER=... -->\n\nMore.\n"
    once = peer_page(known, "other 1.0", [result])
    twice = peer_page(once, "other 1.1", [result])
    assert "**other 1.0**" in once
    assert "1 of 2 cases" in once
    assert twice == once.replace("other 1.0", "other 1.1")
    assert twice.endswith("\nMore.\n")


def test_a_peer_is_asked_for_every_case_under_a_name_of_its_own() -> None:
    names = models(ROWS)
    assert len(set(names)) == len(names) > 900
    assert not any("," in name for name in names), "some peers take that for several models"
