"""No stream that breaks off passes for a whole one, wherever it breaks and whoever asks. `make cuts` tries 10,000."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cuts.hearing import Heard, answer_of, hear
from tests.cuts.rig import SURFACES, Outcome, cuts_for, judged, run
from tests.cuts.streams import ARGUMENTS, STREAMS, TEXT
from tests.cuts.upstream import Cut, How


async def test_every_cut_is_told_and_no_answer_that_is_whole_is_spoiled(tmp_path: Path) -> None:
    told = await run(tmp_path, cuts_for(300, seed=7))
    assert told.faults == []
    assert sum(told.outcomes.values()) == 300
    assert told.count(outcome=Outcome.ERROR_FRAME) > 200


async def test_behind_the_last_byte_nothing_is_missing(tmp_path: Path) -> None:
    """The same rig finds whole answers whole."""
    pairs = [(surface, provider) for surface in SURFACES for provider in STREAMS]
    whole = [
        Cut(at, surface, provider, How.CLEAN, len(STREAMS[provider].body), seed=at)
        for at, (surface, provider) in enumerate(pairs)
    ]
    told = await run(tmp_path, whole)
    assert told.faults == []
    assert told.count(outcome=Outcome.WHOLE) == len(pairs)


CUT = Cut(0, "openai", "openai", How.FIN, 100, seed=0)
UNCUT = Cut(0, "openai", "openai", How.FIN, len(STREAMS["openai"].body), seed=0)


@pytest.mark.parametrize("surface", SURFACES)
def test_a_caller_hears_all_of_a_stream_and_its_end(surface: str) -> None:
    body = STREAMS[surface].body
    answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    assert judged(UNCUT, hear(surface, answer)) == (Outcome.WHOLE, "")
    assert judged(UNCUT, hear(surface, answer[:-5]))[0] is Outcome.BROKEN


@pytest.mark.parametrize(
    ("heard", "outcome"),
    [
        (Heard(status=200, is_closed=True, text=TEXT[:9]), Outcome.SILENT),
        (Heard(status=200, is_closed=True, text=TEXT[:9], is_ended=True), Outcome.SILENT),
        (Heard(status=200, is_closed=True, text=TEXT[1:9]), Outcome.WRONG),
        (Heard(status=200, is_closed=True, is_ended=True, error="x"), Outcome.WRONG),
        (Heard(status=500, is_closed=True, error="internal_error"), Outcome.WRONG),
        (Heard(status=502, is_closed=True, error="x"), Outcome.STATUS),
        (Heard(status=200, text=TEXT[:9]), Outcome.BROKEN),
        (Heard(status=200, error="x"), Outcome.ERROR_FRAME),
    ],
)
def test_only_what_is_told_counts_as_told(heard: Heard, outcome: Outcome) -> None:
    assert judged(CUT, heard)[0] is outcome
    assert ARGUMENTS


def test_chunks_without_the_last_are_no_end() -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    assert answer_of(head + b"2\r\nok\r\n0\r\n\r\n").is_closed
    assert not answer_of(head + b"2\r\nok\r\n").is_closed
    assert answer_of(head + b"2\r\nok\r\n").body == b"ok"
