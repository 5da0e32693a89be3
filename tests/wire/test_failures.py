"""What a provider's status and message mean, whatever its dialect."""

from __future__ import annotations

import pytest

from farmgate.core.errors import (
    FarmError,
    Unavailable,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
)
from farmgate.wire.failures import by_status, mentions, object_in, refused_key, sentence, text_at


@pytest.mark.parametrize(
    ("status", "kind", "told"),
    [
        (400, UpstreamRejected, 400),
        (408, UpstreamTimeout, 504),
        (422, UpstreamRejected, 422),
        (429, UpstreamRateLimited, 429),
        (500, UpstreamError, 502),
        (502, UpstreamError, 502),
        (503, Unavailable, 503),
        (504, UpstreamTimeout, 504),
        (599, UpstreamError, 502),
        (302, UpstreamError, 502),
    ],
)
def test_a_status_means_one_thing(status: int, kind: type[FarmError], told: int) -> None:
    error = by_status(status, "p: no", code="c", param="x")
    assert type(error) is kind
    assert (error.status, error.message) == (told, "p: no")
    if kind is UpstreamRejected:
        assert (error.code, error.param) == ("c", "x")


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"7", b'"x"', b"\xff", b"[" * 100_000])
def test_a_body_without_an_object_tells_nothing(body: bytes) -> None:
    assert object_in(body) == {}


def test_the_first_field_that_is_a_text_is_the_message() -> None:
    assert text_at({"message": 7, "Message": "no"}, "message", "Message") == "no"
    assert text_at({"message": None}, "message") == ""


def test_a_long_message_is_cut_and_none_is_told_by_its_status() -> None:
    assert len(sentence("p", 500, "x" * 10_000)) < 2_100
    assert sentence("p", 500, "") == "p answered HTTP 500."


def test_phrases_are_found_in_any_case() -> None:
    assert mentions("Too MANY tokens", ("too many",))
    assert not mentions("fine", ("too many",))


def test_a_refused_key_is_told_by_where_it_is_set() -> None:
    assert "ai.providers.mine.apiKey" in refused_key("mine", 401).message
