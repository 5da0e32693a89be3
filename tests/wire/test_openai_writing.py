"""OpenAI's streams, written for a caller from our words."""

from __future__ import annotations

import json

from farmgate.core.event import Event, Finish, FinishReason, Part, Reasoning, Refusal, Text, ToolDelta, Usage, Vector
from farmgate.core.request import Kind
from farmgate.wire.openai.stream import StreamReader, StreamWriter
from farmgate.wire.sse import Splitter


def written(*parts: Part, kind: Kind = Kind.CHAT, show_usage: bool = True) -> bytes:
    writer = StreamWriter(id="c", kind=kind, model="m", created_unix=1, show_usage=show_usage)
    return b"".join(writer.write(Event((part,))) for part in parts)


SAID: list[Part] = [
    Reasoning("hm"),
    Text("a"),
    Text("b", 1),
    Refusal("no"),
    ToolDelta(index=0, id="t", name="f"),
    ToolDelta(index=0, arguments="{}"),
    Finish(FinishReason.TOOL_CALLS),
    Finish(choice=1),
    Usage(prompt_tokens=3, completion_tokens=2, cached_tokens=1),
]


def test_what_is_written_is_read_as_the_same_words() -> None:
    reader = StreamReader(provider="p", show_usage=True)
    event = reader.feed(written(*SAID))
    reader.end()
    assert event is not None
    assert list(event.parts) == SAID


def test_the_first_frame_of_each_choice_names_the_assistant_and_no_other_does() -> None:
    chunks = [json.loads(payload) for payload in Splitter().feed(written(Text("a"), Text("b", 1), Text("c"), Finish()))]
    assert ["role" in told["choices"][0]["delta"] for told in chunks] == [True, True, False, False]
    assert {(told["id"], told["object"], told["created"], told["model"]) for told in chunks} == {
        ("c", "chat.completion.chunk", 1, "m")
    }


def test_usage_is_written_only_where_it_was_asked_for() -> None:
    usage = Usage(prompt_tokens=3, completion_tokens=2)
    assert written(usage, show_usage=False) == b""
    (told,) = map(json.loads, Splitter().feed(written(usage)))
    assert told["choices"] == []
    assert told["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def test_a_completion_writes_text_and_refusals_and_no_thoughts() -> None:
    stream = written(Reasoning("hm"), Text("a"), Refusal("no"), Finish(), kind=Kind.COMPLETION)
    assert [json.loads(payload)["choices"][0]["text"] for payload in Splitter().feed(stream)] == ["", "a", "no", ""]
    assert b'"object":"text_completion"' in stream


def test_vectors_are_not_for_streams() -> None:
    assert written(Vector((1.0,))) == b""
