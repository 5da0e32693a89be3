"""Ollama's dialect: what is said to it."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from farmgate.core.errors import (
    BadRequest,
    InvalidMessages,
    InvalidType,
    InvalidValue,
    UnsupportedParameter,
)
from farmgate.core.identity import ANONYMOUS
from farmgate.core.request import Kind, Request, Typed
from farmgate.core.words import (
    Ask,
    CacheMark,
    Chat,
    Complete,
    Embed,
    FormatKind,
    ImagePart,
    Message,
    OtherPart,
    ResponseFormat,
    Role,
    Sampling,
    TextPart,
    Thinking,
    Tool,
    ToolChoice,
    ToolMode,
    ToolUse,
)
from farmgate.wire.losses import Outgoing
from farmgate.wire.ollama.requests import Residence, encode_preload, encode_request
from farmgate.wire.openai.requests import decode_request
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.strictjson import JsonLimits

KINDS: Mapping[type, Kind] = {Chat: Kind.CHAT, Complete: Kind.COMPLETION, Embed: Kind.EMBEDDING}
HELLO = (Message(role=Role.USER, content="hello"),)


def outgoing(words: Ask, residence: Residence | None = None) -> Outgoing:
    """What goes out for these words."""
    request = Request(
        id="r",
        kind=KINDS[type(words)],
        body=Typed(words),
        principal=ANONYMOUS,
        deadline=0.0,
        started=0.0,
        model="llama3.1",
    )
    return encode_request(request, provider="ollama", stream=True, residence=residence or Residence())


def told(words: Ask, residence: Residence | None = None) -> dict[str, object]:
    """The body that says these words."""
    body = json.loads(outgoing(words, residence).body)
    assert isinstance(body, dict)
    return body


def messages_of(*messages: Message) -> list[dict[str, object]]:
    found = told(Chat(messages=messages))["messages"]
    assert isinstance(found, list)
    return found


# --------------------------------------------------------------------------------------------- requests


def test_a_chat_says_no_more_than_was_asked() -> None:
    assert told(Chat(messages=HELLO)) == {
        "model": "llama3.1",
        "messages": [{"role": "user", "content": "hello"}],
        "stream": True,
    }


def test_what_came_in_openais_dialect_goes_out_in_ollamas() -> None:
    raw = b"""{"model":"ollama/llama3.1","stream":true,"max_completion_tokens":5,"top_k":3,"user":"u","messages":[
        {"role":"system","content":"be brief"},
        {"role":"user","content":[{"type":"text","text":"what"},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,QUJD"}}]}]}"""
    body = decode_request(raw, Kind.CHAT, json_limits=JsonLimits(), list_limits=ListLimits())
    assert told(body.ask()) == {
        "model": "llama3.1",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "what", "images": ["QUJD"]},
        ],
        "stream": True,
        "options": {"num_predict": 5, "top_k": 3},
    }


def test_sampling_becomes_options() -> None:
    sampling = Sampling(
        temperature=0.0,
        top_p=0.5,
        max_tokens=9,
        stop=("\n",),
        seed=0,
        presence_penalty=0.1,
        frequency_penalty=0.2,
    )
    wanted = {
        "temperature": 0.0,
        "top_p": 0.5,
        "num_predict": 9,
        "stop": ["\n"],
        "seed": 0,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
    }
    assert told(Chat(messages=HELLO, sampling=sampling))["options"] == wanted
    assert told(Complete(prompt="once", sampling=sampling))["options"] == wanted


def test_ollamas_own_sampling_fields_become_options() -> None:
    words = Chat(messages=HELLO, sampling=Sampling(top_k=40), extra={"min_p": 0.1, "repeat_penalty": 1.1})
    assert told(words)["options"] == {"top_k": 40, "min_p": 0.1, "repeat_penalty": 1.1}


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("repeat_last_n", "40", InvalidType),
        ("repeat_last_n", True, InvalidType),
        ("repeat_last_n", 1.5, InvalidValue),
        ("repeat_last_n", 1e300, InvalidValue),
        ("min_p", float("nan"), InvalidValue),
    ],
)
def test_an_option_of_the_wrong_type_is_refused_here(name: str, value: object, error: type[BadRequest]) -> None:
    with pytest.raises(error) as caught:
        told(Chat(messages=HELLO, extra={name: value}))
    assert caught.value.param == name


def test_the_context_and_the_stay_in_memory_are_never_the_callers() -> None:
    extra = {"num_ctx": 99, "keep_alive": 0, "options": {"num_ctx": 99}, "num_gpu": 1}
    assert told(Chat(messages=HELLO, extra=extra)) == told(Chat(messages=HELLO))
    pinned = Residence(num_ctx=8192, keep_alive="10m")
    for words in (Chat(messages=HELLO, extra=extra), Complete(prompt="once"), Embed(inputs=("a",))):
        body = told(words, pinned)
        assert body["options"] == {"num_ctx": 8192}
        assert body["keep_alive"] == "10m"


def test_a_seconds_keep_alive_of_zero_is_said() -> None:
    assert told(Chat(messages=HELLO), Residence(keep_alive=0))["keep_alive"] == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("logit_bias", {"1": 2}),
        ("best_of", 2),
        ("echo", True),
        ("modalities", ["text", "audio"]),
        ("functions", [{"name": "f"}]),
        ("guided_json", {}),
    ],
)
def test_a_field_that_would_change_the_answer_is_refused_by_name(name: str, value: object) -> None:
    for words in (Chat(messages=HELLO, extra={name: value}), Complete(prompt="once", extra={name: value})):
        with pytest.raises(UnsupportedParameter) as caught:
            told(words)
        assert caught.value.param == name


def test_several_answers_and_one_call_at_a_time_are_refused_by_name() -> None:
    for words, name in (
        (Chat(messages=HELLO, sampling=Sampling(count=2)), "n"),
        (Chat(messages=HELLO, tools=(Tool(name="f"),), parallel_tools=False), "parallel_tool_calls"),
    ):
        with pytest.raises(UnsupportedParameter) as caught:
            told(words)
        assert caught.value.param == name


def test_hints_are_dropped_and_announced() -> None:
    part = TextPart(text="hi", cache=CacheMark())
    words = Chat(
        messages=(Message(role=Role.USER, content=(part,)),), user="u", extra={"metadata": {"a": "b"}, "store": True}
    )
    assert outgoing(words).dropped == ("cache_control", "user", "metadata", "store")


def test_log_probabilities_are_asked_for() -> None:
    body = told(Chat(messages=HELLO, sampling=Sampling(top_logprobs=3)))
    assert (body["logprobs"], body["top_logprobs"]) == (True, 3)


def test_fields_that_ask_for_nothing_are_passed_over() -> None:
    extra = {
        "metadata": {},
        "store": False,
        "logit_bias": {},
        "service_tier": "auto",
        "audio": None,
    }
    assert told(Chat(messages=HELLO, extra=extra)) == told(Chat(messages=HELLO))


def test_tools_are_told_and_arguments_are_objects() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    use = ToolUse(id="call_7", name="weather", arguments='{"city": "Ulm"}')
    body = told(
        Chat(
            messages=(
                *HELLO,
                Message(role=Role.ASSISTANT, tool_uses=(use,)),
                Message(role=Role.TOOL, content="rain", tool_call_id="call_7"),
            ),
            tools=(Tool(name="weather", description="now", parameters=schema), Tool(name="time")),
        )
    )
    assert body["messages"] == [
        {"role": "user", "content": "hello"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "call_7", "function": {"index": 0, "name": "weather", "arguments": {"city": "Ulm"}}}],
        },
        {"role": "tool", "content": "rain", "tool_call_id": "call_7", "tool_name": "weather"},
    ]
    assert body["tools"] == [
        {"type": "function", "function": {"name": "weather", "description": "now", "parameters": schema}},
        {
            "type": "function",
            "function": {"name": "time", "description": "", "parameters": {"type": "object", "properties": {}}},
        },
    ]


@pytest.mark.parametrize("arguments", ["{", "[1]", '"x"', "\ud800", "[" * 100_000])
def test_arguments_that_are_no_object_are_refused_by_place(arguments: str) -> None:
    use = ToolUse(id="c", name="f", arguments=arguments)
    with pytest.raises(InvalidMessages) as caught:
        messages_of(*HELLO, Message(role=Role.ASSISTANT, tool_uses=(use,)))
    assert caught.value.param == "messages[1].tool_calls[0].function.arguments"


def test_no_arguments_are_an_empty_object() -> None:
    message = messages_of(Message(role=Role.ASSISTANT, tool_uses=(ToolUse(id="c", name="f", arguments=""),)))[0]
    assert message["tool_calls"] == [{"id": "c", "function": {"index": 0, "name": "f", "arguments": {}}}]


def test_a_model_may_be_kept_from_tools_and_not_made_to_use_them() -> None:
    tools = (Tool(name="f"),)
    assert "tools" in told(Chat(messages=HELLO, tools=tools, tool_choice=ToolChoice(mode=ToolMode.AUTO)))
    assert "tools" not in told(Chat(messages=HELLO, tools=tools, tool_choice=ToolChoice(mode=ToolMode.NONE)))
    for choice in (ToolChoice(mode=ToolMode.REQUIRED), ToolChoice(mode=ToolMode.NAMED, name="f")):
        with pytest.raises(UnsupportedParameter) as caught:
            told(Chat(messages=HELLO, tools=tools, tool_choice=choice))
        assert caught.value.param == "tool_choice"


def test_text_parts_are_joined_and_images_travel_as_base64() -> None:
    content = (TextPart(text="what"), ImagePart(url="data:image/png;base64,QUJD"), TextPart(text="is this"))
    assert messages_of(Message(role=Role.USER, content=content)) == [
        {"role": "user", "content": "what\nis this", "images": ["QUJD"]}
    ]


@pytest.mark.parametrize(
    "part",
    [
        ImagePart(url="https://example.com/cat.png"),
        ImagePart(url="data:image/svg+xml,<svg/>"),
        ImagePart(url="data:image/png;base64,"),
        OtherPart(kind="input_audio", data={}),
    ],
)
def test_what_would_have_to_be_fetched_or_heard_is_refused_by_place(part: ImagePart | OtherPart) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        messages_of(Message(role=Role.USER, content=(TextPart(text="look"), part)))
    assert caught.value.param == "messages[0].content[1]"


def test_a_developer_speaks_as_the_system() -> None:
    assert messages_of(Message(role=Role.DEVELOPER, content="be brief"))[0]["role"] == "system"


def test_response_formats() -> None:
    schema = {"type": "object"}
    named = ResponseFormat(kind=FormatKind.SCHEMA, schema=schema)
    assert "format" not in told(Chat(messages=HELLO, response_format=ResponseFormat(kind=FormatKind.TEXT)))
    assert told(Chat(messages=HELLO, response_format=ResponseFormat(kind=FormatKind.JSON)))["format"] == "json"
    assert told(Chat(messages=HELLO, response_format=named))["format"] == schema


@pytest.mark.parametrize(
    ("effort", "think"), [("none", False), ("minimal", "low"), ("low", "low"), ("high", "high"), ("xhigh", "max")]
)
def test_reasoning_effort_becomes_think(effort: str, think: object) -> None:
    assert told(Chat(messages=HELLO, thinking=Thinking(is_enabled=effort != "none", effort=effort)))["think"] == think


def test_an_unknown_effort_is_refused() -> None:
    with pytest.raises(InvalidValue):
        told(Chat(messages=HELLO, thinking=Thinking(effort="huge")))


def test_a_completion_has_its_suffix_and_never_an_empty_prompt() -> None:
    assert told(Complete(prompt="def f(", suffix="return 1")) == {
        "model": "llama3.1",
        "prompt": "def f(",
        "suffix": "return 1",
        "stream": True,
    }
    with pytest.raises(InvalidValue):  # Ollama would load the model and say nothing.
        told(Complete(prompt=""))


def test_what_is_embedded_is_never_cut_in_silence() -> None:
    assert told(Embed(inputs=("a", "b"), dimensions=64)) == {
        "model": "llama3.1",
        "input": ["a", "b"],
        "truncate": False,
        "dimensions": 64,
    }


def test_a_preload_pins_the_same_context_as_every_request() -> None:
    pinned = Residence(num_ctx=8192, keep_alive=-1)
    assert json.loads(encode_preload("m", kind=Kind.COMPLETION, residence=pinned)) == {
        "model": "m",
        "stream": False,
        "options": {"num_ctx": 8192},
        "keep_alive": -1,
    }
    assert json.loads(encode_preload("m", kind=Kind.EMBEDDING)) == {"model": "m", "input": []}
