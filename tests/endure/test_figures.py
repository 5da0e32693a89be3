"""What the proofs make of what they measured: a figure that is wrong would be a promise that nobody kept."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from pathlib import Path

import pytest
from tests.endure.asking import Asked, Outcome, judged
from tests.endure.figures import back_to_normal_s, percentile, slope
from tests.endure.kills import Kept
from tests.endure.loaded import Loaded, Sample, told
from tests.endure.page import write

ASKED = Asked(id="w", model="m", stream=True, frames=3)
HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def frame(data: object) -> bytes:
    said = data if isinstance(data, str) else json.dumps(data)
    piece = f"data: {said}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def words(*texts: str) -> bytes:
    choices = [{"choices": [{"delta": {"content": text}, "finish_reason": None}]} for text in texts]
    return b"".join(map(frame, choices))


FINISH = frame({"choices": [{"delta": {}, "finish_reason": "stop"}]})
DONE, END = frame("[DONE]"), b"0\r\n\r\n"
ERROR = frame({"error": {"code": "upstream_stream_truncated"}})
WHOLE = HEAD + words("w-0 ", "w-1 ", "w-2 ") + FINISH + DONE + END


def test_an_answer_is_whole_only_to_the_letter_and_with_its_end() -> None:
    cases = {
        WHOLE: Outcome.WHOLE,
        HEAD + words("w-0 ", "w-1 ") + FINISH + DONE + END: Outcome.SILENT,
        HEAD + words("w-0 ", "w-1 ", "w-2 ") + END: Outcome.SILENT,
        HEAD + words("w-0 ", "w-2 ", "w-1 ") + FINISH + DONE + END: Outcome.WRONG,
        HEAD + words("w-0 ") + ERROR + END: Outcome.ERROR_FRAME,
        HEAD + words("x-0 ") + ERROR + END: Outcome.WRONG,
        HEAD + words("w-0 "): Outcome.BROKEN,
        b'HTTP/1.1 502 Bad\r\ncontent-length: 24\r\n\r\n{"error": {"code": "x"}}': Outcome.STATUS,
        b"": Outcome.BROKEN,
    }
    assert {data: judged(ASKED, data)[0] for data in cases} == cases


def test_an_answer_cut_anywhere_is_never_taken_for_whole_or_silently_short() -> None:
    for at in range(len(WHOLE)):
        assert judged(ASKED, WHOLE[:at])[0] is Outcome.BROKEN, WHOLE[:at]


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(value) for value in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1.0)) == (50, 99, 100)
    assert math.isnan(percentile([], 0.5))


def test_a_slope_is_found_in_noise_and_outliers_do_not_move_it() -> None:
    chance = random.Random(1)
    samples = [(float(at), 2.0 * at + chance.gauss(0, 5) + (500 if at % 20 == 0 else 0)) for at in range(200)]
    found = slope(samples)
    assert found.low < 2.0 < found.high
    assert found.median == pytest.approx(2.0, abs=0.1)
    flat = [slope([(float(at), chance.gauss(0, 5)) for at in range(50)]) for _ in range(100)]
    assert 90 <= sum(one.low < 0.0 < one.high for one in flat) <= 99, "its interval holds the truth 95 times of 100"


def test_the_time_back_to_normal_ends_with_the_last_window_that_is_not() -> None:
    quick = [(at / 10, 1.0) for at in range(100)]
    assert back_to_normal_s(quick, begin=0.0, end=10.0, most=2.0) == 0.0
    slow = [(at, 9.0 if 3.0 <= at < 5.0 else value) for at, value in quick]
    assert back_to_normal_s(slow, begin=0.0, end=10.0, most=2.0) == pytest.approx(5.4, abs=0.11)


def test_a_call_without_a_record_is_lost_also_where_another_of_the_same_request_has_one() -> None:
    kept = Kept(records=Counter({"a": 1, "b": 1}), calls=Counter({"a": 2}))
    assert kept.lost == Counter({"a": 1})
    assert kept.orphans == Counter({"b": 1})


def loaded(*own_mib: float) -> Loaded:
    run = Loaded(seconds=float(len(own_mib)), users=1, seed=1, think_s=1.0, share=0.0, is_idle=True)
    run.samples = [Sample(float(at), own, own, 0.1 * at, 0.0) for at, own in enumerate(own_mib)]
    run.at_once_s, run.direct_s = [0.1], [0.09]
    run.outcomes[Outcome.WHOLE] = 1000
    return run


def test_memory_that_grows_is_a_broken_promise_and_a_step_is_none() -> None:
    assert told(loaded(*[50.0] * 30)).broken == []
    assert told(loaded(*[50.0] * 20, *[51.0] * 10)).broken == []
    assert "memory grew" in told(loaded(*[50.0 + at for at in range(30)])).broken[0]


def test_what_is_added_is_judged_unless_others_used_the_cores() -> None:
    run = loaded(*[50.0] * 30)
    run.at_once_s = [0.15]
    assert told(run).broken == ["60.0 ms added to p99 of the first token"]
    run.others_cores = 1.0
    report = told(run)
    assert report.broken == []
    assert report.unjudged == ["60.0 ms added to p99 of the first token, while other programs used 1.0 of the cores"]


@pytest.mark.parametrize("outcome", [Outcome.WRONG, Outcome.SILENT, Outcome.BROKEN])
def test_one_bad_answer_is_a_broken_promise(outcome: Outcome) -> None:
    run = loaded(*[50.0] * 30)
    run.outcomes[outcome] = 1
    assert told(run).broken == [f"1 x {outcome}"]


def test_a_section_is_put_in_place_of_what_was_there_and_others_stay(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A\n<!-- a: written by make a -->\nold\n<!-- /a -->\n<!-- b: written by make b -->\nkept\n<!-- /b -->\n"
    )
    write("a", r"new \1", page)
    assert page.read_text() == (
        "# A\n<!-- a: written by make a -->\nnew \\1\n<!-- /a -->\n<!-- b: written by make b -->\nkept\n<!-- /b -->\n"
    )
