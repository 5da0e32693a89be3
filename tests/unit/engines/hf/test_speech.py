from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from farmgate.core.event import Finish, FinishReason, Part, Reasoning, Text, ToolDelta
from farmgate.engines.hf.choosing import Chooser
from farmgate.engines.hf.speech import Plain, Speech, Understood
from farmgate.engines.hf.writing import Writing


def opened(field: str) -> dict[str, Any]:
    return {"type": "region_open", "field": field}


def chunk(field: str, text: str) -> dict[str, Any]:
    return {"type": "region_chunk", "field": field, "text": text}


def closed(field: str, value: object) -> dict[str, Any]:
    return {"type": "region_close", "field": field, "value": value}


def call(name: str, arguments: object) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


class Scripted:
    """A ResponseParser that says what each text means; None fails."""

    def __init__(
        self, script: dict[str, Sequence[dict[str, Any]] | None], *, begun: Sequence[dict[str, Any]] = ()
    ) -> None:
        self.initial_events = list(begun)
        self._script = script

    def feed(self, text: str) -> Sequence[dict[str, Any]]:
        events = self._script[text]
        if events is None:
            raise ValueError(text)
        return events

    def finalize(self) -> tuple[dict[str, Any], Sequence[dict[str, Any]]]:
        return {}, self.feed("end")


def test_without_a_response_template_all_is_the_answer() -> None:
    speech = Plain()
    assert (speech.begin(), speech.feed("a"), speech.feed(""), speech.end()) == ((), (Text("a"),), (), ())


def test_thinking_the_answer_and_calls_are_told_apart() -> None:
    speech = Understood(
        Scripted(
            {
                "hm": [chunk("thinking", "hm")],
                "hello": [closed("thinking", "hm"), opened("content"), chunk("content", "hello")],
                "{": [closed("content", "hello"), opened("tool_calls"), chunk("tool_calls", "{")],
                "}": [chunk("tool_calls", "}"), closed("tool_calls", call("f", {"a": 1}))],
                "end": [closed("tool_calls", [call("g", "{}"), call("h", None)])],
            },
            begun=[opened("thinking"), chunk("thinking", "so ")],
        )
    )
    assert speech.begin() == (Reasoning("so "),)
    assert speech.feed("hm") == (Reasoning("hm"),)
    assert speech.feed("hello") == (Text("hello"),)
    assert speech.feed("{") == ()
    (first,) = speech.feed("}")
    assert isinstance(first, ToolDelta)
    assert (first.index, first.name, first.arguments) == (0, "f", '{"a":1}')
    assert first.id
    second, third = speech.end()
    assert isinstance(second, ToolDelta)
    assert isinstance(third, ToolDelta)
    assert (second.index, second.arguments, third.index, third.arguments) == (1, "{}", 2, "{}")
    assert speech.calls == 3


def test_a_call_that_cannot_be_read_is_shown_as_it_stands_and_so_is_all_behind_it() -> None:
    speech = Understood(Scripted({"{no": [opened("tool_calls"), chunk("tool_calls", "{no")], "call": None, "end": []}))
    assert speech.feed("{no") == ()
    assert speech.feed("call") == (Text("{no"), Text("call"))
    assert speech.feed("more") == (Text("more"),)
    assert speech.end() == ()
    assert speech.calls == 0


def test_a_call_that_is_cut_off_is_shown_as_far_as_it_came() -> None:
    speech = Understood(Scripted({"{": [opened("tool_calls"), chunk("tool_calls", "{")], "end": None}))
    assert speech.feed("{") == ()
    assert speech.end() == (Text("{"),)


def written(speech: Speech, text: str, **more: Any) -> list[Part]:
    one = Writing(
        [1],
        chooser=Chooser(temperature=0, top_p=1, top_k=0, seed=None),
        decode=lambda ids: bytes(ids).decode(),
        end_ids=frozenset({0}),
        speech=speech,
        **{"most_tokens": 99} | more,
    )
    return [part for token in text.encode() if not one.is_over for part in one.take(token)]


def test_an_answer_that_calls_ends_for_that_reason_and_with_as_many_as_are_wanted() -> None:
    script: dict[str, Sequence[dict[str, Any]] | None] = {"c": [closed("tool_calls", call("f", {}))], "end": []}
    *_, finish, _ = written(Understood(Scripted(script)), "c\0")
    assert finish == Finish(FinishReason.TOOL_CALLS)
    *calls, finish, _ = written(Understood(Scripted(script)), "cc\0", most_calls=1)
    assert len(calls) == 1
    assert finish == Finish(FinishReason.TOOL_CALLS)
    *calls, finish, _ = written(Understood(Scripted(script)), "cc\0", most_tokens=2)
    assert len(calls) == 2
    assert finish == Finish(FinishReason.LENGTH)


def test_what_the_prompt_has_begun_comes_first() -> None:
    speech = Understood(Scripted({"a": [chunk("content", "a")], "end": []}, begun=[chunk("thinking", "hm")]))
    assert written(speech, "a\0")[:2] == [Reasoning("hm"), Text("a")]
