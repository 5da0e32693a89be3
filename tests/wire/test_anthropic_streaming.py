"""Anthropic's streams, written for a caller: what is written is a proper stream, and says what was to be said."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmgate.core.answer import fold
from farmgate.core.errors import UpstreamInvalidResponse
from farmgate.core.event import (
    Annotation,
    Event,
    Finish,
    FinishReason,
    Logprobs,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolDelta,
    Usage,
    Vector,
)
from farmgate.core.request import Dialect
from farmgate.wire.anthropic.answers import encode_message
from farmgate.wire.anthropic.stream import StreamReader
from farmgate.wire.anthropic.streaming import StreamWriter

steady = settings(max_examples=100, deadline=None, derandomize=True, database=None)


def written(*parts: Part, dropped: tuple[str, ...] = ()) -> bytes:
    """A stream, an event for each part."""
    writer = StreamWriter(id="msg_1", model="m", dropped=dropped)
    return b"".join(writer.write(Event((part,))) for part in parts) + writer.end()


def events_of(raw: bytes) -> list[dict[str, Any]]:
    """The events' data; fails unless each is named as its type."""
    told = []
    for block in raw.decode().split("\n\n")[:-1]:
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        told.append(event)
    return told


def said(*parts: Part) -> list[dict[str, Any]]:
    return [event for event in events_of(written(*parts)) if event["type"] != "ping"]


def blocks(*parts: Part) -> list[tuple[str, str]]:
    """Kind and text of each block, in order; fails unless they come one after the other."""
    found: list[tuple[str, str]] = []
    is_open = False
    for event in said(*parts):
        match event["type"]:
            case "content_block_start":
                assert not is_open
                assert event["index"] == len(found)
                is_open = True
                block = event["content_block"]
                found.append((block["type"], block.get("name", block.get("data", ""))))
            case "content_block_delta":
                assert is_open
                assert event["index"] == len(found) - 1
                kind, text = found[-1]
                delta = event["delta"]
                more = delta.get("text") or delta.get("thinking") or delta.get("partial_json") or delta.get("signature")
                found[-1] = (kind, text + (more or "*"))
            case "content_block_stop":
                assert is_open
                assert event["index"] == len(found) - 1
                is_open = False
    assert not is_open
    return found


def call(index: int, arguments: str = "", *, name: str | None = None) -> ToolDelta:
    return ToolDelta(index=index, id=f"t{index}" if name else None, name=name, arguments=arguments)


def test_the_sequence_of_events_is_the_documented_one() -> None:
    usage = Usage(prompt_tokens=10, completion_tokens=2, cached_tokens=3, cache_write_tokens=1)
    told = events_of(written(Text("a"), Text("b"), Finish(), usage))
    assert [event["type"] for event in told] == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert told[0]["message"] == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }
    assert told[1] == {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    assert told[-2] == {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {
            "input_tokens": 6,
            "cache_creation_input_tokens": 1,
            "cache_read_input_tokens": 3,
            "output_tokens": 2,
        },
    }


def test_what_changes_begins_a_block_and_ends_the_one_before() -> None:
    assert blocks(
        Reasoning("h"),
        Reasoning("m"),
        Reasoning("", signature="S"),
        Reasoning("", redacted="R"),
        Text("a"),
        call(0, name="f"),
        call(0, '{"x":'),
        call(0, "1}"),
        Text("b"),
        call(1, "{}", name="g"),
        Finish(FinishReason.TOOL_CALLS),
    ) == [
        ("thinking", "hmS"),
        ("redacted_thinking", "R"),
        ("text", "a"),
        ("tool_use", 'f{"x":1}'),
        ("text", "b"),
        ("tool_use", "g{}"),
    ]


def test_thoughts_behind_a_proof_are_a_block_of_their_own() -> None:
    told = blocks(Reasoning("a"), Reasoning("", signature="S"), Reasoning("b"), Text("c"))
    assert told == [("thinking", "aS"), ("thinking", "b"), ("text", "c")]


def test_a_block_of_a_call_names_it_and_begins_empty() -> None:
    starts = [event["content_block"] for event in said(call(0, "{}", name="f")) if "content_block" in event]
    assert starts == [{"type": "tool_use", "id": "t0", "name": "f", "input": {}}]
    nameless = [event["content_block"] for event in said(ToolDelta(index=2, name="f")) if "content_block" in event]
    assert nameless[0]["id"] == "toolu_1_2"


def test_calls_that_come_one_after_the_other_are_streamed_as_they_come() -> None:
    writer = StreamWriter(id="msg_1", model="m")
    for part in (call(0, name="f"), call(0, "{}"), call(1, name="g")):
        writer.write(Event((part,)))
    assert b"input_json_delta" in writer.write(Event((call(1, '{"a'),)))


def test_calls_that_interleave_are_put_one_after_the_other_and_lose_nothing() -> None:
    assert blocks(
        call(0, name="f"),
        call(1, name="g"),
        call(1, '{"b":'),
        call(0, '{"a":1'),
        call(1, "2"),
        call(0, "}"),
        call(1, "}"),
        call(2, name="h"),
        Finish(FinishReason.TOOL_CALLS),
    ) == [("tool_use", 'f{"a":1}'), ("tool_use", 'g{"b":2}'), ("tool_use", "h")]


def test_a_call_that_goes_on_behind_a_text_is_not_lost_in_silence() -> None:
    with pytest.raises(UpstreamInvalidResponse):
        written(call(0, '{"a"', name="f"), Text("b"), call(0, ":1}"))


@pytest.mark.parametrize(
    ("parts", "reason", "sequence"),
    [
        ((Finish(),), "end_turn", None),
        ((Finish(stop="END"),), "stop_sequence", "END"),
        ((Finish(FinishReason.LENGTH),), "max_tokens", None),
        ((Finish(FinishReason.CONTENT_FILTER),), "refusal", None),
        ((Refusal("no"), Finish()), "refusal", None),
        ((Finish(FinishReason.TOOL_CALLS),), "tool_use", None),
        ((call(0, "{}", name="f"), Finish()), "tool_use", None),
        ((call(0, "{", name="f"), Finish(FinishReason.LENGTH)), "max_tokens", None),
    ],
)
def test_why_it_ended_is_told_in_anthropics_words(parts: tuple[Part, ...], reason: str, sequence: str | None) -> None:
    end = {"stop_reason": reason, "stop_sequence": sequence}
    assert said(*parts)[-2]["delta"] == end
    if parts[-1] != Finish(FinishReason.LENGTH) or len(parts) == 1:
        told = encode_message([Event(parts)], id="i", model="m")
        assert {name: told[name] for name in end} == end


def test_an_answer_that_says_nothing_is_a_proper_stream_too() -> None:
    assert [event["type"] for event in events_of(written())] == ["message_start", "message_delta", "message_stop"]
    assert blocks(Text(""), Finish()) == []


def test_what_was_dropped_is_told_beside_the_usage_and_what_nobody_counted_as_an_estimate() -> None:
    told = events_of(written(Text("a"), Reasoning("b"), dropped=("seed",)))[-2]["usage"]
    assert told["farmgate_dropped"] == ["seed"]
    assert (told["farmgate_estimated"], told["output_tokens"]) == (True, 2)


def test_only_the_first_answer_is_told_and_nothing_that_cannot_be_asked_for() -> None:
    parts = (Text("a"), Text("z", 1), Logprobs(({"token": "a"},)), Vector((1.0,)), Finish(FinishReason.LENGTH, 1))
    assert blocks(*parts, Finish()) == [("text", "a")]
    assert said(*parts, Finish())[-2]["delta"]["stop_reason"] == "end_turn"


def test_a_page_of_the_web_is_a_citation() -> None:
    told = said(Text("a"), Annotation({"type": "url_citation", "url_citation": {"url": "u", "title": "t"}}))
    assert told[3]["delta"] == {
        "type": "citations_delta",
        "citation": {
            "type": "web_search_result_location",
            "url": "u",
            "title": "t",
            "cited_text": "",
            "encrypted_index": "",
        },
    }


def test_events_of_this_dialect_are_relayed_untouched() -> None:
    reader = StreamReader(provider="p")
    raw = b'event: message_stop\ndata: {"type":"message_stop" ,"x":1}\n\n'
    event = reader.feed(raw)
    assert event is not None
    writer = StreamWriter(id="msg_1", model="m")
    assert writer.write(event) + writer.end() == raw
    whole = Event((Text("a"), Finish()), raw=b"{}", dialect=Dialect.ANTHROPIC)
    assert b"text_delta" in writer.write(whole)


PARTS = st.one_of(
    st.builds(Text, st.text(max_size=5)),
    st.builds(Reasoning, st.text(max_size=5)),
    st.builds(Reasoning, st.just(""), signature=st.text(min_size=1, max_size=5)),
    st.builds(Reasoning, st.just(""), redacted=st.text(min_size=1, max_size=5)),
    st.integers(0, 2).map(lambda index: call(index, "{}", name="f")),
    st.just(Refusal("no")),
)


@st.composite
def answers(draw: st.DrawFn) -> list[Part]:
    seen: set[int] = set()
    parts: list[Part] = []
    for part in draw(st.lists(PARTS, max_size=8)):
        if isinstance(part, ToolDelta):
            if part.index in seen:
                continue
            seen.add(part.index)
        parts.append(part)
    reasons = [FinishReason.LENGTH, FinishReason.TOOL_CALLS, FinishReason.CONTENT_FILTER]
    return [*parts, Finish(draw(st.sampled_from(reasons))), Usage(prompt_tokens=5, completion_tokens=3)]


@steady
@given(answers())
def test_what_is_written_is_read_as_the_same_answer_streamed_or_whole(parts: list[Part]) -> None:
    reader = StreamReader(provider="p")
    event = reader.feed(written(*parts))
    reader.end()
    assert event is not None
    asked, told = fold([Event(tuple(parts))]), fold([event])
    blocks(*parts)
    whole = encode_message([Event(tuple(parts))], id="msg_1", model="m")
    again = encode_message([event], id="msg_1", model="m")
    assert whole == again
    one, other = asked.choices[0], told.choices[0]
    assert (one.text + one.refusal, one.reasoning, one.signature, one.redacted, one.finish) == (
        *(other.text if not one.refusal else one.text + one.refusal, other.reasoning),
        *(other.signature, other.redacted, other.finish),
    )
    assert [use.arguments for use in one.tools.values()] == [use.arguments for use in other.tools.values()]
    assert asked.usage == told.usage
