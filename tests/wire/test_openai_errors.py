"""OpenAI's error object: one shape for our callers, all shapes from providers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmgate.core.errors import (
    FarmError,
    InvalidValue,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRefusedKey,
    UpstreamRejected,
    UpstreamTimeout,
)
from farmgate.wire.openai.errors import decode_error, encode_error, error_frame, is_flat_error
from farmgate.wire.sse import Splitter

UNSUPPORTED = "unsupported_parameter"
steady = settings(max_examples=100, deadline=None, derandomize=True, database=None)


def test_our_callers_see_one_shape() -> None:
    error = InvalidValue("`n` is \u00fcber 3.", param="n")
    told = {
        "error": {
            "message": "`n` is \u00fcber 3.",
            "type": "invalid_request_error",
            "param": "n",
            "code": "invalid_value",
        }
    }
    assert json.loads(encode_error(error)) == told
    (payload,) = Splitter().feed(error_frame(error))
    assert json.loads(payload) == told


def every_error(kind: type[FarmError] = FarmError) -> list[type[FarmError]]:
    return [kind, *(found for below in kind.__subclasses__() for found in every_error(below))]


@pytest.mark.parametrize("kind", every_error())
def test_every_error_has_a_status_a_type_and_a_code_and_says_something(kind: type[FarmError]) -> None:
    error = kind("m", status=400, type_="t", code=None) if kind is UpstreamRejected else kind()
    told = json.loads(encode_error(error))["error"]
    assert set(told) == {"message", "type", "param", "code"}
    assert 400 <= error.status < 600
    assert told["message"]
    assert "\n" not in told["message"]
    assert isinstance(told["type"], str)
    assert isinstance(told["code"], str)
    assert told["param"] is None


SHAPES = [
    ({"error": {"message": "no", "type": "t", "param": "p", "code": "c"}}, ("p: no", "t", "c", "p")),
    ({"error": {"message": "no"}}, ("p: no", "invalid_request_error", "upstream_rejected", None)),
    # The HTTP status once more, as llama.cpp and vLLM put it there, is no code.
    ({"error": {"message": "no", "type": "t", "code": 400}}, ("p: no", "t", "upstream_rejected", None)),
    ({"error": "no", "error_type": "validation"}, ("p: no", "validation", "upstream_rejected", None)),
    ({"object": "error", "message": "no", "type": "t", "code": 400}, ("p: no", "t", "upstream_rejected", None)),
    ({"detail": "no"}, ("p: no", "invalid_request_error", "upstream_rejected", None)),
    ({"error": {"message": ["no"]}}, ("p answered HTTP 422.", "invalid_request_error", "upstream_rejected", None)),
    ({"error": 5}, ("p answered HTTP 422.", "invalid_request_error", "upstream_rejected", None)),
    ([], ("p answered HTTP 422.", "invalid_request_error", "upstream_rejected", None)),
    (None, ("p answered HTTP 422.", "invalid_request_error", "upstream_rejected", None)),
]


@pytest.mark.parametrize(("body", "told"), SHAPES)
def test_a_providers_error_is_relayed_whatever_its_shape(body: object, told: tuple[str, str, str, str | None]) -> None:
    error = decode_error(422, json.dumps(body).encode(), provider="p")
    assert isinstance(error, UpstreamRejected)
    assert (error.message, error.type, error.code, error.param) == told
    assert (error.status, error.retryable) == (422, False)


@pytest.mark.parametrize("body", [b"", b"<html>502</html>", b"\xff", b'{"error":', b"[" * 100_000])
def test_an_error_without_words_is_told_by_its_status(body: bytes) -> None:
    assert decode_error(500, body, provider="p").message == "p answered HTTP 500."


STATUSES = [
    (400, UpstreamRejected, 400, False),
    (404, UpstreamRejected, 404, False),
    (401, UpstreamRefusedKey, 502, False),
    (403, UpstreamRefusedKey, 502, False),
    (408, UpstreamTimeout, 504, True),
    (429, UpstreamRateLimited, 429, True),
    (500, UpstreamError, 502, True),
    (503, UpstreamError, 502, True),
    (504, UpstreamTimeout, 504, True),
    (204, UpstreamError, 502, True),
    (301, UpstreamError, 502, True),
    (999, UpstreamError, 502, True),
]


@pytest.mark.parametrize(("status", "kind", "ours", "retryable"), STATUSES)
def test_a_providers_status_means_something_for_our_caller(
    status: int, kind: type[FarmError], ours: int, retryable: bool
) -> None:
    error = decode_error(status, b'{"error":{"message":"no"}}', provider="p")
    assert type(error) is kind
    assert (error.status, error.retryable) == (ours, retryable)


@pytest.mark.parametrize("status", [401, 403])
def test_what_is_said_about_our_key_is_not_passed_on(status: int) -> None:
    error = decode_error(status, b'{"error":{"message":"Incorrect API key provided: sk-abc"}}', provider="p")
    assert "sk-abc" not in error.message
    assert "ai.providers.p.apiKey" in error.message


def test_a_long_message_is_cut() -> None:
    assert len(decode_error(400, json.dumps({"message": "x" * 10**6}).encode(), provider="p").message) < 2100


def test_only_an_object_that_speaks_of_an_error_is_a_flat_error() -> None:
    assert is_flat_error(b'{"object":"error","message":"no"}')
    assert is_flat_error(b'{"message":"no","code":5}')
    for other in (b'{"message":"hello"}', b'{"message":{"content":""},"type":"x"}', b'{"type":"ping"}', b"[]", b"5"):
        assert not is_flat_error(other)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "code", "type", "param", "detail", "status"]), inner, max_size=4
        )
    ),
    max_leaves=10,
)


@steady
@given(JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=50), st.integers(100, 999))
def test_any_body_under_any_status_is_an_error_that_can_be_told(body: bytes, status: int) -> None:
    error = decode_error(status, body, provider="p")
    told = json.loads(encode_error(error))["error"]
    assert isinstance(told["code"], str)
    assert 400 <= error.status < 600


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, {"message": "This model's maximum context length is 8192 tokens.", "code": "context_length_exceeded"}),
        (
            400,
            {
                "message": "This model's maximum context length is 2048 tokens. However, you requested 9000.",
                "code": 400,
            },
        ),
        (400, {"message": "request (9031 tokens) exceeds the available context size (2048 tokens), try increasing it"}),
        (400, {"message": "The input (9031 tokens) is longer than the model's context length (2048 tokens)."}),
        (422, {"message": "`inputs` tokens + `max_new_tokens` must be <= 2048. Given: 9000"}),
        (500, {"message": "input (3001 tokens) is too large to process. increase the physical batch size"}),
        (500, {"message": "Context size has been exceeded."}),
    ],
)
def test_a_prompt_that_is_too_long_is_told_in_one_word_whoever_says_it(status: int, error: object) -> None:
    told = decode_error(status, {"error": error}, provider="p")
    assert (told.status, told.type, told.code) == (400, "invalid_request_error", "context_length_exceeded")
    assert told.message.startswith("p: ")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("image input is not supported - hint: if this is unexpected, you may need to provide the mmproj", UNSUPPORTED),
        ("audio input is not supported - hint: if this is unexpected, you may need to provide the mmproj", UNSUPPORTED),
        ("Failed to parse tools: Unsupported tool type: {}", UNSUPPORTED),
        ("Failed to parse messages: type must be string, but is number", "upstream_rejected"),
        ("Unknown reasoning format: x", "upstream_rejected"),
    ],
)
def test_what_llama_cpp_answers_500_to_is_the_callers_to_mend(message: str, code: str) -> None:
    told = decode_error(500, {"error": {"message": message, "type": "server_error", "code": 500}}, provider="p")
    assert (told.status, told.type, told.code) == (400, "invalid_request_error", code)


def test_a_failure_of_the_provider_itself_stays_one() -> None:
    for message in ("Compute error.", "the model failed to parse its own output", "out of memory"):
        assert decode_error(500, {"error": {"message": message}}, provider="p").status == 502
