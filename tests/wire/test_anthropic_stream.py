"""Anthropic's streams: relayed as they came, in any cut, and never taken for whole when they are not."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmgate.core.answer import fold
from farmgate.core.errors import (
    FarmError,
    Unavailable,
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamRateLimited,
    UpstreamStreamTruncated,
)
from farmgate.core.event import Annotation, Event, Finish, FinishReason, Part, Reasoning, Text, ToolDelta, Usage
from farmgate.core.request import Dialect
from farmgate.wire.anthropic.stream import StreamReader

steady = settings(max_examples=100, deadline=None, derandomize=True, database=None)
RECORDINGS = Path(__file__).parent.parent / "recordings" / "anthropic"
SIGNATURE = "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds"


def recorded(name: str) -> bytes:
    return (RECORDINGS / f"{name}.sse").read_bytes()


def read(pieces: Iterable[bytes], reader: StreamReader | None = None) -> list[Event]:
    """Every event of a stream in these pieces, to its end."""
    reader = reader or StreamReader(provider="p")
    events = [event for piece in pieces if (event := reader.feed(piece)) is not None]
    reader.end()
    return events


def parts_of(events: Iterable[Event]) -> list[Part]:
    return [part for event in events for part in event.parts]


SAID: dict[str, list[Part]] = {
    "stream": [
        Text("The harbour"),
        Text(" is calm — "),
        Text("12 boats are in."),
        Finish(),
        Usage(prompt_tokens=12, completion_tokens=9),
    ],
    "cached_stream": [
        Text("Twelve."),
        Finish(),
        Usage(prompt_tokens=1233, completion_tokens=7, cached_tokens=1024, cache_write_tokens=188),
    ],
    "tools_stream": [
        Text("I look at the tide table."),
        ToolDelta(index=0, id="toolu_01A09q90qw90lq917835lq9", name="tide"),
        ToolDelta(index=0, arguments='{"port": "Br'),
        ToolDelta(index=0, arguments='est", "day"'),
        ToolDelta(index=0, arguments=': "2026-03-01"}'),
        Finish(FinishReason.TOOL_CALLS),
        Usage(prompt_tokens=12, completion_tokens=41),
    ],
    "parallel_tools_stream": [
        ToolDelta(index=0, id="toolu_01", name="tide"),
        ToolDelta(index=0, arguments='{"port":"Brest"}'),
        ToolDelta(index=1, id="toolu_02", name="tide"),
        ToolDelta(index=1, arguments='{"port":'),
        ToolDelta(index=1, arguments='"Saint-Malo"}'),
        ToolDelta(index=2, id="toolu_03", name="now"),
        ToolDelta(index=2, arguments="{}"),
        Finish(FinishReason.TOOL_CALLS),
        Usage(prompt_tokens=12, completion_tokens=60),
    ],
    "reasoning_stream": [
        Reasoning("Tides come twice"),
        Reasoning(" a day, so..."),
        Reasoning("", signature=SIGNATURE),
        Reasoning("", redacted="EmwKAhgBEgy3va3pzix"),
        Text("Twice a day."),
        Finish(),
        Usage(prompt_tokens=30, completion_tokens=44, reasoning_tokens=31),
    ],
    "web_search_stream": [
        Annotation({"type": "url_citation", "url_citation": {"url": "https://tides.example/brest", "title": "Brest"}}),
        Text("High water is at noon."),
        Finish(),
        Usage(prompt_tokens=12, completion_tokens=33),
    ],
    "stop_sequence_stream": [
        Text("one, two"),
        Finish(stop="END"),
        Usage(prompt_tokens=12, completion_tokens=4),
    ],
}
streams = pytest.mark.parametrize("name", SAID)


@streams
def test_a_stream_says_the_same_whole_and_byte_by_byte_and_is_relayed_as_it_came(name: str) -> None:
    raw = recorded(name)
    for pieces in ([raw], [raw[at : at + 1] for at in range(len(raw))]):
        events = read(pieces)
        assert parts_of(events) == SAID[name]
        assert b"".join(event.raw for event in events) == raw
        assert {event.dialect for event in events} == {Dialect.ANTHROPIC}
        usages = [event.usage for event in events if event.usage is not None]
        assert usages == [SAID[name][-1]]


@streams
def test_a_stream_says_the_same_in_two_pieces_cut_at_every_byte(name: str) -> None:
    raw = recorded(name)
    for at in range(1, len(raw)):
        assert parts_of(read([raw[:at], raw[at:]])) == SAID[name]


@streams
def test_a_stream_that_is_cut_off_is_never_whole(name: str) -> None:
    raw = recorded(name)
    for at in range(len(raw) - 1):
        with pytest.raises(UpstreamStreamTruncated):
            read([raw[:at]])


def test_lines_may_end_in_any_way_and_comments_say_nothing() -> None:
    raw = b": hello\r\n\r\n" + recorded("stream").replace(b"\n", b"\r\n")
    assert parts_of(read([raw])) == SAID["stream"]


def test_only_what_says_something_bears_content() -> None:
    raw = recorded("reasoning_stream")
    told = [(event.raw.split(b"\n")[0], event.bears_content) for event in read(split(raw))]
    assert told[:5] == [
        (b"event: message_start", False),
        (b"event: content_block_start", False),
        (b"event: ping", False),
        (b"event: content_block_delta", True),
        (b"event: content_block_delta", True),
    ]
    assert [bears for name, bears in told if name in (b"event: content_block_stop", b"event: message_stop")] == [
        False
    ] * 4
    tools = [event.bears_content for event in read(split(recorded("parallel_tools_stream")))]
    assert tools[:2] == [False, True]


def split(raw: bytes) -> list[bytes]:
    """Each event on its own."""
    return [block + b"\n\n" for block in raw.split(b"\n\n") if block]


def test_an_error_event_is_the_error_it_tells_behind_what_was_said() -> None:
    raw = recorded("error_stream")
    reader = StreamReader(provider="p")
    event = reader.feed(raw)
    assert event is not None
    assert fold([event]).text == "The harb"
    assert b"event: error" not in event.raw
    assert reader.is_done
    with pytest.raises(Unavailable) as caught:
        reader.end()
    assert caught.value.message == "p: Overloaded"
    with pytest.raises(Unavailable):
        read(split(raw))


def error_event(type_: str) -> bytes:
    told = {"type": "error", "error": {"type": type_, "message": "m"}}
    return b"event: error\ndata: " + json.dumps(told).encode() + b"\n\n"


@pytest.mark.parametrize(
    ("type_", "kind"),
    [("rate_limit_error", UpstreamRateLimited), ("api_error", UpstreamError), ("later_error", UpstreamError)],
)
def test_an_error_in_a_stream_has_the_meaning_of_its_type(type_: str, kind: type[FarmError]) -> None:
    with pytest.raises(FarmError) as caught:
        StreamReader(provider="p").feed(error_event(type_))
    assert type(caught.value) is kind


NONSENSE = [
    b"data: nonsense\n\n",
    b"data: [1]\n\n",
    b"data: {}\n\n",
    b"data: [DONE]\n\n",
    b'data: {"type":5}\n\n',
    b'data: {"type":"content_block_delta","index":"0"}\n\n',
    b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":5}}\n\n',
    b'data: {"type":"a\\nevent: message_stop"}\n\n',
    b'data: {"type":"caf\xc3\xa9"}\n\n',
    b'data: {"type":"ping","x":"\xff"}\n\n',
    b'data: {"type":"ping","x":NaN}\n\n',
    b"data: " + b"[" * 100_000 + b"\n\n",
]


@pytest.mark.parametrize("frame", NONSENSE, ids=range(len(NONSENSE)))
def test_nothing_is_relayed_that_is_no_event(frame: bytes) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        StreamReader(provider="p").feed(frame)


def test_an_event_larger_than_the_limit_is_not_read() -> None:
    with pytest.raises(UpstreamInvalidResponse):
        StreamReader(provider="p", frame_bytes=100).feed(b"data: " + b"x" * 200)


def test_events_and_fields_of_later_versions_are_relayed() -> None:
    later = b'event: later_event\ndata: {"type":"later_event","x":[1]}\n\n'
    start, rest = recorded("stream").split(b"\n\n", 1)
    raw = start + b"\n\n" + later + rest
    events = read([raw])
    assert b"".join(event.raw for event in events) == raw
    assert parts_of(events) == SAID["stream"]


def test_what_comes_behind_the_end_says_nothing() -> None:
    reader = StreamReader(provider="p")
    reader.feed(recorded("stream"))
    assert reader.is_done
    assert reader.feed(recorded("stream")) is None
    reader.end()


def test_a_call_that_comes_whole_with_its_block_is_read_whole() -> None:
    raw = (
        b'data: {"type":"content_block_start","index":3,"content_block":'
        b'{"type":"tool_use","id":"t","name":"f","input":{"a":1}}}\n\n'
        b'data: {"type":"content_block_stop","index":3}\n\ndata: {"type":"message_stop"}\n\n'
    )
    assert parts_of(read([raw])) == [ToolDelta(index=0, id="t", name="f", arguments='{"a":1}')]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["type", "index", "delta", "content_block", "text", "usage", "message", "input", "error"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
TYPES = st.sampled_from(
    ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "error"]
)


@steady
@given(TYPES, st.dictionaries(st.sampled_from(["index", "delta", "content_block", "message", "usage", "error"]), JSON))
def test_any_event_is_read_or_the_providers_fault(type_: str, fields: dict[str, object]) -> None:
    payload = json.dumps(fields | {"type": type_}).encode()
    reader = StreamReader(provider="p")
    try:
        for event in (reader.feed(b"data: " + payload + b"\n\n"), reader.feed(recorded("stream"))):
            assert event is None or event.parts is not None
    except FarmError as error:
        assert error.status >= 429 or type_ == "error"  # noqa: PT017 - most of them are read
