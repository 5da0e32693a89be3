from __future__ import annotations

import json

import pytest

from farmgate.core.errors import BadRequest
from farmgate.core.request import Kind
from farmgate.engines.hf.words import read_shown, read_text, read_vectors, read_written

HELLO = {"messages": [{"role": "user", "content": "Hello"}]}


def body(fields: dict[str, object]) -> bytes:
    return json.dumps(fields).encode()


def test_a_chat_is_read_with_all_it_says() -> None:
    asked = HELLO | {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens": 7,
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 3,
        "seed": 11,
        "stop": ["a", "b"],
        "chat_template_kwargs": {"date": "today"},
    }
    wanted = read_written(body(asked), Kind.CHAT)
    assert (wanted.model, wanted.stream, wanted.show_usage) == ("m", True, True)
    sampling = wanted.sampling
    assert (sampling.max_tokens, sampling.temperature, sampling.top_p, sampling.top_k) == (7, 0, 0.5, 3)
    assert (sampling.seed, sampling.stop) == (11, ("a", "b"))
    assert wanted.shown is not None
    assert wanted.shown.turns == ({"role": "user", "content": "Hello"},)
    assert wanted.shown.more == {"date": "today"}


def test_a_completion_is_read_with_its_prompt() -> None:
    wanted = read_written(body({"prompt": "Once", "max_tokens": 3, "best_of": 1, "echo": False}), Kind.COMPLETION)
    assert (wanted.kind, wanted.prompt, wanted.sampling.max_tokens) == (Kind.COMPLETION, "Once", 3)


@pytest.mark.parametrize(
    "fields",
    [
        {"user": "u", "metadata": {"a": "b"}, "store": False, "service_tier": "auto", "prompt_cache_key": "k"},
        {"n": 1, "presence_penalty": 0, "frequency_penalty": 0.0, "logit_bias": {}, "logprobs": False},
        {"response_format": {"type": "text"}, "tools": [], "tool_choice": "none", "anything": None},
    ],
)
def test_what_changes_no_answer_is_let_pass(fields: dict[str, object]) -> None:
    read_written(body(HELLO | fields), Kind.CHAT)


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"frequency_penalty": -1}, "frequency_penalty"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"tools": [TOOL], "tool_choice": "required"}, "tool_choice"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"min_p": 0.1}, "min_p"),
        ({"repetition_penalty": 1.2}, "repetition_penalty"),
        ({"grammar": "root ::= x"}, "grammar"),
        ({"stop": [""]}, "stop"),
        ({"chat_template_kwargs": [1]}, "chat_template_kwargs"),
        ({"chat_template_kwargs": {"chat_template": "x"}}, "chat_template"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(fields: dict[str, object], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_written(body(HELLO | fields), Kind.CHAT)
    assert caught.value.param == param
    assert param in caught.value.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"suffix": "x"}, "suffix"),
        ({"best_of": 2}, "best_of"),
        ({"echo": True}, "echo"),
        ({"prompt": [1, 2]}, "prompt"),
    ],
)
def test_what_a_completion_cannot_have_is_refused_too(fields: dict[str, object], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_written(body({"prompt": "a"} | fields), Kind.COMPLETION)
    assert caught.value.param == param


def test_a_conversation_with_tools_in_it_is_as_templates_know_it() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    shown = read_shown(
        body(
            {
                "messages": [
                    {"role": "developer", "content": "Be brief."},
                    {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
                    {"role": "assistant", "content": None, "tool_calls": [call]},
                    {"role": "tool", "tool_call_id": "c1", "content": "3"},
                ],
                "chat_template_kwargs": {"x": 1},
            }
        )
    )
    turns = shown.turns
    assert shown.more == {"x": 1}
    assert [turn["role"] for turn in turns] == ["system", "user", "assistant", "tool"]
    assert turns[1]["content"] == "a\nb"
    assert turns[2]["tool_calls"] == [
        {"type": "function", "id": "c1", "function": {"name": "f", "arguments": {"a": 1}}}
    ]
    assert turns[3]["tool_call_id"] == "c1"


def test_images_are_refused() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    with pytest.raises(BadRequest, match="text only"):
        read_shown(body({"messages": [{"role": "user", "content": [image]}]}))


def test_how_much_to_think_is_read() -> None:
    assert read_shown(body(HELLO | {"reasoning_effort": "low"})).effort == "low"


def test_tools_are_shown_unless_they_are_not_to_be_used() -> None:
    wanted = read_written(body(HELLO | {"tools": [TOOL], "parallel_tool_calls": False}), Kind.CHAT)
    assert wanted.shown is not None
    assert wanted.shown.tools == (TOOL,)
    assert wanted.most_calls == 1
    assert read_shown(body(HELLO | {"tools": [TOOL], "tool_choice": "none"})).tools == ()


def test_embeddings_are_read() -> None:
    wanted = read_vectors(body({"input": ["a", "b"], "dimensions": 8, "encoding_format": "base64", "model": "m"}))
    assert (wanted.texts, wanted.dimensions, wanted.as_base64, wanted.model) == (("a", "b"), 8, True, "m")
    with pytest.raises(BadRequest):
        read_vectors(body({"input": [[1, 2]]}))
    with pytest.raises(BadRequest, match="truncate"):
        read_vectors(body({"input": "a", "truncate": True}))


def test_a_text_to_count_is_read() -> None:
    assert read_text(body({"content": "a", "add_special": True, "parse_special": True})) == ("a", True)
    assert read_text(body({"content": "a"})) == ("a", False)
    with pytest.raises(BadRequest):
        read_text(body({"content": 3}))
