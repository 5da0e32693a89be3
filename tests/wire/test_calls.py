"""Calls of tools: arguments are objects, and each call of a stream has a number of its own."""

from __future__ import annotations

import pytest

from farmgate.core.errors import InvalidMessages
from farmgate.core.event import ToolDelta
from farmgate.core.words import ToolUse
from farmgate.wire.calls import CallNumbers, arguments_in, arguments_of


@pytest.mark.parametrize(("text", "held"), [("", {}), (" \n", {}), ("{}", {}), ('{"a":[1]}', {"a": [1]})])
def test_arguments_are_an_object_and_nothing_is_an_empty_one(text: str, held: dict[str, object]) -> None:
    assert arguments_in(text) == held


@pytest.mark.parametrize("text", ["[1]", "7", "null", "{", '{"a":1} x', "\ud800", "[" * 100_000])
def test_what_is_no_object_is_none(text: str) -> None:
    assert arguments_in(text) is None


def test_arguments_that_are_no_object_are_refused_by_their_place() -> None:
    with pytest.raises(InvalidMessages) as caught:
        arguments_of(ToolUse(id="c", name="f", arguments="[1]"), "messages[2].tool_calls[0]")
    assert caught.value.param == "messages[2].tool_calls[0].function.arguments"


def test_calls_are_numbered_by_their_order_whatever_their_blocks_are_called() -> None:
    numbers = CallNumbers()
    first, second = numbers.begin(3, id="a", name="f"), numbers.begin(1, id="b", name="g")
    assert (first.index, second.index, len(numbers)) == (0, 1, 2)
    assert numbers.go_on(3, "{}") == [ToolDelta(index=0, arguments="{}")]
    assert 3 in numbers
    assert 0 not in numbers


def test_a_call_that_ends_without_arguments_has_an_empty_object_once() -> None:
    numbers = CallNumbers()
    numbers.begin(0, id="a", name="f")
    assert numbers.end(0) == [ToolDelta(index=0, arguments="{}")]
    assert numbers.end(0) == []


@pytest.mark.parametrize("begun", [True, False])
def test_a_call_that_said_its_arguments_ends_in_silence(begun: bool) -> None:
    numbers = CallNumbers()
    numbers.begin(0, id="a", name="f", arguments="{" if begun else "")
    numbers.go_on(0, "}" if begun else "{}")
    assert numbers.end(0) == []


def test_what_is_said_in_a_block_that_is_no_call_is_no_piece_of_one() -> None:
    numbers = CallNumbers()
    assert numbers.go_on(0, "{}") == []
    assert numbers.end(0) == []
