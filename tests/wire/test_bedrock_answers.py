"""Converse's answers, whole and streamed: the same words in any cut, and nothing believed that is not whole."""

from __future__ import annotations

import json
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from botocore.eventstream import EventStream
from botocore.parsers import EventStreamJSONParser, RestJSONParser
from botocore.session import Session
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.eventstream import event, exception, stream_error
from tests.fakes.reading import cuts, read, said_before
from tests.fakes.recordings import recorded_events, recorded_lines, recording

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
from farmgate.core.event import FinishReason, Usage
from farmgate.core.words import Embed, ToolUse
from farmgate.wire.bedrock.answers import decode_whole
from farmgate.wire.bedrock.embeddings import Maker, decode_embedding, encode_embeddings, maker_of
from farmgate.wire.bedrock.errors import decode_error
from farmgate.wire.bedrock.stream import StreamReader
from farmgate.wire.losses import Losses

steady = settings(max_examples=100, deadline=None, derandomize=True, database=None)
CALLS = {
    0: ToolUse(id="tooluse_a", name="weather", arguments='{"city": "Oslo"}'),
    1: ToolUse(id="tooluse_b", name="clock", arguments="{}"),
}


def reader() -> StreamReader:
    return StreamReader(provider="aws", model="m")


def whole(name: str) -> Answer:
    return fold([decode_whole(recording(f"bedrock/{name}"), provider="aws")])


# ----------------------------------------------------------------------------------------- recordings


@pytest.mark.parametrize("name", ["text", "tools", "parallel_tools", "reasoning", "structured"])
def test_aws_s_own_reader_knows_a_whole_recording(name: str) -> None:
    body = recording(f"bedrock/{name}.json")
    read = RestJSONParser().parse({"status_code": 200, "headers": {}, "body": body}, operation("Converse").output_shape)
    assert len(read["output"]["message"]["content"]) == len(json.loads(body)["output"]["message"]["content"])
    assert all(len(block) == 1 for block in read["output"]["message"]["content"])
    assert read["stopReason"] == json.loads(body)["stopReason"]


@pytest.mark.parametrize("name", ["stream", "tools_stream", "reasoning_stream"])
def test_aws_s_own_reader_knows_a_streamed_recording(name: str) -> None:
    stream = BytesIO(b"".join(recorded_events(f"bedrock/{name}.jsonl")))
    raw = SimpleNamespace(stream=lambda: iter([stream.read()]), close=stream.close)
    shape = operation("ConverseStream").output_shape.members["stream"]
    told = list(EventStream(raw, shape, EventStreamJSONParser(), "ConverseStream"))
    assert [next(iter(one)) for one in told] == [line["event"] for line in recorded_lines(f"bedrock/{name}.jsonl")]


def operation(name: str) -> Any:
    """What botocore knows of an operation."""
    return Session().get_service_model("bedrock-runtime").operation_model(name)


# ----------------------------------------------------------------------------------------- whole


def test_a_whole_answer_has_its_text_its_end_and_its_usage() -> None:
    answer = whole("text.json")
    assert answer.text == "The gate opens at dawn. Ça va ?"
    assert answer.choices[0].finish is FinishReason.STOP
    assert answer.usage == Usage(prompt_tokens=17, completion_tokens=11)


def test_tool_calls_of_a_whole_answer_keep_their_order_and_arguments() -> None:
    answer = whole("tools.json")
    assert answer.text == "I will look."
    assert answer.choices[0].tools == {
        0: ToolUse(id="tooluse_kZJMlvQmRJ6eAyJE5GIl7Q", name="weather", arguments='{"city":"Oslo","days":2}')
    }
    assert answer.choices[0].finish is FinishReason.TOOL_CALLS
    tools = whole("parallel_tools.json").choices[0].tools
    assert [(use.id, use.arguments) for use in tools.values()] == [
        ("tooluse_a", '{"city":"Oslo"}'),
        ("tooluse_b", "{}"),
    ]


def test_thoughts_come_with_their_proof() -> None:
    choice = whole("reasoning.json").choices[0]
    assert choice.reasoning == "Dawn is when the gate opens."
    assert (choice.signature, choice.redacted) == ("c2lnbmF0dXJl", ["cmVkYWN0ZWQ="])
    assert (choice.text, choice.finish, choice.stop) == ("At dawn. ", FinishReason.STOP, "END")


def saying(stop_reason: str = "end_turn", *content: object, **usage: object) -> bytes:
    told = {"output": {"message": {"content": content}}, "stopReason": stop_reason, "usage": usage or None}
    return json.dumps(told).encode()


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("guardrail_intervened", FinishReason.CONTENT_FILTER),
        ("content_filtered", FinishReason.CONTENT_FILTER),
        ("stop_sequence", FinishReason.STOP),
        ("something_new", FinishReason.STOP),
    ],
)
def test_why_it_ended_is_told_in_openai_s_words(told: str, reason: FinishReason) -> None:
    assert fold([decode_whole(saying(told, {"text": "a"}), provider="aws")]).choices[0].finish is reason


def test_what_the_model_wrote_wrongly_is_the_provider_s_failure() -> None:
    for reason in ("malformed_tool_use", "malformed_model_output"):
        with pytest.raises(UpstreamError, match="ask again"):
            decode_whole(saying(reason), provider="aws")


def test_cached_tokens_are_among_the_prompt_s() -> None:
    usage = {"inputTokens": 10, "outputTokens": 2, "cacheReadInputTokens": 100, "cacheWriteInputTokens": 7}
    answer = fold([decode_whole(saying("end_turn", {"text": "a"}, **usage), provider="aws")])
    assert answer.usage == Usage(prompt_tokens=117, completion_tokens=2, cached_tokens=100, cache_write_tokens=7)
    assert fold([decode_whole(saying("end_turn", inputTokens=-1), provider="aws")]).usage is None


def test_pages_a_text_rests_on_are_annotations() -> None:
    cited = {
        "content": [{"text": "At "}, {"text": "dawn."}],
        "citations": [
            {"title": "Rules", "location": {"web": {"url": "https://gate.example/rules"}}},
            {"title": "Sent", "location": {"documentChar": {"documentIndex": 0}}},
        ],
    }
    choice = fold([decode_whole(saying("end_turn", {"citationsContent": cited}), provider="aws")]).choices[0]
    assert choice.text == "At dawn."
    page = {"url": "https://gate.example/rules", "title": "Rules"}
    assert choice.annotations == [{"type": "url_citation", "url_citation": page}]


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b'{"output":1}', b"\xff", b'{"output":{"message":{"content":[{"text":1}]}},"stopReason":"x"}'],
)
def test_what_is_no_answer_is_not_taken_for_one(body: bytes) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        decode_whole(body, provider="aws")


# ----------------------------------------------------------------------------------------- streams


def test_any_cut_of_a_stream_gives_the_same_answer() -> None:
    for pieces in cuts(b"".join(recorded_events("bedrock/stream.jsonl"))):
        answer = read(reader, pieces)
        assert answer.text == "The gate opens at dawn. Ça va ?"
        assert answer.choices[0].finish is FinishReason.STOP
        assert answer.usage == Usage(prompt_tokens=137, completion_tokens=11, cached_tokens=100, cache_write_tokens=20)


def test_any_cut_of_streamed_tool_calls_gives_the_same_calls() -> None:
    for pieces in cuts(b"".join(recorded_events("bedrock/tools_stream.jsonl"))):
        choice = read(reader, pieces).choices[0]
        assert (choice.text, choice.tools, choice.finish) == ("I will look.", CALLS, FinishReason.TOOL_CALLS)


def test_streamed_thoughts_come_with_their_proof() -> None:
    choice = read(reader, recorded_events("bedrock/reasoning_stream.jsonl")).choices[0]
    assert choice.reasoning == "Dawn is when the gate opens."
    assert (choice.signature, choice.redacted) == ("c2lnbmF0dXJl", ["cmVkYWN0ZWQ="])
    assert (choice.text, choice.stop) == ("At dawn. ", "END")


def test_a_stream_is_whole_only_once_it_said_that_it_stopped() -> None:
    messages = recorded_events("bedrock/stream.jsonl")
    data = b"".join(messages)
    stopped = len(b"".join(messages[:5]))
    for at in range(len(data)):
        cut = reader()
        cut.feed(data[:at])
        if at >= stopped:
            cut.end()
        else:
            with pytest.raises(UpstreamStreamTruncated):
                cut.end()


def test_nothing_is_read_behind_the_usage() -> None:
    done = reader()
    done.feed(b"".join(recorded_events("bedrock/stream.jsonl")))
    assert done.is_done
    assert done.feed(event("contentBlockDelta", b'{"delta":{"text":"more"}}')) is None
    assert done.end() is None


def test_an_exception_in_mid_stream_is_told_behind_what_came_before() -> None:
    text, error = said_before(reader, b"".join(recorded_events("bedrock/throttled_stream.jsonl")))
    assert text == "The gate"
    assert isinstance(error, UpstreamRateLimited)
    assert "wait before trying" in error.message


def test_an_exception_behind_the_end_changes_nothing() -> None:
    messages = [*recorded_events("bedrock/stream.jsonl")[:5], exception("internalServerException", b"{}")]
    answer = read(reader, messages)
    assert (answer.text, answer.usage) == ("The gate opens at dawn. Ça va ?", None)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (exception("throttlingException", b'{"message":"m"}'), UpstreamRateLimited),
        (exception("validationException", b'{"message":"m"}'), UpstreamRejected),
        (
            exception("validationException", b'{"message":"Input is too long for requested model."}'),
            ContextLengthExceeded,
        ),
        (exception("internalServerException", b'{"message":"m"}'), UpstreamError),
        (exception("modelStreamErrorException", b'{"message":"m"}'), UpstreamError),
        (exception("modelTimeoutException", b"{}"), UpstreamTimeout),
        (exception("serviceUnavailableException", b"no json"), Unavailable),
        (exception("somethingNew", b"{}"), UpstreamError),
        (stream_error("InternalFailure", "lost"), UpstreamError),
        (event("contentBlockDelta", b"no json"), UpstreamInvalidResponse),
        (event("contentBlockDelta", b'{"delta":{"text":"\xff"}}'), UpstreamInvalidResponse),
        (event("messageStop", b'{"stopReason":"malformed_tool_use"}'), UpstreamError),
        (event("messageStart", b"{}")[:-1] + b"\0", UpstreamInvalidResponse),
    ],
)
def test_what_breaks_a_stream_has_its_own_error(message: bytes, kind: type[FarmError]) -> None:
    with pytest.raises(FarmError) as caught:
        reader().feed(message)
    assert type(caught.value) is kind


def test_events_that_are_not_known_say_nothing() -> None:
    assert reader().feed(event("imageBlockThing", b'{"new":[1]}')) is None


@steady
@given(
    st.sampled_from(
        ["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"]
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(
                    ["delta", "text", "toolUse", "start", "input", "name", "toolUseId", "usage", "stopReason"]
                ),
                inner,
                max_size=3,
            )
        ),
        max_leaves=6,
    ),
)
def test_any_payload_is_words_or_the_provider_s_fault(kind: str, payload: Any) -> None:
    try:
        reader().feed(event(kind, msgspec.json.encode(payload)))
    except UpstreamError:
        return


# ----------------------------------------------------------------------------------------- errors and embeddings


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (400, "error_400.json", UpstreamRejected),
        (400, "error_too_long.json", ContextLengthExceeded),
        (400, "error_model.json", ModelNotFound),
        (404, "error_400.json", ModelNotFound),
        (403, "error_403.json", UpstreamRefusedKey),
        (429, "error_429.json", UpstreamRateLimited),
        (408, "error_429.json", UpstreamTimeout),
        (424, "error_429.json", UpstreamError),
        (503, "error_429.json", Unavailable),
        (500, "error_429.json", UpstreamError),
    ],
)
def test_each_status_has_its_own_error(status: int, name: str, kind: type[FarmError]) -> None:
    error = decode_error(status, recording(f"bedrock/{name}"), provider="aws", model="m")
    assert type(error) is kind
    assert "123456789012" not in error.message


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b'{"message":1}', b"<html>"])
def test_an_error_without_words_is_told_by_its_status(body: bytes) -> None:
    assert decode_error(500, body, provider="aws").message == "aws answered HTTP 500."


def test_titan_takes_a_text_a_request_and_cohere_many() -> None:
    words = Embed(inputs=tuple(map(str, range(100))), dimensions=256)
    bodies = encode_embeddings(words, Maker.TITAN, Losses("aws"))
    assert len(bodies) == 100
    assert json.loads(bodies[7]) == {"inputText": "7", "dimensions": 256}
    first, second = map(json.loads, encode_embeddings(words, Maker.COHERE, Losses("aws")))
    assert (len(first["texts"]), len(second["texts"])) == (96, 4)
    del first["texts"]
    assert first == {
        "input_type": "search_document",
        "truncate": "NONE",
        "embedding_types": ["float"],
        "output_dimension": 256,
    }


def test_embeddings_are_read_in_both_forms() -> None:
    titan = decode_embedding(recording("bedrock/titan.json"), Maker.TITAN, provider="aws")
    assert (titan.vectors, titan.tokens) == ([(0.5, -0.25, 0.125)], 4)
    cohere = decode_embedding(recording("bedrock/cohere_embed.json"), Maker.COHERE, provider="aws")
    assert (cohere.vectors, cohere.tokens) == ([(0.5, -0.25), (1.0, 0.0)], None)
    assert decode_embedding(b'{"embeddings":[[1.0]]}', Maker.COHERE, provider="aws").vectors == [(1.0,)]
    for body in (b"{}", b'{"embeddings":{}}', b'{"embeddings":{"float":[[]]}}', b"[", b'{"embedding":[]}'):
        for maker in (Maker.TITAN, Maker.COHERE):
            with pytest.raises(UpstreamInvalidResponse):
                decode_embedding(body, maker, provider="aws")


def test_whose_a_model_is_stands_in_its_id() -> None:
    assert maker_of("amazon.titan-embed-text-v2:0", provider="aws") is Maker.TITAN
    assert maker_of("amazon.titan-embed-text-v1", provider="aws") is Maker.TITAN_V1
    assert maker_of("amazon.titan-embed-image-v1", provider="aws") is Maker.TITAN_IMAGE
    assert maker_of("us.cohere.embed-v4:0", provider="aws") is Maker.COHERE
    with pytest.raises(FarmError) as caught:
        maker_of("anthropic.claude", provider="aws")
    assert caught.value.code == "model_not_capable"
