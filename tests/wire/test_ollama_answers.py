"""Ollama's dialect: what its answers, lists, errors and pulls mean."""

from __future__ import annotations

import json

import pytest

from farmgate.core.answer import fold
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
from farmgate.core.event import Event, Finish, FinishReason, Part, Reasoning, Text, ToolDelta, Usage, Vector
from farmgate.core.model import Capability
from farmgate.core.ports import Progress
from farmgate.wire.ollama.embeddings import decode_embeddings
from farmgate.wire.ollama.errors import decode_error
from farmgate.wire.ollama.models import decode_installed, decode_resident, decode_show, full_name, is_cloud
from farmgate.wire.ollama.pull import PullReader
from farmgate.wire.ollama.stream import StreamReader

CHAT = b"".join(
    json.dumps(line, ensure_ascii=False).encode() + b"\n"
    for line in (
        {"model": "m", "message": {"role": "assistant", "content": "", "thinking": "hm"}, "done": False},
        {"model": "m", "message": {"role": "assistant", "content": "Grüß"}, "done": False},
        {"model": "m", "message": {"role": "assistant", "content": " Gott"}, "done": False},
        {
            "model": "m",
            "message": {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "x", "function": {"index": 0, "name": "f", "arguments": {"a": [1, 2]}}}],
            },
            "done": False,
        },
        {
            "model": "m",
            "message": {"content": "", "tool_calls": [{"function": {"name": "g", "arguments": {}}}]},
            "done": False,
        },
        {
            "model": "m",
            "message": {"role": "assistant", "content": ""},
            "done": True,
            "done_reason": "stop",
            "prompt_eval_count": 7,
            "eval_count": 5,
        },
    )
)


def read(*pieces: bytes, frame_bytes: int = 1 << 20) -> list[Event]:
    """All events of a stream that came in these pieces. Raises what breaks it."""
    reader = StreamReader(provider="ollama", model="m", frame_bytes=frame_bytes)
    events = [reader.feed(piece) for piece in pieces]
    if not reader.is_done:
        events.append(reader.end())
    assert reader.is_done
    return [event for event in events if event is not None]


def parts(*pieces: bytes) -> list[Part]:
    return [part for event in read(*pieces) for part in event.parts]


def test_a_chat_is_read_part_by_part() -> None:
    assert parts(CHAT) == [
        Reasoning("hm"),
        Text("Grüß"),
        Text(" Gott"),
        ToolDelta(index=0, id="x", name="f", arguments='{"a": [1, 2]}'),
        ToolDelta(index=1, id="call_1", name="g", arguments="{}"),
        Finish(FinishReason.TOOL_CALLS),
        Usage(prompt_tokens=7, completion_tokens=5),
    ]


def test_one_read_is_one_event() -> None:
    assert len(read(CHAT)) == 1


def test_the_cut_of_the_bytes_makes_no_difference() -> None:
    whole = parts(CHAT)
    assert parts(*(CHAT[at : at + 1] for at in range(len(CHAT)))) == whole
    for at in range(len(CHAT) + 1):
        assert parts(CHAT[:at], CHAT[at:]) == whole
    assert parts(CHAT.replace(b"\n", b"\r\n")) == whole
    assert parts(CHAT.rstrip(b"\n")) == whole


def test_a_stream_cut_anywhere_is_never_taken_for_whole() -> None:
    for at in range(len(CHAT) - 1):  # Without its last newline the last line is still there.
        with pytest.raises(UpstreamStreamTruncated):
            read(CHAT[:at])


def test_generate_says_response() -> None:
    stream = b'{"response":"a","thinking":"t","done":false}\n{"response":"b","done":true,"done_reason":"stop"}\n'
    assert fold(read(stream)).text == "ab"
    assert fold(read(stream)).choices[0].reasoning == "t"


def test_a_reason_alone_ends_an_answer() -> None:
    assert parts(b'{"message":{"content":"a"},"done_reason":"length"}\n') == [
        Text("a"),
        Finish(FinishReason.LENGTH),
        Usage(),
    ]


def test_counts_that_are_left_out_or_absurd_are_zero() -> None:
    assert parts(b'{"done":true,"eval_count":3}\n')[-1] == Usage(completion_tokens=3)
    assert parts(b'{"done":true,"eval_count":-3,"prompt_eval_count":null}\n')[-1] == Usage()


def test_nothing_behind_the_end_is_read() -> None:
    assert parts(b'{"done":true}\n{"message":{"content":"more"}}\nnonsense\n') == [Finish(), Usage()]


def test_arguments_that_come_as_text_are_that_text() -> None:
    stream = b'{"message":{"tool_calls":[{"function":{"name":"f","arguments":"{\\"a\\":1}"}}]},"done":true}\n'
    assert parts(stream)[0] == ToolDelta(index=0, id="call_0", name="f", arguments='{"a":1}')


def test_an_error_line_is_the_error_even_after_text() -> None:
    reader = StreamReader(provider="ollama", model="m")
    reader.feed(b'{"message":{"content":"a"},"done":false}\n')
    with pytest.raises(UpstreamError, match="ollama: runner crashed"):
        reader.feed(b'{"error":"runner crashed"}\n')


def test_an_error_line_may_bring_its_status() -> None:
    with pytest.raises(UpstreamRateLimited):
        read(b'{"error":"slow down","status":429}\n')
    with pytest.raises(UpstreamError, match="no newline"):
        read(b'{"error":"no newline"}')


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"[]",
        b'"text"',
        b'{"message":"text"}',
        b'{"done":"yes"}',
        b'{"message":{"content":"\xff"}}',
        b'{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"a":"\xff"}}}]}}',
        b"NaN",
    ],
)
def test_a_line_that_is_no_piece_of_an_answer_is_told_apart(line: bytes) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        read(line + b"\n")


def test_nesting_without_end_is_told_apart_too() -> None:
    with pytest.raises(UpstreamInvalidResponse):
        read(b'{"x":' + b"[" * 200_000 + b"\n")


def test_a_huge_line_is_refused() -> None:
    with pytest.raises(UpstreamInvalidResponse, match="larger"):
        read(b'{"message":{"content":"' + b"x" * 2000, frame_bytes=1000)


# --------------------------------------------------------------------------------------------- the rest


def test_embeddings_are_vectors_in_order() -> None:
    event = decode_embeddings(b'{"embeddings":[[1,2.5],[3,4]],"prompt_eval_count":6}', inputs=2, provider="ollama")
    assert event.parts == (Vector((1.0, 2.5), 0), Vector((3.0, 4.0), 1), Usage(prompt_tokens=6))


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"embeddings":[[1]]}', b'{"embeddings":[[1],[]]}', b'{"embeddings":[["a"],[1]]}', b"<html>"]
)
def test_embeddings_that_are_not_one_per_input_are_refused(body: bytes) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        decode_embeddings(body, inputs=2, provider="ollama")


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, b'{"error":"m does not support chat"}', UpstreamRejected),
        (400, b'{"error":"the input length exceeds the context length"}', ContextLengthExceeded),
        (401, b'{"error":"unauthorized"}', UpstreamRefusedKey),
        (404, b'{"error":"model \'m\' not found"}', ModelNotFound),
        (404, b"<html>nothing here</html>", UpstreamInvalidResponse),
        (408, b"", UpstreamTimeout),
        (429, b'{"error":"too many"}', UpstreamRateLimited),
        (499, b"", UpstreamError),
        (500, b'{"error":"crash"}', UpstreamError),
        (502, b"<html>", UpstreamError),
        (503, b'{"error":"server busy, please try again"}', Unavailable),
    ],
)
def test_a_status_means(status: int, body: bytes, error: type[FarmError]) -> None:
    decoded = decode_error(status, body, provider="ollama", model="m")
    assert type(decoded) is error


def test_a_missing_model_tells_how_to_get_it() -> None:
    error = decode_error(404, b'{"error":"model \'phi3\' not found"}', provider="ollama", model="phi3")
    assert "`farmgate pull phi3`" in error.message
    assert "`ollama pull phi3`" in error.message
    assert error.param == "model"


def test_models_are_listed_with_what_is_known() -> None:
    body = b"""{"models":[{"name":"a:latest","size":5,"modified_at":"2024-08-04T14:56:49.277302595-07:00",
        "details":{"family":"llama","parameter_size":"3.2B","quantization_level":"Q4_K_M"}},{"name":"b:1"}]}"""
    first, second = decode_installed(body, provider="ollama")
    assert (first.name, first.size, first.modified_unix) == ("a:latest", 5, 1722808609)
    assert first.description == "llama 3.2B Q4_K_M"
    assert (second.size, second.modified_unix, second.description) == (None, 0, None)
    assert decode_installed(b'{"models":null}', provider="ollama") == []
    assert decode_resident(b'{"models":[{"name":"a","context_length":9}]}', provider="o")[0].context_length == 9
    assert decode_show(b'{"capabilities":["embedding"]}', provider="o").capabilities == ["embedding"]
    assert decode_show(b"{}", provider="o").abilities == decode_show(b"{}", provider="o").lacks == frozenset()


def test_what_a_model_can_and_cannot_is_told_by_names_where_any_are() -> None:
    body = b"""{"capabilities": ["completion", "vision", "clairvoyance"], "model_info": {
        "general.architecture": "gemma3", "gemma3.context_length": 131072, "gemma3.embedding_length": 5}}"""
    shown = decode_show(body, provider="o")
    assert shown.abilities == {Capability.CHAT, Capability.COMPLETION, Capability.VISION}
    assert shown.lacks == {Capability.TOOLS, Capability.REASONING}
    assert shown.context_tokens == 131_072
    old = decode_show(b'{"model_info": {"llama.context_length": "much"}}', provider="o")
    assert (old.abilities, old.lacks, old.context_tokens) == (frozenset(), frozenset(), None)
    embeds = decode_show(b'{"capabilities": ["embedding"]}', provider="o")
    assert embeds.lacks >= {Capability.CHAT, Capability.COMPLETION}


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"models":5}', b"{}", b'{"models":[{}]}'])
def test_a_list_in_another_form_is_refused(body: bytes) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        decode_installed(body, provider="ollama")


def test_latest_is_implied_and_case_is_ignored() -> None:
    assert full_name("Llama3.1") == full_name("llama3.1:latest") == "llama3.1:latest"
    assert full_name("host:5000/me/m") == "host:5000/me/m:latest"
    assert full_name("phi3:mini") == "phi3:mini"


def test_cloud_models_are_known_by_their_names() -> None:
    assert is_cloud("glm-4.6:cloud")
    assert is_cloud("gpt-oss:120b-Cloud ")
    assert not is_cloud("cloudy:7b")


# --------------------------------------------------------------------------------------------- pulls

PULL = b"""{"status":"pulling manifest"}
{"status":"pulling aa","digest":"sha256:aa","total":600}
{"status":"pulling aa","digest":"sha256:aa","total":600,"completed":300}
{"status":"pulling aa","digest":"sha256:aa","total":600,"completed":200}
{"status":"pulling bb","digest":"sha256:bb","total":400,"completed":100}
{"status":"pulling aa","digest":"sha256:aa","total":600,"completed":600}
{"status":"verifying sha256 digest"}
{"status":"success"}
"""


def pull(*pieces: bytes) -> list[Progress]:
    reader = PullReader(provider="ollama", model="m")
    told_progress = [reader.feed(piece) for piece in pieces]
    if not reader.is_done:
        told_progress.append(reader.end())
    return [progress for progress in told_progress if progress is not None]


def test_a_pulls_progress_is_summed_over_layers_and_never_shrinks() -> None:
    told_progress = pull(*PULL.splitlines(keepends=True))
    figures = [(progress.completed, progress.total) for progress in told_progress]
    assert figures == [(0, None), (0, 600), (300, 600), (300, 600), (400, 1000), (700, 1000), (700, 1000), (1000, 1000)]
    assert told_progress[-1].status == "success"


def test_the_cut_of_a_pulls_bytes_makes_no_difference() -> None:
    last = Progress(status="success", completed=1000, total=1000)
    assert pull(PULL) == [last]
    assert pull(*(PULL[at : at + 1] for at in range(len(PULL))))[-1] == last
    assert pull(PULL.rstrip(b"\n"))[-1] == last


def test_a_pull_cut_anywhere_is_never_taken_for_whole() -> None:
    for at in range(len(PULL) - 1):
        with pytest.raises(UpstreamStreamTruncated):
            pull(PULL[:at])


def test_a_pulls_error_line_is_its_error() -> None:
    with pytest.raises(ModelNotFound):
        pull(b'{"status":"pulling manifest"}\n{"error":"pull model manifest: file does not exist"}\n')
    with pytest.raises(UpstreamError, match="no space left"):
        pull(b'{"error":"write: no space left on device"}\n')
    with pytest.raises(UpstreamInvalidResponse):
        pull(b"nonsense\n")


def test_what_came_before_a_broken_line_is_relayed_before_it_is_told() -> None:
    reader = StreamReader(provider="ollama", model="m", frame_bytes=99)
    good = b'{"message":{"content":"hi"},"done":false}\n'
    event = reader.feed(good + b"x" * 200)
    assert event is not None
    assert (event.raw, event.parts) == (good, (Text("hi"),))
    with pytest.raises(UpstreamInvalidResponse, match="larger than the limit"):
        reader.end()
