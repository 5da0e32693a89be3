"""A stream of events, folded."""

from __future__ import annotations

from farmgate.core.answer import fold
from farmgate.core.event import Event, Finish, FinishReason, Part, Reasoning, Refusal, Text, ToolDelta, Usage, Vector
from farmgate.core.words import ToolUse

SAID: list[Part] = [
    Reasoning("h"),
    Text("a"),
    Reasoning("m"),
    Text("x", 1),
    Text("b"),
    Refusal("n"),
    Refusal("o"),
    ToolDelta(index=1, id="u", name="g"),
    ToolDelta(index=0, id="t", name="f", arguments='{"x"'),
    ToolDelta(index=0, arguments=":1}"),
    Finish(FinishReason.TOOL_CALLS),
    Finish(FinishReason.LENGTH, 1),
    Usage(prompt_tokens=1),
    Usage(prompt_tokens=2),
]


def test_events_fold_to_the_same_answer_however_they_are_cut() -> None:
    singly = fold([Event((part,)) for part in SAID])
    assert singly == fold([Event(tuple(SAID))])
    first, second = singly.choices[0], singly.choices[1]
    assert (first.text, first.reasoning, first.refusal, first.finish) == ("ab", "hm", "no", FinishReason.TOOL_CALLS)
    assert first.tools == {
        0: ToolUse(id="t", name="f", arguments='{"x":1}'),
        1: ToolUse(id="u", name="g", arguments=""),
    }
    assert (second.text, second.finish) == ("x", FinishReason.LENGTH)
    assert singly.usage == Usage(prompt_tokens=2)
    assert singly.text == "ab"


def test_vectors_are_kept_by_their_index() -> None:
    answer = fold([Event((Vector((2.0,), 1), Vector((1.0,), 0)))])
    assert answer.vectors == {0: (1.0,), 1: (2.0,)}
    assert answer.text == ""


def test_nothing_said_is_an_empty_answer() -> None:
    assert fold([]).choices == {}
