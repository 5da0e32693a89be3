"""When to come back, as providers say it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmgate.wire.retry_after import retry_after_s

NOW = 1_795_000_000.0
"""Wed, 18 Nov 2026 11:06:40 GMT."""


def told(status: int = 429, **headers: str) -> float | None:
    lines = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return retry_after_s(status, lambda name: lines.get(name, ""), now_unix=NOW)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2", 2.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("-1", 0.0),
        ("1e9", 300.0),
        ("99999999999999999999", 300.0),
        ("Wed, 18 Nov 2026 11:07:00 GMT", 20.0),
        ("Wed, 18 Nov 2026 11:00:00 GMT", 0.0),
        ("Wed, 18 Nov 2099 11:00:00 GMT", 300.0),
        ("Wednesday, 18-Nov-26 11:07:00 GMT", 20.0),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("inf", None),
        ("12 apples", None),
        ("1" * 400, 300.0),
        ("\xb2", None),  # A superscript two is a digit, and no number.
        ("Wed" * 400, None),
        ("Wed, 99 Nov 2026 99:99:99 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_never_beyond_its_bounds(value: str, seconds: float | None) -> None:
    assert told(retry_after=value) == seconds


def test_milliseconds_count_before_seconds() -> None:
    assert told(retry_after_ms="250", retry_after="1") == 0.25
    assert told(retry_after_ms="rubbish", retry_after="1") == 1.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("1s", 1.0), ("6m0s", 300.0), ("20ms", 0.02), ("2m59.56s", 179.56), ("1h", 300.0), ("7", 7.0), ("0s", 0.0)],
)
def test_openai_tells_the_reset_of_a_limit_as_a_span(value: str, seconds: float) -> None:
    assert told(x_ratelimit_reset_requests=value) == pytest.approx(seconds)


def test_only_a_limit_that_is_used_up_is_waited_for() -> None:
    wait_s = told(
        x_ratelimit_remaining_requests="17",
        x_ratelimit_reset_requests="200s",
        x_ratelimit_remaining_tokens="0",
        x_ratelimit_reset_tokens="9s",
    )
    assert wait_s == 9.0


def test_anthropic_tells_the_reset_of_a_limit_as_a_time() -> None:
    assert told(anthropic_ratelimit_requests_reset="2026-11-18T11:06:55Z") == 15.0
    assert told(anthropic_ratelimit_requests_reset="2026-11-18T12:06:55+01:00") == 15.0


def test_a_reset_says_nothing_where_the_answer_is_no_rate_limit() -> None:
    assert told(503, x_ratelimit_reset_requests="9s") is None
    assert told(503, retry_after="9") == 9.0


@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=80))
def test_whatever_is_said_it_is_between_none_and_the_longest(after: str, milliseconds: str, reset: str) -> None:
    wait_s = told(retry_after=after, retry_after_ms=milliseconds, x_ratelimit_reset_tokens=reset)
    assert wait_s is None or 0.0 <= wait_s <= 300.0
