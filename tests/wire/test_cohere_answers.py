"""Cohere's answers, whole and streamed: the same words in any cut, and nothing believed that is not whole."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.reading import cuts, read, said_before
from tests.fakes.recordings import recording
from tests.fakes.upstream import event

from farmgate.core.answer import Answer, fold
from farmgate.core.errors import (
    ContextLengthExceeded,
    FarmError,
    ModelNotFound,
    Unavailable,
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamRateLimited,
    UpstreamRefusedKey,
    UpstreamRejected,
    UpstreamStreamTruncated,
    UpstreamTimeout,
)
from farmgate.core.event import FinishReason, Ranked, Usage
from farmgate.core.words import ToolUse
from farmgate.wire.cohere.answers import decode_chat, decode_embeddings, decode_models, decode_ranking
from farmgate.wire.cohere.errors import decode_error
from farmgate.wire.cohere.stream import StreamReader

steady = settings(max_examples=100, deadline=None, derandomize=True, database=None)
USAGE = Usage(prompt_tokens=71, completion_tokens=13, cached_tokens=64)
CALLS = {
    0: ToolUse(id="weather_7k", name="weather", arguments='{"city": "Oslo"}'),
    1: ToolUse(id="clock_8m", name="clock", arguments="{}"),
}


def reader() -> StreamReader:
    return StreamReader(provider="co")


def whole(name: str) -> Answer:
    return fold([decode_chat(recording(f"cohere/{name}"), provider="co")])


def test_a_whole_answer_has_its_text_its_end_and_its_usage() -> None:
    answer = whole("text.json")
    assert answer.text == "The gate opens at dawn. Ça va ?"
    assert (answer.choices[0].finish, answer.usage) == (FinishReason.STOP, USAGE)


def test_tool_calls_follow_the_plan() -> None:
    choice = whole("parallel_tools.json").choices[0]
    assert (choice.text, choice.finish) == ("Both.", FinishReason.TOOL_CALLS)
    assert [(use.id, use.name, use.arguments) for use in choice.tools.values()] == [
        ("weather_7k", "weather", '{"city":"Oslo"}'),
        ("clock_8m", "clock", "{}"),
    ]


def test_thoughts_are_apart_from_the_text() -> None:
    choice = whole("reasoning.json").choices[0]
    assert (choice.reasoning, choice.text) == ("Dawn is when the gate opens.", "At dawn.")
    assert choice.finish is FinishReason.LENGTH


def saying(reason: str, **more: object) -> bytes:
    told = {"message": {"content": [{"type": "text", "text": "a"}], **more}, "finish_reason": reason}
    return json.dumps(told).encode()


@pytest.mark.parametrize(
    ("reason", "kind"),
    [("ERROR", UpstreamError), ("TIMEOUT", UpstreamTimeout), ("ERROR_LIMIT", ContextLengthExceeded)],
)
def test_an_answer_that_broke_off_is_none(reason: str, kind: type[FarmError]) -> None:
    with pytest.raises(FarmError) as caught:
        decode_chat(saying(reason), provider="co")
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("STOP_SEQUENCE", FinishReason.STOP),
        ("ERROR_TOXIC", FinishReason.CONTENT_FILTER),
        ("SOMETHING_NEW", FinishReason.STOP),
    ],
)
def test_why_it_ended_is_told_in_openai_s_words(reason: str, told: FinishReason) -> None:
    assert fold([decode_chat(saying(reason), provider="co")]).choices[0].finish is told


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b'{"message":{"content":"a"},"finish_reason":"x"}'])
def test_what_is_no_answer_is_not_taken_for_one(body: bytes) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        decode_chat(body, provider="co")


# ----------------------------------------------------------------------------------------- streams


def test_any_cut_of_a_stream_gives_the_same_answer() -> None:
    for pieces in cuts(recording("cohere/stream.sse")):
        answer = read(reader, pieces)
        assert answer.text == "The gate opens at dawn. Ça va ?"
        assert (answer.choices[0].finish, answer.usage) == (FinishReason.STOP, USAGE)


def test_any_cut_of_streamed_tool_calls_gives_the_same_calls() -> None:
    for pieces in cuts(recording("cohere/tools_stream.sse")):
        choice = read(reader, pieces).choices[0]
        assert (choice.text, choice.tools, choice.finish) == ("I will look.", CALLS, FinishReason.TOOL_CALLS)


def test_streamed_thoughts_are_apart_from_the_text() -> None:
    choice = read(reader, [recording("cohere/reasoning_stream.sse")]).choices[0]
    assert (choice.reasoning, choice.text) == ("Dawn is when the gate opens.", "At dawn.")


def test_what_a_span_rests_on_is_an_annotation() -> None:
    choice = read(reader, [recording("cohere/citations_stream.sse")]).choices[0]
    span = {"start_index": 12, "end_index": 16}
    page = {"url": "https://gate.example/rules", "title": "Rules of the gate", **span}
    assert choice.annotations == [
        {"type": "url_citation", "url_citation": page},
        {"type": "file_citation", "file_citation": {"file_id": "doc:1", **span}},
    ]


def test_a_stream_is_whole_only_once_it_said_so() -> None:
    data = recording("cohere/stream.sse")
    for at in range(len(data)):
        cut = reader()
        cut.feed(data[:at])
        with pytest.raises(UpstreamStreamTruncated):
            cut.end()
    assert read(reader, [data, b"data: [DONE]\n\n"]).text == "The gate opens at dawn. Ça va ?"


def test_an_error_in_mid_stream_is_told_behind_what_came_before() -> None:
    text, error = said_before(reader, recording("cohere/broken_stream.sse"))
    assert text == "The gate"
    assert type(error) is UpstreamError
    assert "the model worker was lost" in str(error)


@pytest.mark.parametrize(
    "payload",
    [b"no json", b"[]", b'{"type":1}', b'{"type":"content-delta","delta":{"message":{"content":{"text":"\xff"}}}}'],
)
def test_nonsense_is_the_provider_s_fault(payload: bytes) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        reader().feed(event(payload))


def test_events_that_are_not_known_say_nothing() -> None:
    assert reader().feed(event({"type": "debug", "prompt": "x"}) + event({"type": "new"})) is None


@steady
@given(
    st.sampled_from(
        [
            "message-start",
            "content-start",
            "content-delta",
            "tool-call-start",
            "tool-call-end",
            "message-end",
            "citation-start",
        ]
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(
                    ["message", "content", "text", "tool_calls", "function", "citations", "usage", "tokens"]
                ),
                inner,
                max_size=3,
            )
        ),
        max_leaves=6,
    ),
)
def test_any_event_is_words_or_the_provider_s_fault(kind: str, delta: Any) -> None:
    try:
        reader().feed(event(msgspec.json.encode({"type": kind, "index": 0, "delta": delta})))
    except UpstreamError:
        return


# ----------------------------------------------------------------------------------------- the rest


def test_vectors_come_in_the_order_of_the_texts() -> None:
    body = recording("cohere/embed.json")
    assert decode_embeddings(body, texts=2, provider="co") == ([(0.5, -0.25), (1.0, 0.0)], 6)
    for wrong in (body.replace(b"[0.5, -0.25]", b"[]"), b"{}", b'{"embeddings":{"int8":[[1]]}}'):
        with pytest.raises(UpstreamInvalidResponse):
            decode_embeddings(wrong, texts=2, provider="co")
    with pytest.raises(UpstreamInvalidResponse):
        decode_embeddings(body, texts=3, provider="co")


def test_a_ranking_is_of_what_was_sent() -> None:
    body = recording("cohere/rerank.json")
    assert decode_ranking(body, documents=3, provider="co").parts == (Ranked(2, 0.98), Ranked(0, 0.31))
    with pytest.raises(UpstreamInvalidResponse):
        decode_ranking(body, documents=2, provider="co")
    with pytest.raises(UpstreamInvalidResponse):
        decode_ranking(body.replace(b'"index": 0', b'"index": 2'), documents=3, provider="co")


def test_models_tell_their_context() -> None:
    listed = decode_models(recording("cohere/models.json"), provider="co")
    assert [(one.name, one.context_tokens) for one in listed] == [
        ("command-a-03-2025", 288_000),
        ("embed-v4.0", 128_000),
    ]


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (400, "error_400.json", UpstreamRejected),
        (400, "error_too_long.json", ContextLengthExceeded),
        (401, "error_401.json", UpstreamRefusedKey),
        (404, "error_404.json", ModelNotFound),
        (429, "error_429.json", UpstreamRateLimited),
        (498, "error_400.json", UpstreamRejected),
        (499, "error_400.json", UpstreamError),
        (503, "error_400.json", Unavailable),
        (504, "error_400.json", UpstreamTimeout),
        (500, "error_400.json", UpstreamError),
    ],
)
def test_each_status_has_its_own_error(status: int, name: str, kind: type[FarmError]) -> None:
    error = decode_error(status, recording(f"cohere/{name}"), provider="co", model="m")
    assert type(error) is kind
    assert "canary" not in error.message
