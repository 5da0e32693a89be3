"""What is written of an answer: the events tell the same as the whole response, and both can be read again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from farmgate.core.answer import Answer, fold
from farmgate.core.errors import UpstreamStreamTruncated
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
)
from farmgate.core.words import Message, TextPart, ThinkingPart
from farmgate.wire.responses.answers import Envelope, decode_whole
from farmgate.wire.responses.items import Placed, messages_of
from farmgate.wire.responses.output import Output
from farmgate.wire.responses.stream import StreamReader, StreamWriter
from farmgate.wire.strictjson import encode

steady = settings(max_examples=100, deadline=None, derandomize=True, database=None)
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
USAGE = Usage(prompt_tokens=10, completion_tokens=5, cached_tokens=4, reasoning_tokens=2)


def envelope(**fields: Any) -> Envelope:
    return Envelope(id="resp_r", created_unix=1, model="m", fields=fields, is_kept=True, dropped=("x",))


class Written:
    """A stream as a caller sees it."""

    def __init__(self, events: Sequence[Sequence[Part]], failure: Exception | None = None) -> None:
        self.finished: list[bytes] = []
        writer = StreamWriter(
            envelope(), Output("r"), now_unix=lambda: 2.0, finished=lambda told, _: self.finished.append(told)
        )
        self.data = b"".join(writer.write(Event(tuple(parts))) for parts in events)
        self.data += writer.end() if failure is None else writer.fail(UpstreamStreamTruncated())
        self.events: list[dict[str, Any]] = []
        for block in self.data.decode().removesuffix("\n\n").split("\n\n"):
            name, _, data = block.partition("\n")
            self.events.append(json.loads(data.removeprefix("data: ")))
            assert name == f"event: {self.events[-1]['type']}"

    def deltas(self, kind: str) -> str:
        return "".join(event["delta"] for event in self.events if event["type"] == f"response.{kind}.delta")


def whole(parts: Sequence[Part]) -> dict[str, Any]:
    """The same parts as a whole response."""
    output = Output("r")
    output.add(parts)
    output.close()
    told = envelope().told(output.status, output.items, usage=output.usage, incomplete=output.incomplete)
    decoded: dict[str, Any] = msgspec.json.decode(encode(told))
    return decoded


def test_thoughts_text_and_calls_become_items_in_their_order() -> None:
    parts: list[Part] = [
        Reasoning("hm"),
        Reasoning("", signature="proof"),
        Reasoning("", redacted="opaque"),
        Text("a"),
        Refusal("b"),
        ToolDelta(index=0, id="c", name="f", arguments='{"x"'),
        ToolDelta(index=0, arguments=":1}", signature="s"),
        ToolDelta(index=1, id="d", name="g"),
        Finish(FinishReason.TOOL_CALLS),
        USAGE,
    ]
    told = whole(parts)
    Response.model_validate(told)
    assert told["output"] == [
        {
            "type": "reasoning",
            "id": "rs_r000",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "farmgate.1.s.proof",
        },
        {"type": "reasoning", "id": "rs_r001", "summary": [], "encrypted_content": "farmgate.1.r.opaque"},
        {
            "type": "message",
            "id": "msg_r002",
            "status": "completed",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "a", "annotations": [], "logprobs": []},
                {"type": "refusal", "refusal": "b"},
            ],
        },
        {
            "type": "function_call",
            "id": "fc_r003",
            "status": "completed",
            "call_id": "c",
            "name": "f",
            "arguments": '{"x":1}',
            "signature": "s",
        },
        {
            "type": "function_call",
            "id": "fc_r004",
            "status": "completed",
            "call_id": "d",
            "name": "g",
            "arguments": "{}",
        },
    ]
    assert told["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 15,
        "farmgate_dropped": ["x"],
    }


def test_an_answer_comes_back_as_the_message_it_was() -> None:
    told = whole(
        [Reasoning("hm"), Reasoning("", signature="p"), Text("a"), ToolDelta(index=0, id="c", name="f", arguments="{}")]
    )
    (message,) = messages_of([Placed(item, "input[0]") for item in told["output"]])
    assert isinstance(message, Message)
    assert message.content == (ThinkingPart(text="hm", signature="p"), TextPart(text="a"))
    assert [(use.id, use.name, use.arguments) for use in message.tool_uses] == [("c", "f", "{}")]


def test_log_probabilities_come_with_their_text() -> None:
    token = {"token": "a", "logprob": -0.5}
    full = token | {"bytes": [], "top_logprobs": []}
    written = Written([[Text("a"), Logprobs((token,)), Text("b")], [Finish()]])
    deltas = [event["logprobs"] for event in written.events if event["type"] == "response.output_text.delta"]
    assert deltas == [[full], []]
    done = next(event for event in written.events if event["type"] == "response.output_text.done")
    assert done["logprobs"] == [full]


def test_annotations_lose_the_object_around_them() -> None:
    inner = {"start_index": 0, "end_index": 1, "title": "t", "url": "https://a.example"}
    written = Written([[Text("a"), Annotation({"type": "url_citation", "url_citation": inner})], [Finish()]])
    added = next(event for event in written.events if event["type"].endswith("annotation.added"))
    assert added["annotation"] == {"type": "url_citation", **inner}
    message = written.events[-1]["response"]["output"][0]
    assert message["content"][0]["annotations"] == [added["annotation"]]
    # What an event told is not changed by what came after it.
    assert next(event for event in written.events if event["type"].endswith("part.added"))["part"]["annotations"] == []


def test_a_call_begins_when_its_name_is_known_and_an_id_is_given_where_there_is_none() -> None:
    written = Written(
        [[ToolDelta(index=3, arguments='{"a"')], [ToolDelta(index=3, name="f", arguments=":1}")], [Finish()]]
    )
    kinds = [event["type"] for event in written.events[2:5]]
    assert kinds == [
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
    ]
    item = written.events[-1]["response"]["output"][0]
    assert item["arguments"] == written.deltas("function_call_arguments") == '{"a":1}'
    assert item["call_id"] == "call_r000"


def test_an_answer_that_says_nothing_is_a_whole_response_all_the_same() -> None:
    silences: list[list[list[Part]]] = [[], [[Finish(), USAGE]], [[Text("")], [Finish()]]]
    for events in silences:
        written = Written(events)
        assert [event["type"] for event in written.events] == [
            "response.created",
            "response.in_progress",
            "response.completed",
        ]
        assert written.events[-1]["response"]["output"] == []


def test_a_broken_stream_ends_in_a_failure_for_those_who_look_and_one_for_those_who_raise() -> None:
    beginnings: list[list[list[Part]]] = [[], [[Text("Half")]]]
    for events in beginnings:
        written = Written(events, failure=UpstreamStreamTruncated())
        failed, error = written.events[-2:]
        assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
        EVENT.validate_python(failed)
        assert failed["response"]["error"]["code"] == "server_error"
        assert error["type"] == "error"
        assert error["code"] == error["error"]["code"] == "upstream_stream_truncated"
        assert error["error"]["message"] == error["message"]
        assert written.finished == []


# ------------------------------------------------------------------------------------------------ for any answer

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
NAMES = st.sampled_from(["f", "g"])
ENDS = st.sampled_from(list(FinishReason)).map(Finish)
PARTS = (
    TEXTS.map(Text)
    | TEXTS.map(Refusal)
    | TEXTS.map(Reasoning)
    | st.builds(ToolDelta, index=st.integers(0, 2), id=st.none() | NAMES, name=st.none() | NAMES, arguments=TEXTS)
    | st.just(Annotation({"type": "file_path", "file_id": "f", "index": 1}))
    | st.builds(Reasoning, st.just(""), signature=NAMES)
    | st.builds(Reasoning, st.just(""), redacted=NAMES)
)
EVENTS = st.lists(st.lists(PARTS, max_size=3), max_size=6)


def said(answer: Answer) -> tuple[object, ...]:
    """What an answer says, whoever wrote it."""
    choice = answer.choices.get(0)
    if choice is None:
        return ()
    calls = [(use.name, use.arguments) for _, use in sorted(choice.tools.items())]
    return choice.text, choice.refusal, choice.reasoning, calls


@steady
@given(EVENTS, ENDS)
def test_a_stream_tells_what_the_whole_response_tells(events: list[list[Part]], end: Finish) -> None:
    written = Written([*events, [end, USAGE]])
    for event in written.events:
        EVENT.validate_python(event)
    assert [event["sequence_number"] for event in written.events] == list(range(len(written.events)))
    last = written.events[-1]
    assert last["type"] == f"response.{last['response']['status']}"
    told = whole([*(part for parts in events for part in parts), end, USAGE])
    assert last["response"]["output"] == told["output"]
    assert json.loads(written.finished[0]) == last["response"]
    Response.model_validate(last["response"])
    added = {
        event["output_index"]: event["item"]["id"] for event in written.events if event["type"].endswith("item.added")
    }
    done = {event["output_index"]: event["item"] for event in written.events if event["type"].endswith("item.done")}
    assert [done[at] for at in sorted(done)] == told["output"]
    assert {at: item["id"] for at, item in done.items()} == added


@steady
@given(EVENTS, ENDS, st.integers(1, 50))
def test_what_is_written_can_be_read_again_in_any_pieces(events: list[list[Part]], end: Finish, cut: int) -> None:
    written = Written([*events, [end, USAGE]])
    reader = StreamReader(provider="p")
    pieces = [reader.feed(written.data[at : at + cut]) for at in range(0, len(written.data), cut)]
    assert reader.end() is None
    read = [piece for piece in pieces if piece is not None]
    assert b"".join(event.raw for event in read) == written.data
    response = encode(written.events[-1]["response"])
    answer, again = fold(read), fold([decode_whole(response, provider="p")])
    assert answer.usage == again.usage == USAGE
    assert said(answer) == said(again)
    given = fold([Event(tuple(parts)) for parts in events])
    assert said(answer)[:3] == (said(given) or ("", "", ""))[:3]
