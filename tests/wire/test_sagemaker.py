"""SageMaker's envelope around a container's OpenAI stream, and whose error is whose."""

from __future__ import annotations

import pytest
from tests.fakes.eventstream import event, exception
from tests.fakes.reading import cuts, read, said_before
from tests.fakes.recordings import recorded_events, recording

from farmgate.core.answer import fold
from farmgate.core.errors import (
    FarmError,
    ModelNotFound,
    Unavailable,
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamRateLimited,
    UpstreamRefusedKey,
    UpstreamRejected,
    UpstreamStreamTruncated,
)
from farmgate.core.event import FinishReason, Usage
from farmgate.core.request import Kind
from farmgate.wire.openai.answers import decode_whole
from farmgate.wire.openai.stream import StreamReader as ContainerReader
from farmgate.wire.sagemaker.errors import decode_error
from farmgate.wire.sagemaker.stream import StreamReader


def reader() -> StreamReader:
    return StreamReader(ContainerReader(provider="there", show_usage=True), provider="there")


def test_any_cut_gives_the_same_answer() -> None:
    for pieces in cuts(b"".join(recorded_events("sagemaker/stream.jsonl"))):
        answer = read(reader, pieces)
        assert answer.text == "The gate opens at dawn. Ça va ?"
        assert answer.choices[0].finish is FinishReason.STOP
        assert answer.usage == Usage(prompt_tokens=17, completion_tokens=11)


def test_tool_calls_come_out_of_their_parts() -> None:
    choice = read(reader, recorded_events("sagemaker/tools_stream.jsonl")).choices[0]
    assert [(use.name, use.arguments) for use in choice.tools.values()] == [
        ("weather", '{"city": "Oslo"}'),
        ("clock", "{}"),
    ]
    assert choice.finish is FinishReason.TOOL_CALLS
    tools = (
        fold([decode_whole(recording("sagemaker/parallel_tools.json"), kind=Kind.CHAT, provider="there")])
        .choices[0]
        .tools
    )
    assert [use.name for use in tools.values()] == ["weather", "clock"]


def test_a_stream_that_is_cut_off_is_not_whole() -> None:
    messages = recorded_events("sagemaker/stream.jsonl")
    with pytest.raises(UpstreamStreamTruncated):
        read(reader, messages[:3])


def test_an_exception_in_mid_stream_is_told_behind_what_came_before() -> None:
    text, error = said_before(reader, b"".join(recorded_events("sagemaker/broken_stream.jsonl")))
    assert text == "The gate"
    assert isinstance(error, UpstreamError)
    assert "ModelStreamError" in str(error)
    assert "123456789012" not in str(error)


def test_an_exception_behind_a_whole_answer_changes_nothing() -> None:
    data = b"".join(recorded_events("sagemaker/stream.jsonl")) + exception("InternalStreamFailure", b"{}")
    assert read(reader, [data]).text == "The gate opens at dawn. Ça va ?"


def test_nonsense_is_never_relayed() -> None:
    for data in (b"data: {}\n\n" * 3, event("PayloadPart", b"data: no json\n\n")):
        with pytest.raises(UpstreamInvalidResponse):
            reader().feed(data)
    with pytest.raises(UpstreamInvalidResponse):
        StreamReader(ContainerReader(provider="p", show_usage=True), provider="p", frame_bytes=8).feed(
            event("PayloadPart", bytes(99))
        )


def test_events_that_are_not_known_say_nothing() -> None:
    assert reader().feed(event("Something", b"data: x\n\n")) is None


@pytest.mark.parametrize(
    ("status", "body", "kind", "part"),
    [
        (424, recording("sagemaker/error_424.json"), UpstreamRejected, "temperature must be non-negative"),
        (424, recording("sagemaker/error_429.json"), UpstreamRateLimited, "too many requests"),
        (424, b'{"Message":"it was lost"}', UpstreamError, "it was lost"),
        (424, b'{"OriginalStatusCode":401,"OriginalMessage":"x"}', UpstreamError, ""),
        (400, recording("sagemaker/error_400.json"), ModelNotFound, "no endpoint 'farm'"),
        (400, b'{"message":"small"}', UpstreamRejected, "small"),
        (403, b'{"Message":"User: arn:aws:iam::123456789012:user/x"}', UpstreamRefusedKey, "sagemaker:InvokeEndpoint"),
        (429, b'{"Message":"not ready"}', UpstreamRateLimited, "not ready"),
        (503, b"", Unavailable, "HTTP 503"),
        (530, b"<html>", UpstreamError, "HTTP 530"),
    ],
)
def test_each_error_is_told_as_whose_it_is(status: int, body: bytes, kind: type[FarmError], part: str) -> None:
    error = decode_error(status, body, provider="there", model="farm")
    assert type(error) is kind
    assert part in error.message
    assert "123456789012" not in error.message
