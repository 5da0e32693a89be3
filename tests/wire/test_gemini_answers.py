"""Google's answers, streams and errors in our words, from recordings of each."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from tests.fakes.recordings import ID, recording

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
from farmgate.core.event import Event, Finish, FinishReason, Logprobs, Reasoning, Text, ToolDelta, Usage
from farmgate.core.words import ToolUse
from farmgate.wire.gemini.answers import decode_whole
from farmgate.wire.gemini.calls import is_ours
from farmgate.wire.gemini.embeddings import decode_batch, decode_one, decode_predictions
from farmgate.wire.gemini.errors import decode_error, decode_told_error
from farmgate.wire.gemini.models import decode_models
from farmgate.wire.gemini.stream import StreamReader
from farmgate.wire.gemini.usage import decode_usage

PROOF = "CiQB0e2Kb3JlY29yZGluZ3Mgb2YgYSB0aG91Z2h0IHNpZ25hdHVyZQ=="
STREAMS = {
    "gemini/stream.sse": 1,
    "gemini/tools_stream.sse": 1,
    "gemini/parallel_tools_stream.sse": 1,
    "gemini/reasoning_stream.sse": 1,
    "gemini/candidates_stream.sse": 2,
    "gemini/safety_stream.sse": 1,
    "vertex/stream.sse": 1,
}


def whole(name: str) -> Answer:
    return fold([decode_whole(recording(name), provider="google", model="m", request_id=ID)])


def reader(choices: int = 1) -> StreamReader:
    return StreamReader(provider="google", model="m", request_id=ID, choices=choices)


def read(data: bytes, *, size: int | None = None, choices: int = 1) -> list[Event]:
    """The events of a stream fed in pieces of `size`, as an exchange reads it."""
    one = reader(choices)
    size = size or len(data)
    events = [one.feed(data[at : at + size]) for at in range(0, len(data), size)]
    events.append(one.end())
    return [event for event in events if event is not None]


def streamed(name: str) -> Answer:
    return fold(read(recording(name), choices=STREAMS[name]))


# ------------------------------------------------------------------------------------------------ whole answers


def test_a_text_is_read_with_what_it_cost() -> None:
    answer = whole("gemini/text.json")
    assert answer.text == "A gate keeps the herd in and the fox out."
    assert answer.choices[0].finish is FinishReason.STOP
    assert answer.usage == Usage(prompt_tokens=9, completion_tokens=12)


def test_a_call_keeps_its_id_and_its_proof() -> None:
    answer = whole("gemini/tools.json")
    call = ToolUse(id="k3j9x2aa", name="get_weather", arguments='{"city": "Zürich", "days": 2}', signature=PROOF)
    told = answer.choices[0].tools[0]
    assert json.loads(told.arguments) == json.loads(call.arguments)
    assert (told.id, told.name, told.signature) == (call.id, call.name, call.signature)
    assert answer.choices[0].finish is FinishReason.TOOL_CALLS
    assert answer.usage == Usage(prompt_tokens=61, completion_tokens=110, reasoning_tokens=92)


def test_calls_without_ids_are_given_some_that_differ() -> None:
    calls = whole("gemini/parallel_tools.json").choices[0].tools
    assert [calls[at].name for at in range(3)] == ["get_weather", "get_weather", "get_time"]
    assert len({calls[at].id for at in range(3)}) == 3
    assert all(is_ours(calls[at].id) for at in range(3))
    assert calls[2].arguments == "{}"


def test_thoughts_stand_apart_from_the_answer() -> None:
    answer = whole("gemini/reasoning.json")
    choice = answer.choices[0]
    assert (choice.reasoning, choice.text) == ("**Counting**\n\nTwo gates, three fences.", "Five in all.")
    assert choice.signature == PROOF
    assert answer.usage == Usage(prompt_tokens=14, completion_tokens=123, reasoning_tokens=118)


def test_what_was_cached_is_part_of_the_prompt() -> None:
    answer = whole("gemini/structured.json")
    assert json.loads(answer.text) == {"animal": "fox", "legs": 4}
    assert answer.usage == Usage(prompt_tokens=22, completion_tokens=11, cached_tokens=16)


def test_several_answers_are_kept_apart() -> None:
    choices = whole("gemini/candidates.json").choices
    assert [(choices[at].text, choices[at].finish) for at in (0, 1)] == [
        ("Red.", FinishReason.STOP),
        ("Russet and", FinishReason.LENGTH),
    ]


def test_log_probabilities_are_told_as_openai_tells_them() -> None:
    assert whole("gemini/logprobs.json").choices[0].logprobs == [
        {
            "token": "Yes",
            "logprob": -0.02,
            "bytes": [89, 101, 115],
            "top_logprobs": [
                {"token": "Yes", "logprob": -0.02, "bytes": [89, 101, 115]},
                {"token": "No", "logprob": -4.1, "bytes": [78, 111]},
            ],
        }
    ]


def test_a_prompt_that_was_blocked_is_a_refusal_that_says_why() -> None:
    answer = whole("gemini/blocked.json")
    choice = answer.choices[0]
    assert choice.refusal == "google does not answer this prompt: its filter says PROHIBITED_CONTENT."
    assert (choice.text, choice.finish) == ("", FinishReason.CONTENT_FILTER)
    assert answer.usage == Usage(prompt_tokens=11)


def test_vertex_leaves_out_the_index() -> None:
    answer = whole("vertex/tools.json")
    assert [use.name for use in answer.choices[0].tools.values()] == ["get_weather", "get_weather"]


@pytest.mark.parametrize("reason", ["RECITATION", "BLOCKLIST", "SPII", "OTHER", "LANGUAGE", "IMAGE_SAFETY"])
def test_what_a_filter_ended_is_said_to_be_filtered(reason: str) -> None:
    body = json.dumps({"candidates": [{"finishReason": reason}]}).encode()
    assert fold([decode_whole(body, provider="google")]).choices[0].finish is FinishReason.CONTENT_FILTER


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"])
def test_a_call_that_went_wrong_is_the_providers_failure(reason: str) -> None:
    body = json.dumps({"candidates": [{"finishReason": reason, "finishMessage": "print(x"}]}).encode()
    with pytest.raises(UpstreamInvalidResponse, match=rf"{reason}.*print\(x"):
        decode_whole(body, provider="google")


def test_a_reason_nobody_knows_yet_ends_the_answer() -> None:
    body = b'{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"SOMETHING_NEW"}]}'
    assert fold([decode_whole(body, provider="google")]).choices[0].finish is FinishReason.STOP


def test_a_whole_answer_that_does_not_say_that_it_ended_has() -> None:
    body = b'{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}'
    assert decode_whole(body, provider="google").parts == (Text("a"), Finish())


def test_null_is_as_good_as_absent() -> None:
    part = {"text": None, "thought": None, "thoughtSignature": None, "functionCall": None, "inlineData": None}
    spare = {"content": {"parts": [part, {"text": "a"}], "role": None}, "finishReason": "STOP", "index": None}
    more = {"logprobsResult": {"chosenCandidates": None}, "finishMessage": None, "unknown": {"x": 1}}
    body = {"candidates": [spare | more], "promptFeedback": None, "usageMetadata": None, "error": None}
    assert decode_whole(json.dumps(body).encode(), provider="google").parts == (Text("a"), Finish())
    empty = b'{"candidates":[{"content":null,"finishReason":"STOP"}]}'
    assert decode_whole(empty, provider="google").parts == (Finish(),)


def test_an_image_in_an_answer_is_not_lost_in_silence() -> None:
    drawn = {"parts": [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]}
    with pytest.raises(UpstreamInvalidResponse, match="image/png"):
        decode_whole(json.dumps({"candidates": [{"content": drawn}]}).encode(), provider="google")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"<html>",
        b'{"candidates":[]}',
        b'{"candidates":{}}',
        b'{"candidates":[{"content":{"parts":[{"text":1}]}}]}',
        b'{"candidates":[{"content":{"parts":[{"functionCall":{}}]}}]}',
        b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":[1]}}]}}]}',
        b'{"candidates":[{"content":{"parts":[{"text":"\xff"}]}}]}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_answer_is_the_providers_fault(body: bytes) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        decode_whole(body, provider="google")


NAMES = some.sampled_from(
    [
        *("candidates", "content", "parts", "text", "thought", "thoughtSignature", "functionCall", "name", "args"),
        *("finishReason", "index", "usageMetadata", "promptTokenCount", "promptFeedback", "blockReason", "error"),
        *("code", "message", "status", "details", "logprobsResult", "chosenCandidates", "x"),
    ]
)
JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=5),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(told=some.dictionaries(NAMES, JSON, max_size=4))
def test_any_json_is_an_answer_or_the_providers_fault(told: object) -> None:
    body = json.dumps(told).encode()
    for ask in (
        lambda: decode_whole(body, provider="google"),
        lambda: read(b"data: " + body + b"\n\n"),
        lambda: decode_batch(body, inputs=1, provider="google"),
        lambda: decode_predictions(body, inputs=1, provider="google"),
        lambda: decode_one(body, provider="google"),
        lambda: decode_models(body, provider="google"),
    ):
        with suppress(FarmError):
            ask()
    assert isinstance(decode_error(400, body, provider="google"), FarmError)


# ------------------------------------------------------------------------------------------------ streams


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_says_the_same_however_it_is_cut(name: str) -> None:
    data = recording(name)
    once = fold(read(data, choices=STREAMS[name]))
    for size in (1, 2, 7, 64):
        assert fold(read(data, size=size, choices=STREAMS[name])) == once
    for at in range(1, len(data), 11):
        one = reader(STREAMS[name])
        events = [one.feed(data[:at]), one.feed(data[at:]), one.end()]
        assert fold([event for event in events if event is not None]) == once


@pytest.mark.parametrize(
    ("stream", "same"),
    [
        ("gemini/stream.sse", None),
        ("gemini/parallel_tools_stream.sse", "gemini/parallel_tools.json"),
        ("gemini/reasoning_stream.sse", "gemini/reasoning.json"),
        ("gemini/candidates_stream.sse", "gemini/candidates.json"),
        ("vertex/stream.sse", "vertex/text.json"),
    ],
)
def test_a_stream_folds_into_the_whole_answer(stream: str, same: str | None) -> None:
    answer = streamed(stream)
    if same is None:
        assert answer.text == "A gate keeps the herd in, and the 🦊 out."
        return
    other = whole(same)
    assert {at: (one.text, one.reasoning, one.finish, one.signature) for at, one in answer.choices.items()} == {
        at: (one.text, one.reasoning, one.finish, one.signature) for at, one in other.choices.items()
    }
    assert [one.tools for one in answer.choices.values()] == [one.tools for one in other.choices.values()]
    assert answer.usage == other.usage


@pytest.mark.parametrize("name", STREAMS)
def test_usage_is_told_once_though_each_piece_tells_it(name: str) -> None:
    parts = [part for event in read(recording(name), size=1, choices=STREAMS[name]) for part in event.parts]
    assert len([part for part in parts if isinstance(part, Usage)]) == 1


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_cut_off_before_its_end_is_not_an_answer(name: str) -> None:
    data = recording(name)
    last = data.rstrip().rfind(b"data: ")
    for at in range(0, last, 13):
        one = reader(STREAMS[name])
        one.feed(data[:at])
        with pytest.raises(UpstreamStreamTruncated):
            one.end()


def test_a_call_in_a_stream_comes_in_one_piece() -> None:
    parts = [part for event in read(recording("gemini/tools_stream.sse")) for part in event.parts]
    calls = [part for part in parts if isinstance(part, ToolDelta)]
    assert [(call.index, call.id, call.name, call.signature) for call in calls] == [
        (0, "k3j9x2aa", "get_weather", PROOF)
    ]
    assert parts[-2:] == [
        Finish(FinishReason.TOOL_CALLS),
        Usage(prompt_tokens=61, completion_tokens=110, reasoning_tokens=92),
    ]


def test_the_end_is_known_before_the_connection_closes() -> None:
    one = reader()
    one.feed(recording("gemini/stream.sse"))
    assert one.is_done
    assert one.feed(b"data: nonsense\n\n") is None
    assert one.end() is None


def test_one_of_two_answers_is_not_the_end() -> None:
    first, *_ = recording("gemini/candidates_stream.sse").split(b"\r\n\r\n")
    one = reader(choices=2)
    one.feed(first + b"\r\n\r\n")
    assert not one.is_done


def test_what_a_filter_ended_in_a_stream_keeps_what_was_said() -> None:
    answer = streamed("gemini/safety_stream.sse")
    assert (answer.text, answer.choices[0].finish) == ("To begin with,", FinishReason.CONTENT_FILTER)


@pytest.mark.parametrize(
    ("name", "said", "error"),
    [
        ("gemini/error_stream.sse", "A gate", Unavailable),
        ("gemini/malformed_call_stream.sse", "I shall call it.", UpstreamInvalidResponse),
    ],
)
def test_an_error_behind_words_comes_after_them(name: str, said: str, error: type[FarmError]) -> None:
    one = reader()
    event = one.feed(recording(name))
    assert event is not None
    assert event.parts == (Text(said),)
    with pytest.raises(error):
        one.end()
    with pytest.raises(error):
        read(recording(name), size=1)


def test_a_prompt_blocked_in_a_stream_ends_it() -> None:
    data = b"data: " + json.dumps(json.loads(recording("gemini/blocked.json"))).encode() + b"\r\n\r\n"
    one = reader(choices=3)
    event = one.feed(data)
    assert event is not None
    assert one.is_done
    assert Finish(FinishReason.CONTENT_FILTER) in event.parts


@pytest.mark.parametrize("frame", [b"data: {\n\n", b"data: []\n\n", b"data: \xff\n\n", b"data: [DONE]\n\n"])
def test_a_frame_that_is_no_piece_of_an_answer_breaks_the_stream(frame: bytes) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        reader().feed(frame)


def test_a_frame_larger_than_the_limit_breaks_the_stream() -> None:
    with pytest.raises(UpstreamInvalidResponse):
        StreamReader(provider="google", frame_bytes=100).feed(b"data: " + b"x" * 200)


# ------------------------------------------------------------------------------------------------ what it cost


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"promptTokenCount": 5, "toolUsePromptTokenCount": 7}, Usage(prompt_tokens=12)),
        ({"promptTokenCount": 5, "cachedContentTokenCount": 9}, Usage(prompt_tokens=5, cached_tokens=5)),
        ({"promptTokenCount": -5, "candidatesTokenCount": 1}, Usage(completion_tokens=1)),
        ({"promptTokenCount": 1 << 60, "candidatesTokenCount": 1}, Usage(completion_tokens=1)),
        ({"promptTokenCount": None}, None),
        ({"promptTokenCount": "5"}, None),
        ({"trafficType": "ON_DEMAND"}, None),
    ],
)
def test_only_figures_that_can_be_true_are_believed(told: object, usage: Usage | None) -> None:
    assert decode_usage(json.dumps(told).encode()) == usage


# ------------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (400, "gemini/error_400.json", UpstreamRejected),
        (400, "gemini/error_400_key.json", UpstreamRefusedKey),
        (400, "gemini/error_400_long.json", ContextLengthExceeded),
        (400, "vertex/error_400_long.json", ContextLengthExceeded),
        (403, "gemini/error_403.json", UpstreamRefusedKey),
        (403, "vertex/error_403.json", UpstreamRefusedKey),
        (404, "gemini/error_404.json", ModelNotFound),
        (404, "vertex/error_404.json", ModelNotFound),
        (429, "gemini/error_429.json", UpstreamRateLimited),
        (429, "vertex/error_429.json", UpstreamRateLimited),
        (500, "gemini/error_500.json", UpstreamError),
        (503, "gemini/error_503.json", Unavailable),
    ],
)
def test_each_error_is_told_as_what_it_is(status: int, name: str, kind: type[FarmError]) -> None:
    error = decode_error(status, recording(name), provider="google", model="m")
    assert type(error) is kind
    assert type(decode_told_error(recording(name), provider="google")) is kind


def test_a_limit_says_when_to_come_back() -> None:
    assert decode_error(429, recording("gemini/error_429.json"), provider="g").retry_after_s == 34.0
    assert decode_error(429, recording("vertex/error_429.json"), provider="g").retry_after_s is None
    odd = b'{"error":{"details":[{"retryDelay":"soon"}]}}'
    assert decode_error(429, odd, provider="g").retry_after_s is None


def test_a_refused_credential_is_told_without_the_providers_words() -> None:
    for name in ("gemini/error_400_key.json", "vertex/error_403.json"):
        told = decode_error(403, recording(name), provider="google").message
        assert "ai.providers.google" in told
        assert "valid API key" not in told
        assert "farm-project" not in told


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"3", b'{"error":3}', b'{"error":{"message":3,"details":{}}}', b"[" * 9999]
)
def test_an_error_without_words_is_told_by_its_status(body: bytes) -> None:
    assert decode_error(500, body, provider="google").message == "google answered HTTP 500."


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (408, UpstreamTimeout),
        (499, UpstreamTimeout),
        (504, UpstreamTimeout),
        (502, UpstreamError),
        (409, UpstreamRejected),
    ],
)
def test_other_statuses_mean_what_they_say(status: int, kind: type[FarmError]) -> None:
    assert type(decode_error(status, b'[{"error":{"message":"so"}}]', provider="google")) is kind


def test_a_message_is_cut_where_it_is_long() -> None:
    body = json.dumps({"error": {"message": "x" * 10_000}}).encode()
    assert len(decode_error(400, body, provider="google").message) < 2_100


# ------------------------------------------------------------------------------------------------ embeddings, models


def test_embeddings_are_read_in_their_three_forms() -> None:
    batch = fold([decode_batch(recording("gemini/embeddings.json"), inputs=2, provider="google")])
    assert batch.vectors == {0: (0.25, -0.5, 0.125), 1: (0.0, 1.0, -0.75)}
    assert batch.usage is None
    predicted = fold([decode_predictions(recording("vertex/predictions.json"), inputs=2, provider="google")])
    assert predicted.vectors == {0: (0.5, -0.25), 1: (0.125, 1.0)}
    assert predicted.usage == Usage(prompt_tokens=10)
    one = fold([decode_one(recording("vertex/embedding.json"), provider="google")])
    assert (one.vectors, one.usage) == ({0: (0.5, -0.25)}, Usage(prompt_tokens=4))


@pytest.mark.parametrize(
    "body", [b"{}", b'{"embeddings":[{"values":[]}]}', b'{"embeddings":[{}]}', b"x", b'{"embeddings":3}']
)
def test_a_vector_that_is_missing_or_empty_is_the_providers_fault(body: bytes) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        decode_batch(body, inputs=1, provider="google")


def test_models_that_can_be_asked_are_listed_with_their_contexts() -> None:
    page = decode_models(recording("gemini/models.json"), provider="google")
    assert [(model.name, model.context_tokens, model.description) for model in page.models] == [
        ("gemini-2.5-flash", 1048576, "Gemini 2.5 Flash"),
        ("gemini-embedding-001", 2048, "Gemini Embedding 001"),
    ]
    assert page.next == "Ch9tb2RlbHMv+/="
    last = decode_models(recording("gemini/models_2.json"), provider="google")
    assert ([model.name for model in last.models], last.next) == (["gemini-3-pro-preview"], None)


def test_parts_that_say_something_are_told_from_bookkeeping() -> None:
    proof = b'{"candidates":[{"content":{"parts":[{"text":"","thoughtSignature":"x"}]},"finishReason":"STOP"}]}'
    assert decode_whole(proof, provider="g").parts == (Reasoning("", signature="x"), Finish())
    logprobs = b'{"candidates":[{"logprobsResult":{"chosenCandidates":[{"token":"a"}]},"finishReason":"STOP"}]}'
    said = decode_whole(logprobs, provider="g").parts[0]
    assert isinstance(said, Logprobs)
    assert said.tokens[0]["top_logprobs"] == []
