"""The demo uses tools as a script would: when one is used, which, and what is said once it has answered."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from farmgate.core.errors import UnsupportedParameter
from farmgate.core.words import (
    Chat,
    FormatKind,
    HostedTool,
    Message,
    ResponseFormat,
    Role,
    TextPart,
    Tool,
    ToolChoice,
    ToolMode,
    ToolUse,
)
from farmgate.providers.demo_tools import call_for, check_tools, formed, results_of
from farmgate.wire.losses import Losses

CITY: Mapping[str, object] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool(name="weather", parameters=CITY)
CLOCK = Tool(name="clock")
ASKED = "What is the weather in Paris?"
USER = Message(role=Role.USER, content=ASKED)
CALLED = Message(role=Role.ASSISTANT, tool_uses=(ToolUse(id="call_1", name="weather", arguments="{}"),))
RESULT = Message(role=Role.TOOL, tool_call_id="call_1", content="It rains.")
SPOKEN = Message(role=Role.ASSISTANT, content="It rains in Paris.")


def chat(
    *messages: Message, tools: tuple[Tool | HostedTool, ...] = (WEATHER,), choice: ToolChoice | None = None
) -> Chat:
    return Chat(messages=messages, tools=tools, tool_choice=choice)


def name_of(words: Chat, said: str = ASKED) -> str | None:
    call = call_for(words, said)
    return call.name if call else None


def test_a_tool_is_called_with_words_of_the_user() -> None:
    call = call_for(chat(USER), ASKED)
    assert call == ToolUse(id="call_1", name="weather", arguments='{"city": "Paris"}')


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        (None, "weather"),
        (ToolChoice(mode=ToolMode.AUTO), "weather"),
        (ToolChoice(mode=ToolMode.REQUIRED), "weather"),
        (ToolChoice(mode=ToolMode.NAMED, name="clock"), "clock"),
        (ToolChoice(mode=ToolMode.NAMED, name="oven"), None),
        (ToolChoice(mode=ToolMode.NONE), None),
    ],
)
def test_the_caller_s_choice_is_kept(choice: ToolChoice | None, name: str | None) -> None:
    assert name_of(chat(USER, tools=(CLOCK, WEATHER), choice=choice)) == name


def test_the_first_tool_is_called_when_none_is_named_in_the_words() -> None:
    assert name_of(chat(USER, tools=(CLOCK, WEATHER)), "Hello") == "clock"


def test_nothing_is_called_where_nothing_is_offered() -> None:
    assert name_of(chat(USER, tools=())) is None


def test_a_tool_that_the_provider_would_have_to_run_is_refused_by_its_place() -> None:
    check_tools(chat(USER), Losses("demo"))
    with pytest.raises(UnsupportedParameter) as refused:
        check_tools(chat(USER, tools=(WEATHER, HostedTool(kind="web_search", data={}))), Losses("demo"))
    assert refused.value.param == "tools[1]"


@pytest.mark.parametrize(
    ("messages", "is_called"),
    [
        ((), False),
        ((Message(role=Role.SYSTEM, content="Be kind"), USER), True),
        ((USER, CALLED, RESULT), False),
        ((USER, CALLED, RESULT, USER), False),
        ((USER, CALLED, RESULT, SPOKEN), False),
        ((USER, CALLED, RESULT, SPOKEN, USER), True),
        ((USER, SPOKEN), False),
    ],
)
def test_an_agent_s_loop_comes_to_an_end(messages: tuple[Message, ...], is_called: bool) -> None:
    assert (name_of(chat(*messages)) == "weather") is is_called


def test_each_call_of_a_conversation_has_an_id_of_its_own() -> None:
    call = call_for(chat(USER, CALLED, RESULT, SPOKEN, USER), ASKED)
    assert call is not None
    assert call.id == "call_2"


def test_results_are_those_since_the_assistant_last_spoke() -> None:
    other = Message(role=Role.TOOL, content=(TextPart(text="It snows."),))
    assert results_of(chat(USER, CALLED, RESULT, other)) == (RESULT, other)
    assert results_of(chat(USER, CALLED, RESULT, SPOKEN, USER, CALLED, other)) == (other,)
    assert results_of(chat(USER)) == ()


@pytest.mark.parametrize("parameters", [{}, {"type": "string"}, {"anyOf": [{"type": "array"}]}, {"$ref": "#"}])
def test_arguments_are_an_object_whatever_the_schema_says(parameters: Mapping[str, object]) -> None:
    call = call_for(chat(USER, tools=(Tool(name="odd", parameters=parameters),)), ASKED)
    assert call is not None
    assert json.loads(call.arguments) == {}


def test_an_answer_has_the_form_that_was_asked_for() -> None:
    assert formed(ResponseFormat(kind=FormatKind.TEXT), ASKED, "words") == "words"
    assert json.loads(formed(ResponseFormat(kind=FormatKind.JSON), ASKED, "words")) == {"text": "words"}
    assert json.loads(formed(ResponseFormat(kind=FormatKind.SCHEMA, schema=CITY), ASKED, "words")) == {"city": "Paris"}
