"""The proofs of `make bench-models`, in short: what they promise holds, and they can fail."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.endure.page import Report
from tests.lifecycle.asking import QUESTIONS, Came, Outcome, judge
from tests.lifecycle.chaos import chaos
from tests.lifecycle.crowds import aborts, cold
from tests.lifecycle.swaps import kills, swaps


def kept(report: Report) -> str:
    assert report.broken == [], report.text
    return report.text


async def test_versions_are_swapped_under_callers_who_never_stop_asking(tmp_path: Path) -> None:
    text = kept(await swaps(tmp_path, count=2, seed=1))
    assert re.search(r"Failed, cut, wrong, hung\*\* \| \*\*0\*\*", text)


async def test_an_engine_that_is_killed_in_a_swap_costs_what_it_was_saying(tmp_path: Path) -> None:
    report = await kills(tmp_path, count=2, seed=1)
    # How many were at it, and how soon it is back, depends on what else this machine does.
    assert not [broken for broken in report.broken if "cut or wrong" in broken], report.text


async def test_however_many_ask_first_it_is_loaded_once(tmp_path: Path) -> None:
    assert "| Loads | 1 |" in kept(await cold(tmp_path, count=20))


async def test_who_leaves_gives_the_place_back(tmp_path: Path) -> None:
    kept(await aborts(tmp_path, count=5))


async def test_whatever_is_done_in_any_order_the_books_are_right(tmp_path: Path) -> None:
    kept(await chaos(tmp_path, count=25, seed=2))


def stream(*pieces: str, end: str = "data: [DONE]\n\n") -> bytes:
    begun = (f'{{"index":0,"delta":{{"content":"{piece}"}},"finish_reason":null}}' for piece in pieces)
    frames = "".join(f'data: {{"choices":[{choice}]}}\n\n' for choice in begun)
    last = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    body = (frames + (last if end else "") + end).encode()
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


@pytest.mark.parametrize(
    ("data", "outcome", "version"),
    [
        (stream(QUESTIONS[1].answers[0]), Outcome.WHOLE, 1),
        (stream(QUESTIONS[1].answers[1]), Outcome.WHOLE, 2),
        (stream(QUESTIONS[1].answers[0][:10], QUESTIONS[1].answers[1][10:]), Outcome.WRONG, None),
        (stream("Something else"), Outcome.WRONG, None),
        (stream(QUESTIONS[1].answers[0][:10], end=""), Outcome.CUT, None),
        (stream(QUESTIONS[1].answers[0])[:-20], Outcome.CUT, None),
        (b"", Outcome.CUT, None),
    ],
)
def test_a_caller_judges_to_the_letter(data: bytes, outcome: Outcome, version: int | None) -> None:
    came = Came(Outcome.HUNG, 0.0)
    judge(came, QUESTIONS[1], data, stream=True)
    assert (came.outcome, came.version) == (outcome, version), came.why
