"""OpenAI's streams: relayed as they came, in any cut, and never taken for whole when they are not."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmgate.core.answer import fold
from farmgate.core.errors import (
    FarmError,
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamRateLimited,
    UpstreamRefusedKey,
    UpstreamRejected,
    UpstreamStreamTruncated,
)
from farmgate.core.event import Event, Finish, FinishReason, Part, Reasoning, Refusal, Text, ToolDelta, Usage
from farmgate.core.request import Dialect
from farmgate.wire.openai.stream import StreamReader
from farmgate.wire.sse import DONE, Splitter, frame

steady = settings(max_examples=100, deadline=None, derandomize=True, database=None)


def recorded(engine: str) -> list[bytes]:
    """The same answer as each engine streams it: the role, two pieces of text, the end, the usage."""
    return (Path(__file__).parent / "streams" / f"{engine}.jsonl").read_bytes().splitlines()


OPENAI, LLAMACPP, VLLM = map(recorded, ("openai", "llamacpp", "vllm"))
ENGINES = {"OpenAI": OPENAI, "llama.cpp": LLAMACPP, "vLLM": VLLM}
engines = pytest.mark.parametrize("frames", ENGINES.values(), ids=ENGINES)
choices_asked = pytest.mark.parametrize("one_choice", [True, False], ids=["one choice", "any choices"])


def reader_of(*, show_usage: bool = True, one_choice: bool = True) -> StreamReader:
    return StreamReader(provider="p", show_usage=show_usage, one_choice=one_choice)


def read(pieces: Iterable[bytes], reader: StreamReader | None = None) -> list[Event]:
    """Every event of a stream in these pieces, to its end."""
    reader = reader or reader_of()
    events = [event for piece in pieces if (event := reader.feed(piece)) is not None]
    reader.end()
    return events


def parts_of(events: Iterable[Event]) -> list[Part]:
    return [part for event in events for part in event.parts]


def stream_of(*payloads: bytes) -> bytes:
    return b"".join(map(frame, payloads))


def chunk(delta: dict[str, object], finish: str | None = None, index: int = 0, **more: object) -> bytes:
    return msgspec.json.encode({"choices": [{"index": index, "delta": delta, "finish_reason": finish}], **more})


HI = chunk({"content": "hi"})
STOP = chunk({}, "stop")


# ----------------------------------------------------------------------------------------- what passes


@engines
@choices_asked
def test_the_frames_are_relayed_as_they_came(frames: list[bytes], one_choice: bool) -> None:
    events = read([*map(frame, frames), DONE], reader_of(one_choice=one_choice))
    assert [event.raw for event in events] == [*map(frame, frames)]
    assert {event.dialect for event in events} == {Dialect.OPENAI}
    assert [event.bears_content for event in events] == [False, True, True, False, False]
    assert [event.usage for event in events] == [None] * 4 + [
        Usage(prompt_tokens=9, completion_tokens=2, cached_tokens=4)
    ]


@engines
def test_the_words_are_those_of_the_frames(frames: list[bytes]) -> None:
    usage = Usage(prompt_tokens=9, completion_tokens=2, cached_tokens=4)
    assert parts_of(read([stream_of(*frames)])) == [Text("Hi"), Text(" 你好 €"), Finish(), usage]


@engines
@choices_asked
def test_the_bytes_are_the_same_in_every_cut(frames: list[bytes], one_choice: bool) -> None:
    stream = stream_of(*frames)
    for at in range(1, len(stream)):
        events = read([stream[:at], stream[at:]], reader_of(one_choice=one_choice))
        assert b"".join(event.raw for event in events) == stream
    for size in (1, 7, *(len(frame(payload)) for payload in frames)):
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert b"".join(event.raw for event in read(pieces, reader_of(one_choice=one_choice))) == stream


def test_frames_of_one_size_that_are_cut_all_at_one_place_are_not_shifted() -> None:
    frames = [frame(chunk({"content": word})) for word in ("aa", "bb", "cc", "dd")] + [frame(STOP)]
    stream, size = b"".join(frames), len(frames[0])
    for begin in range(1, size):
        pieces = [stream[:begin], *(stream[at : at + size] for at in range(begin, len(stream), size))]
        assert b"".join(event.raw for event in read(pieces)) == stream


@pytest.mark.parametrize(
    "form", ["data:%s\n\n", "data: %s\r\n\r\n", ": ping\n\ndata: %s\n\n", "event: x\nid: 1\ndata: %s\n\n"]
)
@pytest.mark.parametrize("size", [1, 3, 50, 10_000])
def test_other_ways_to_write_a_frame_say_the_same(form: str, size: int) -> None:
    stream = b"".join(form.encode() % payload for payload in [*OPENAI, b"[DONE]"])
    events = read(stream[at : at + size] for at in range(0, len(stream), size))
    assert b"".join(event.raw for event in events) == stream_of(*OPENAI)


def test_a_frame_of_several_lines_is_relayed_as_one_that_says_the_same() -> None:
    pretty = json.dumps(json.loads(HI), indent=1).replace("\n", "\ndata: ").encode()
    raw = b"".join(event.raw for event in read([frame(pretty), frame(STOP)]))
    assert [json.loads(payload) for payload in Splitter().feed(raw)] == [json.loads(HI), json.loads(STOP)]


def test_several_choices_end_one_by_one() -> None:
    both = msgspec.json.encode(
        {"choices": [{"index": at, "delta": {"content": f"c{at}"}, "finish_reason": None} for at in (0, 1)]}
    )
    ended = [chunk({}, "length", 1), chunk({}, "stop", 0)]
    answer = fold(read(map(frame, [both, *ended])))
    assert [(choice.text, choice.finish) for _, choice in sorted(answer.choices.items())] == [
        ("c0", FinishReason.STOP),
        ("c1", FinishReason.LENGTH),
    ]
    with pytest.raises(UpstreamStreamTruncated):
        read(map(frame, [both, ended[0], b"[DONE]"]))


def test_tool_calls_come_in_pieces() -> None:
    pieces = [
        chunk({"role": "assistant", "content": None}),
        chunk(
            {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]}
        ),
        chunk({"content": "", "tool_calls": [{"index": 0, "function": {"arguments": '{"x":'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}, {"id": "b", "function": {"name": "g"}}]}),
        chunk({}, "tool_calls"),
    ]
    events = read(map(frame, pieces))
    assert [event.bears_content for event in events] == [False, True, True, True, False]
    assert parts_of(events) == [
        ToolDelta(index=0, id="a", name="f"),
        ToolDelta(index=0, arguments='{"x":'),
        ToolDelta(index=0, arguments="1}"),
        ToolDelta(index=1, id="b", name="g"),
        Finish(FinishReason.TOOL_CALLS),
    ]


@pytest.mark.parametrize(
    ("delta", "parts"),
    [
        ({"reasoning_content": "hm"}, [Reasoning("hm")]),
        ({"reasoning": "hm", "content": ""}, [Reasoning("hm")]),
        ({"refusal": "no"}, [Refusal("no")]),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, [Text("ab")]),
        ({"function_call": {"name": "f", "arguments": {"x": 1}}}, [ToolDelta(index=0, name="f", arguments='{"x":1}')]),
    ],
)
@choices_asked
def test_all_that_a_delta_can_say_is_content(delta: dict[str, object], parts: list[Part], one_choice: bool) -> None:
    _, event, _ = read(map(frame, [HI, chunk(delta), STOP]), reader_of(one_choice=one_choice))
    assert event.bears_content
    assert list(event.parts) == parts


@pytest.mark.parametrize("delta", [{}, {"role": "assistant"}, {"content": ""}, {"content": None, "tool_calls": []}])
def test_a_frame_that_says_nothing_bears_no_content(delta: dict[str, object]) -> None:
    event, *_ = read(map(frame, [chunk(delta), HI, STOP]))
    assert not event.bears_content
    assert event.parts == ()


@choices_asked
def test_an_empty_piece_of_text_in_the_middle_bears_no_content(one_choice: bool) -> None:
    _, event, _ = read(map(frame, [HI, chunk({"content": ""}), STOP]), reader_of(one_choice=one_choice))
    assert not event.bears_content


def test_completions_stream_text() -> None:
    pieces = [
        b'{"choices":[{"text":"a","index":0,"finish_reason":null}]}',
        b'{"choices":[{"text":"","finish_reason":"length"}]}',
    ]
    events = read(map(frame, pieces))
    assert [event.bears_content for event in events] == [True, False]
    assert parts_of(events) == [Text("a"), Finish(FinishReason.LENGTH)]


@pytest.mark.parametrize(("word", "reason"), [("eos", "stop"), ("function_call", "tool_calls"), ("length", "length")])
def test_other_words_for_the_end_are_understood(word: str, reason: str) -> None:
    assert parts_of(read([frame(chunk({}, word))])) == [Finish(FinishReason(reason))]


def test_frames_of_other_kinds_pass() -> None:
    azure = b'{"choices":[],"prompt_filter_results":[{"prompt_index":0}]}'
    ping = b'{"type":"ping"}'
    usage = b'{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}'
    pieces = [azure, HI, STOP, usage, ping]
    for stream in ([stream_of(*pieces)], [*map(frame, pieces)]):
        events = read(stream, reader_of(show_usage=False))
        assert b"".join(event.raw for event in events) == stream_of(azure, HI, STOP, ping)


# ----------------------------------------------------------------------------------------- usage


@engines
def test_usage_is_read_and_not_shown_unless_asked_for(frames: list[bytes]) -> None:
    for pieces in (list(map(frame, frames)), [stream_of(*frames)]):
        events = read(pieces, reader_of(show_usage=False))
        assert b"".join(event.raw for event in events) == stream_of(*frames[:-1])
        assert events[-1].usage == Usage(prompt_tokens=9, completion_tokens=2, cached_tokens=4)


@pytest.mark.parametrize(
    "usage",
    [
        b'{"prompt_tokens":-1,"completion_tokens":2}',
        b'{"prompt_tokens":1e18,"completion_tokens":2}',
        b'{"prompt_tokens":1000000000000000000}',
        b'{"prompt_tokens":"9"}',
        b'{"prompt_tokens":null}',
        b"{}",
        b"5",
        b"[5]",
    ],
)
def test_a_report_that_cannot_be_is_no_report(usage: bytes) -> None:
    report = b'{"choices":[],"usage":%s}' % usage
    shown = read(map(frame, [HI, STOP, report]))
    assert [event.usage for event in shown] == [None, None, None]
    hidden = read(map(frame, [HI, STOP, report]), reader_of(show_usage=False))
    assert b"".join(event.raw for event in hidden) == stream_of(HI, STOP)


def test_the_last_report_counts_and_null_is_none() -> None:
    running = [
        chunk({"content": "a"}, usage={"prompt_tokens": 5, "completion_tokens": 1}),
        chunk({"content": "b"}, usage={"prompt_tokens": 5, "completion_tokens": 2}),
        chunk({}, "stop", usage=None),
    ]
    assert [event.usage and event.usage.completion_tokens for event in read(map(frame, running))] == [1, 2, None]
    (event,) = read([stream_of(*running)])
    assert event.usage == Usage(prompt_tokens=5, completion_tokens=2)


# ----------------------------------------------------------------------------------------- how a stream ends


def test_done_is_not_needed_and_what_follows_it_is_not_read() -> None:
    assert read([frame(HI), frame(STOP)])
    reader = reader_of()
    events = read([frame(HI), frame(STOP) + DONE + b"data: rubbish\n\n", b"data: more\n\n"], reader)
    assert reader.is_done
    assert b"".join(event.raw for event in events) == stream_of(HI, STOP)


@pytest.mark.parametrize(
    "stream", [b"", DONE, frame(HI), frame(HI) + DONE, frame(HI) + frame(STOP)[:-1], b": ping\n\n", frame(b"{}") + DONE]
)
@choices_asked
def test_an_answer_without_its_end_is_cut_off(stream: bytes, one_choice: bool) -> None:
    with pytest.raises(UpstreamStreamTruncated) as caught:
        read([stream], reader_of(one_choice=one_choice))
    assert (caught.value.status, caught.value.code) == (502, "upstream_stream_truncated")


ERRORS: list[tuple[bytes, type[FarmError], str]] = [
    (b'{"error":{"message":"boom","type":"server_error","code":500}}', FarmError, "p: boom"),
    (b'{"error":{"message":"boom","code":"server_error"},"choices":[]}', FarmError, "p: boom"),
    (b'{"error":{"message":"slow down","code":429}}', UpstreamRateLimited, "p: slow down"),
    (b'{"error":{"message":"slow down","code":"429","type":"None"}}', UpstreamRateLimited, "p: slow down"),
    (b'{"error":{"message":"too long","status":400,"code":null}}', FarmError, "p: too long"),
    (b'{"error":{"object":"error","message":"bad","type":"BadRequestError","code":400}}', UpstreamRejected, "p: bad"),
    (b'{"error":{"message":"key sk-123 is wrong","code":401}}', UpstreamRefusedKey, "p refused the API key"),
    (HI[:-1] + b',"error":{"message":"boom"}}', FarmError, "p: boom"),
    (b'{"error":"boom","error_type":"generation"}', FarmError, "p: boom"),
    (b'{"error":{}}', FarmError, "p answered HTTP 500"),
    (b'{"error":true}', FarmError, "p answered HTTP 500"),
    (
        b'{"object":"error","message":"flat","type":"BadRequestError","param":null,"code":400}',
        UpstreamRejected,
        "p: flat",
    ),
    (b'{"message":"flat","type":"internal","code":500}', FarmError, "p: flat"),
]


@pytest.mark.parametrize(("payload", "kind", "message"), ERRORS)
@choices_asked
def test_an_error_in_a_stream_is_raised_in_all_its_shapes(
    payload: bytes, kind: type[FarmError], message: str, one_choice: bool
) -> None:
    for pieces in ([frame(payload)], [frame(HI), frame(payload), DONE]):
        with pytest.raises(kind) as caught:
            read(pieces, reader_of(one_choice=one_choice))
        assert caught.value.message.startswith(message)
        assert "sk-123" not in caught.value.message


@pytest.mark.parametrize("error", [b"null", b'""', b"[]"])
def test_an_error_that_is_none_is_none(error: bytes) -> None:
    assert read(map(frame, [HI[:-1] + b',"error":%s}' % error, STOP]))


NONSENSE = [
    b"",
    b"hello",
    b"{",
    b'{"choices":',
    b"[]",
    b"null",
    b'"text"',
    b'{"choices":5}',
    b'{"choices":[5]}',
    b'{"choices":[{"delta":[]}]}',
    b'{"choices":[{"index":"0"}]}',
    HI[:-1],
    HI + b"}",
    HI.replace(b"hi", b"\xff"),
    HI.replace(b"hi", b"\xe4\xbd"),
    HI.replace(b"hi", b"\\x"),
    HI.replace(b"hi", b"\x01"),
    HI.replace(b"hi", b"\\ud800"),
    HI.replace(b'"hi"', b"hi"),
    HI[:-1] + b',"x":01}',
    HI[:-1] + b',"x":' + b"[" * 100_000 + b"}",
]


@pytest.mark.parametrize("payload", NONSENSE, ids=lambda payload: repr(payload[:40]))
@choices_asked
def test_what_is_no_json_in_utf8_is_never_relayed(payload: bytes, one_choice: bool) -> None:
    reader = reader_of(one_choice=one_choice)
    assert reader.feed(frame(HI)) is not None
    with pytest.raises(UpstreamInvalidResponse):
        reader.feed(frame(payload))


@steady
@given(
    st.sampled_from([OPENAI[1], LLAMACPP[2], VLLM[2]]),
    st.integers(0, 400),
    st.binary(min_size=1, max_size=2),
    st.booleans(),
)
def test_a_damaged_frame_is_valid_or_refused(payload: bytes, at: int, damage: bytes, one_choice: bool) -> None:
    at %= len(payload)
    reader = reader_of(one_choice=one_choice)
    reader.feed(frame(HI))
    try:
        event = reader.feed(frame(payload[:at] + damage + payload[at + len(damage) :]))
        relayed = b"" if event is None else event.raw
        parts = () if event is None else event.parts
    except FarmError:
        return
    assert isinstance(parts, tuple)
    for told in Splitter().feed(relayed):
        json.loads(told.decode())


def test_words_of_the_wrong_kind_are_the_providers_fault() -> None:
    calls: list[object] = ["abc", [5], [{"function": "f"}], [{"id": 5}]]
    deltas: list[dict[str, object]] = [{"content": 5}, *({"tool_calls": wrong} for wrong in calls)]
    for delta in deltas:
        event, _ = read(map(frame, [chunk(delta), STOP]))
        with pytest.raises(UpstreamInvalidResponse):
            _ = event.parts


def test_a_frame_above_the_limit_is_refused() -> None:
    reader = StreamReader(provider="p", show_usage=False, frame_bytes=200)
    with pytest.raises(UpstreamInvalidResponse):
        reader.feed(frame(chunk({"content": "x" * 200})))


@pytest.mark.no_cover
def test_ten_thousand_ways_to_be_cut_and_broken_off_are_whole_or_an_error() -> None:
    chance = random.Random(1)
    for _ in range(10_000):
        frames = ENGINES[chance.choice(sorted(ENGINES))]
        stream = stream_of(*frames) + DONE
        finish_at = len(stream_of(*frames[:4]))
        kept = chance.randint(0, len(stream)) if chance.random() < 0.7 else len(stream)
        cuts = sorted(chance.randint(0, kept) for _ in range(chance.randint(0, 6)))
        pieces = [stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, kept], strict=True)]
        reader = reader_of(one_choice=chance.random() < 0.5)
        relayed = b"".join(event.raw for piece in pieces if (event := reader.feed(piece)) is not None)
        assert stream.startswith(relayed)
        if kept >= finish_at:
            reader.end()
            assert len(relayed) >= finish_at
        else:
            with pytest.raises(UpstreamStreamTruncated):
                reader.end()


def test_content_before_an_error_in_the_same_read_is_relayed_and_then_the_error_told() -> None:
    reader = StreamReader(provider="p", show_usage=False)
    said = b'data: {"choices":[{"index":0,"delta":{"content":"half"},"finish_reason":null}]}\n\n'
    event = reader.feed(said + b'data: {"error":{"message":"out of memory"}}\n\n')
    assert event is not None
    assert event.raw == said
    assert reader.is_done
    with pytest.raises(UpstreamError, match="out of memory"):
        reader.end()


@choices_asked
def test_a_second_answer_that_was_not_asked_for_must_end_too(one_choice: bool) -> None:
    """However the frames are cut: one by one the frames in the middle are hardly looked at."""
    frames = [frame(HI), frame(chunk({"content": "x"}, index=1)), frame(STOP)]
    for pieces in (frames, [b"".join(frames)]):
        with pytest.raises(UpstreamStreamTruncated):
            read(pieces, reader_of(one_choice=one_choice))


@choices_asked
def test_a_frame_that_says_nothing_behind_the_role_is_no_content(one_choice: bool) -> None:
    reader = reader_of(one_choice=one_choice)
    for delta in ({"role": "assistant", "content": ""}, {}, {"role": "assistant"}):
        event = reader.feed(frame(chunk({**delta})))
        assert event is not None
        assert not event.bears_content


@choices_asked
def test_what_came_before_a_frame_too_large_is_relayed(one_choice: bool) -> None:
    reader = StreamReader(provider="p", show_usage=True, frame_bytes=200, one_choice=one_choice)
    event = reader.feed(frame(HI) + frame(chunk({"content": "x" * 200})))
    assert event is not None
    assert event.raw == frame(HI)
    with pytest.raises(UpstreamInvalidResponse, match="larger than the limit"):
        reader.end()


def test_a_frame_too_large_behind_the_end_is_nobodys_concern() -> None:
    reader = StreamReader(provider="p", show_usage=True, frame_bytes=200)
    assert reader.feed(frame(HI) + frame(STOP) + DONE + b"data: " + b"x" * 300) is not None
    assert reader.feed(b"x" * 300) is None
    reader.end()
