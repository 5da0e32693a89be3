"""Anthropic's whole answers, errors, lists of models and counts: read from a provider, written for a caller."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmgate.core.answer import fold
from farmgate.core.errors import (
    ClientGone,
    ContextLengthExceeded,
    EngineUnavailable,
    FarmError,
    HeadersTooLarge,
    InternalError,
    InvalidApiKey,
    InvalidValue,
    ModelNotFound,
    Overloaded,
    RequestTooLarge,
    Unavailable,
    UnsupportedParameter,
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamRateLimited,
    UpstreamRefusedKey,
    UpstreamRejected,
    UpstreamTimeout,
)
from farmgate.core.event import Annotation, Event, Finish, FinishReason, Part, Reasoning, Text, ToolDelta, Usage
from farmgate.core.model import ModelInfo
from farmgate.wire.anthropic.answers import decode_count, decode_whole, encode_message
from farmgate.wire.anthropic.errors import decode_error, decode_told_error, encode_error, error_frame
from farmgate.wire.anthropic.models import decode_page, encode_model, encode_models
from farmgate.wire.anthropic.usage import ToldUsage, decode_usage, encode_usage

steady = settings(max_examples=100, deadline=None, derandomize=True, database=None)
RECORDINGS = Path(__file__).parent.parent / "recordings" / "anthropic"
SIGNATURE = "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds"


def recorded(name: str) -> bytes:
    return (RECORDINGS / f"{name}.json").read_bytes()


# ----------------------------------------------------------------------------------------- whole answers

PLAIN = Usage(prompt_tokens=12, completion_tokens=9)
SAID: dict[str, list[Part]] = {
    "text": [Text("The harbour is calm — 12 boats are in."), Finish(), PLAIN],
    "cached": [
        Text("As I said: twelve."),
        Finish(),
        Usage(prompt_tokens=1233, completion_tokens=7, cached_tokens=1024, cache_write_tokens=188),
    ],
    "tools": [
        Text("I look at the tide table."),
        ToolDelta(
            index=0,
            id="toolu_01A09q90qw90lq917835lq9",
            name="tide",
            arguments='{"port":"Brest","day":"2026-03-01"}',
        ),
        Finish(FinishReason.TOOL_CALLS),
        PLAIN,
    ],
    "parallel_tools": [
        ToolDelta(index=0, id="toolu_01", name="tide", arguments='{"port":"Brest"}'),
        ToolDelta(index=1, id="toolu_02", name="tide", arguments='{"port":"Saint-Malo"}'),
        ToolDelta(index=2, id="toolu_03", name="now", arguments="{}"),
        Finish(FinishReason.TOOL_CALLS),
        PLAIN,
    ],
    "reasoning": [
        Reasoning("Tides come twice a day, so...", signature=SIGNATURE),
        Reasoning("", redacted="EmwKAhgBEgy3va3pzix"),
        Text("Twice a day."),
        Finish(),
        Usage(prompt_tokens=30, completion_tokens=44, reasoning_tokens=31),
    ],
    "structured": [Text('{"boats":12,"calm":true}'), Finish(), PLAIN],
    "stop_sequence": [Text("one, two"), Finish(stop="END"), PLAIN],
    "max_tokens": [Text("The harb"), Finish(FinishReason.LENGTH), PLAIN],
    "context_full": [Text("The harb"), Finish(FinishReason.LENGTH), PLAIN],
    "pause_turn": [Text("I go on looking."), Finish(), PLAIN],
    "refusal": [Finish(FinishReason.CONTENT_FILTER), PLAIN],
    "cited": [
        Text("High water is at noon"),
        Annotation({"type": "url_citation", "url_citation": {"url": "https://tides.example/brest", "title": "Brest"}}),
        Text("."),
        Finish(),
        PLAIN,
    ],
}


@pytest.mark.parametrize("name", SAID)
def test_a_whole_answer_is_kept_as_it_came_and_says_what_it_says(name: str) -> None:
    event = decode_whole(recorded(name), provider="p")
    assert event.raw == recorded(name)
    assert list(event.parts) == SAID[name]
    assert event.usage == SAID[name][-1]


SAME = ("text", "cached", "tools", "parallel_tools", "reasoning", "stop_sequence", "max_tokens", "refusal")


@pytest.mark.parametrize("name", SAME)
def test_an_answer_read_and_written_is_the_same_answer(name: str) -> None:
    told = json.loads(recorded(name))
    written = json.loads(json.dumps(encode_message([Event(tuple(SAID[name]))], id=told["id"], model=told["model"])))
    for field in ("id", "type", "role", "model", "content", "stop_reason", "stop_sequence"):
        assert written[field] == told[field]
    for count, tokens in written["usage"].items():
        assert told["usage"].get(count, 0) == tokens


def test_an_answer_in_pieces_is_put_together_in_its_order() -> None:
    parts: list[Part] = [
        Reasoning("a"),
        Reasoning("b", signature="S"),
        Reasoning("c"),
        Text("d"),
        Text("e"),
        ToolDelta(index=0, name="f"),
        ToolDelta(index=0, arguments='{"x":'),
        ToolDelta(index=1, id="t", name="g"),
        ToolDelta(index=0, arguments="1}"),
        Text("h"),
        Annotation({"type": "url_citation", "url_citation": {"url": "u"}}),
        Text("z", 1),
    ]
    told = encode_message([Event((part,)) for part in parts], id="msg_1", model="m", dropped=("seed",))
    citation = {
        "type": "web_search_result_location",
        "url": "u",
        "title": None,
        "cited_text": "",
        "encrypted_index": "",
    }
    assert told["content"] == [
        {"type": "thinking", "thinking": "ab", "signature": "S"},
        {"type": "thinking", "thinking": "c", "signature": ""},
        {"type": "text", "text": "de"},
        {"type": "tool_use", "id": "toolu_1_0", "name": "f", "input": {"x": 1}},
        {"type": "tool_use", "id": "t", "name": "g", "input": {}},
        {"type": "text", "text": "h", "citations": [citation]},
    ]
    usage: Any = told["usage"]
    assert (usage["farmgate_estimated"], usage["farmgate_dropped"]) == (True, ["seed"])


@pytest.mark.parametrize("arguments", ["{", "[]", "1", "null"])
def test_a_call_whose_arguments_are_no_object_is_the_providers_fault(arguments: str) -> None:
    with pytest.raises(UpstreamInvalidResponse) as caught:
        encode_message([Event((ToolDelta(index=0, name="f", arguments=arguments),))], id="i", model="m")
    assert "'f'" in caught.value.message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b'{"content":"x"}',
        b'{"content":[5]}',
        b'{"content":[{"type":"text","text":5}]}',
        b'{"content":[],"x":"\xff"}',
        b'{"content":',
        b"[" * 100000,
    ],
)
def test_what_is_no_answer_is_the_providers_fault(body: bytes) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        decode_whole(body, provider="p")


def test_an_error_under_200_is_that_error() -> None:
    with pytest.raises(UpstreamRateLimited):
        decode_whole(recorded("error_429"), provider="p")


def test_citations_of_documents_are_of_files() -> None:
    citation = {"type": "page_location", "document_title": "T", "cited_text": "c", "start_page_number": 1}
    body = {"content": [{"type": "text", "text": "a", "citations": [citation, {}]}]}
    parts = decode_whole(json.dumps(body).encode(), provider="p").parts
    assert parts[1:3] == (
        Annotation({"type": "file_citation", "file_citation": {"filename": "T", "quote": "c"}}),
        Annotation({"type": "file_citation", "file_citation": {"filename": "", "quote": ""}}),
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "text", "input", "id", "name", "citations"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@steady
@given(st.dictionaries(st.sampled_from(["content", "usage", "stop_reason", "type", "stop_sequence"]), JSON))
def test_any_body_is_an_answer_or_the_providers_fault(fields: dict[str, object]) -> None:
    try:
        event = decode_whole(json.dumps(fields).encode(), provider="p")
    except UpstreamInvalidResponse:
        return
    assert fold([event]).choices[0].finish is not None


# ----------------------------------------------------------------------------------------- usage, counts

USAGES = [
    (ToldUsage(input_tokens=5, output_tokens=2), Usage(prompt_tokens=5, completion_tokens=2)),
    (
        ToldUsage(input_tokens=5, output_tokens=2, cache_read_input_tokens=7, cache_creation_input_tokens=1),
        Usage(prompt_tokens=13, completion_tokens=2, cached_tokens=7, cache_write_tokens=1),
    ),
    (ToldUsage(), None),
    (ToldUsage(input_tokens=-1, output_tokens=1 << 40), None),
    (ToldUsage(input_tokens=True, output_tokens="2"), None),
    (ToldUsage(input_tokens=5, output_tokens_details=[]), Usage(prompt_tokens=5)),
]


@pytest.mark.parametrize(("told", "usage"), USAGES)
def test_tokens_are_believable_or_ignored(told: ToldUsage, usage: Usage | None) -> None:
    assert decode_usage(told) == usage


def test_later_figures_stand_for_earlier_ones_they_repeat() -> None:
    begun = ToldUsage(input_tokens=3, cache_read_input_tokens=100, output_tokens=1)
    assert decode_usage(ToldUsage(output_tokens=9), begun) == Usage(
        prompt_tokens=103, completion_tokens=9, cached_tokens=100
    )
    assert decode_usage(ToldUsage(input_tokens=4, cache_read_input_tokens=0, output_tokens=9), begun) == Usage(
        prompt_tokens=4, completion_tokens=9
    )
    assert decode_usage(None, begun) == Usage(prompt_tokens=103, completion_tokens=1, cached_tokens=100)
    assert decode_usage(None) is None


@given(
    st.builds(
        Usage,
        prompt_tokens=st.integers(200, 999),
        completion_tokens=st.integers(50, 99),
        cached_tokens=st.integers(0, 100),
        cache_write_tokens=st.integers(0, 100),
        reasoning_tokens=st.integers(0, 50),
    )
)
@steady
def test_usage_written_and_read_is_the_same(usage: Usage) -> None:
    assert decode_usage(ToldUsage(**encode_usage(usage))) == usage


def test_counts_are_numbers() -> None:
    assert decode_count(recorded("count"), provider="p") == 2095
    for body in (b"", b"{}", b'{"input_tokens":"5"}', b"[]"):
        with pytest.raises(UpstreamInvalidResponse):
            decode_count(body, provider="p")


# ----------------------------------------------------------------------------------------- errors

MEANT: list[tuple[str, int, type[FarmError], str | None]] = [
    ("error_400", 400, UpstreamRejected, None),
    ("error_400_too_long", 400, ContextLengthExceeded, "messages"),
    ("error_400_no_credit", 400, UpstreamRefusedKey, None),
    ("error_401", 401, UpstreamRefusedKey, None),
    ("error_403", 403, UpstreamRefusedKey, None),
    ("error_404", 404, ModelNotFound, "model"),
    ("error_413", 413, UpstreamRejected, None),
    ("error_429", 429, UpstreamRateLimited, None),
    ("error_500", 500, UpstreamError, None),
    ("error_529", 529, Unavailable, None),
]


@pytest.mark.parametrize(("name", "status", "kind", "param"), MEANT)
def test_an_error_means_the_same_as_a_status_and_in_a_stream(
    name: str, status: int, kind: type[FarmError], param: str | None
) -> None:
    body = recorded(name)
    for error in (decode_error(status, body, provider="p", model="m"), decode_told_error(body, provider="p")):
        assert (type(error), error.param) == (kind, param)
        if kind is UpstreamRejected:
            assert error.status == status


def test_what_a_provider_says_of_our_credential_is_not_told_on() -> None:
    body = json.dumps({"error": {"type": "authentication_error", "message": "invalid key sk-canary"}}).encode()
    for status in (401, 403):
        assert "sk-canary" not in decode_error(status, body, provider="p").message


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"error":5}', b'{"error":{"message":5}}'])
def test_an_error_without_words_is_told_by_its_status(body: bytes) -> None:
    assert decode_error(500, body, provider="p").message == "p answered HTTP 500."
    assert type(decode_error(408, body, provider="p")) is UpstreamTimeout
    assert type(decode_error(418, body, provider="p")) is UpstreamRejected


def test_a_code_that_clients_go_by_is_told_on() -> None:
    details = {"error_code": "thread_not_found"}
    body = {"type": "error", "error": {"type": "not_found_error", "message": "no thread", "details": details}}
    error = decode_error(404, json.dumps(body).encode(), provider="p")
    told = json.loads(encode_error(error))["error"]
    assert (error.status, told["type"], told["details"]) == (404, "not_found_error", details)


def test_an_error_may_be_a_text() -> None:
    assert decode_error(500, b'{"error":"no"}', provider="p").message == "p: no"


TOLD: list[tuple[FarmError, str]] = [
    (InvalidValue("x"), "invalid_request_error"),
    (InvalidApiKey(), "authentication_error"),
    (ModelNotFound(), "not_found_error"),
    (RequestTooLarge(), "request_too_large"),
    (HeadersTooLarge(), "invalid_request_error"),
    (ClientGone(), "invalid_request_error"),
    (UpstreamRateLimited(), "rate_limit_error"),
    (InternalError(), "api_error"),
    (UpstreamError(), "api_error"),
    (Overloaded(), "overloaded_error"),
    (EngineUnavailable(), "overloaded_error"),
    (UpstreamTimeout(), "timeout_error"),
    (UpstreamRejected("x", status=409, type_="conflict_error", code=None), "conflict_error"),
    (UpstreamRejected("x", status=400, type_="billing_error", code=None), "billing_error"),
    (UpstreamRejected("x", status=422, type_="whatever", code="c"), "invalid_request_error"),
]


@pytest.mark.parametrize(("error", "type_"), TOLD)
def test_every_error_has_one_of_anthropics_types(error: FarmError, type_: str) -> None:
    error.request_id = "r1"
    assert json.loads(encode_error(error)) == {
        "type": "error",
        "error": {"type": type_, "message": error.message, "details": {"error_code": error.code}},
        "request_id": "r1",
    }


def test_the_field_that_is_wrong_is_named_in_the_message() -> None:
    assert json.loads(encode_error(UnsupportedParameter("no", param="n")))["error"]["message"] == "n: no"
    named = UnsupportedParameter("`stop` must be text.", param="stop")
    assert json.loads(encode_error(named))["error"]["message"] == "`stop` must be text."


def test_an_error_in_a_stream_is_an_event_of_that_name() -> None:
    frame = error_frame(Overloaded("later"))
    assert frame.startswith(b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"')
    assert frame.endswith(b"\n\n")


# ----------------------------------------------------------------------------------------- models


def test_models_are_read_page_by_page() -> None:
    page = decode_page(recorded("models_1"), provider="p")
    assert (page.has_more, page.last_id) == (True, "claude-sonnet-4-5-20250929")
    assert [model.info("p") for model in page.data] == [
        ModelInfo(
            name="claude-opus-5",
            provider="p",
            description="Claude Opus 5",
            context_tokens=1_000_000,
            created_unix=1_782_864_000,
        ),
        ModelInfo(
            name="claude-sonnet-4-5-20250929",
            provider="p",
            description="Claude Sonnet 4.5",
            context_tokens=200_000,
            created_unix=1_759_104_000,
        ),
    ]
    bare = decode_page(b'{"data":[{"id":"a","created_at":"long ago","max_input_tokens":"x"}]}', provider="p")
    assert [model.info("p") for model in bare.data] == [ModelInfo(name="a", provider="p")]
    for body in (b"", b"[]", b'{"data":[{}]}'):
        with pytest.raises(UpstreamInvalidResponse):
            decode_page(body, provider="p")


def test_models_are_written_on_one_page_and_read_again() -> None:
    models = [ModelInfo(name="a", provider="p", context_tokens=8_192), ModelInfo(name="b", provider="p")]
    told = encode_models([(model.name, model) for model in models])
    assert (told["has_more"], told["first_id"], told["last_id"]) == (False, "a", "b")
    assert encode_model(models[1], id="p/b") == {
        "type": "model",
        "id": "p/b",
        "display_name": "p/b",
        "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": "active",
    }
    page = decode_page(json.dumps(told).encode(), provider="p")
    assert [(model.id, model.info("p").context_tokens) for model in page.data] == [("a", 8_192), ("b", None)]
    assert encode_models([]) == {"data": [], "has_more": False, "first_id": None, "last_id": None}
