"""Callers who speak Ollama's API: what they ask for in words, and what is wrong with what they ask."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmgate.core.errors import BadRequest
from farmgate.core.identity import ANONYMOUS
from farmgate.core.request import Kind, Request
from farmgate.core.words import (
    Chat,
    Complete,
    Embed,
    FormatKind,
    ImagePart,
    Message,
    ResponseFormat,
    Role,
    Sampling,
    TextPart,
    Thinking,
    ThinkingPart,
    Tool,
    ToolUse,
)
from farmgate.wire.ollama.asks import OllamaBody, decode_ask
from farmgate.wire.ollama.requests import Residence, encode_request, path_of
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.strictjson import JsonLimits

CHAT, GENERATE, EMBED, OLD_EMBED = "/api/chat", "/api/generate", "/api/embed", "/api/embeddings"
HI = {"role": "user", "content": "hi"}
PNG = "iVBORw0KGgo="


def decode(fields: object, path: str = CHAT) -> OllamaBody:
    raw = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return decode_ask(raw, path, json_limits=JsonLimits(), list_limits=ListLimits())


def request_for(body: OllamaBody, model: str = "llama3.1:8b") -> Request:
    return Request(
        id="r",
        kind=body.kind,
        body=body,
        principal=ANONYMOUS,
        deadline=0.0,
        started=0.0,
        model=model,
        stream=body.stream,
    )


def test_every_field_of_a_chat_has_its_word() -> None:
    body = decode(
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": "look", "images": [PNG, "/9j/AAAA"]},
                {
                    "role": "assistant",
                    "content": "",
                    "thinking": "hm",
                    "tool_calls": [
                        {"function": {"index": 0, "name": "f", "arguments": {"x": 1}}},
                        {"id": "own", "function": {"name": "g", "arguments": {}}},
                    ],
                },
                {"role": "tool", "content": "g's", "tool_name": "g"},
                {"role": "tool", "content": "f's"},
            ],
            "format": {"type": "object"},
            "think": "high",
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
            "options": {
                "temperature": 0.5,
                "top_p": 0.9,
                "top_k": 40,
                "num_predict": 7,
                "stop": ["END"],
                "seed": 3,
                "min_p": 0.1,
                "num_ctx": 8192,
            },
            "logprobs": True,
            "top_logprobs": 2,
            "keep_alive": "5m",
        }
    )
    assert (body.kind, body.model, body.stream, body.is_empty) == (Kind.CHAT, "m", True, False)
    assert body.ask() == Chat(
        messages=(
            Message(role=Role.SYSTEM, content="be brief"),
            Message(
                role=Role.USER,
                content=(
                    TextPart(text="look"),
                    ImagePart(url=f"data:image/png;base64,{PNG}"),
                    ImagePart(url="data:image/jpeg;base64,/9j/AAAA"),
                ),
            ),
            Message(
                role=Role.ASSISTANT,
                content=(ThinkingPart(text="hm"),),
                tool_uses=(
                    ToolUse(id="call_0", name="f", arguments='{"x":1}'),
                    ToolUse(id="own", name="g", arguments="{}"),
                ),
            ),
            Message(role=Role.TOOL, content="g's", tool_call_id="own"),
            Message(role=Role.TOOL, content="f's", tool_call_id="call_0"),
        ),
        sampling=Sampling(temperature=0.5, top_p=0.9, top_k=40, max_tokens=7, stop=("END",), seed=3, top_logprobs=2),
        tools=(Tool(name="f", parameters={"type": "object"}),),
        response_format=ResponseFormat(kind=FormatKind.SCHEMA, schema={"type": "object"}),
        thinking=Thinking(is_enabled=True, effort="high"),
        extra={"keep_alive": "5m", "min_p": 0.1, "options.num_ctx": 8192},
    )


def test_a_prompt_is_a_chat_of_one_turn_unless_it_wants_no_template() -> None:
    body = decode({"model": "m", "prompt": "why", "system": "be brief", "stream": False}, GENERATE)
    assert (body.kind, body.stream) == (Kind.CHAT, False)
    assert body.ask() == Chat(
        messages=(
            Message(role=Role.SYSTEM, content="be brief", place="system"),
            Message(role=Role.USER, content="why", place="prompt"),
        )
    )
    bare = decode({"model": "m", "prompt": "def f(", "raw": True}, GENERATE)
    assert (bare.kind, bare.ask()) == (Kind.COMPLETION, Complete(prompt="def f("))
    filled = decode({"model": "m", "prompt": "def f(", "suffix": "return"}, GENERATE)
    assert filled.ask() == Complete(prompt="def f(", suffix="return")


def test_both_ways_to_ask_for_vectors() -> None:
    assert decode({"model": "m", "input": ["a", "b"], "dimensions": 8}, EMBED).ask() == Embed(
        inputs=("a", "b"), dimensions=8
    )
    assert decode({"model": "m", "prompt": "a"}, OLD_EMBED).ask() == Embed(inputs=("a",))


@pytest.mark.parametrize("most", [-1, -2, 0])
def test_no_limit_is_no_limit(most: int) -> None:
    words = decode({"model": "m", "messages": [HI], "options": {"num_predict": most}}).ask()
    assert isinstance(words, Chat)
    assert words.sampling.max_tokens is None


@pytest.mark.parametrize("fields", [{"messages": []}, {}])
def test_an_ask_with_nothing_in_it_only_loads(fields: dict[str, object]) -> None:
    assert decode({"model": "m", **fields}).is_empty
    assert decode({"model": "m"}, GENERATE).is_empty


BAD: list[tuple[str, dict[str, object], str, str]] = [
    (CHAT, {"messages": "hi"}, "invalid_type", "messages"),
    (CHAT, {"messages": ["hi"]}, "invalid_type", "messages[0]"),
    (CHAT, {"messages": [{"role": "king"}]}, "invalid_messages", "messages[0].role"),
    (CHAT, {"messages": [{"role": "user", "content": 5}]}, "invalid_messages", "messages[0].content"),
    (CHAT, {"messages": [{"role": "user", "images": "x"}]}, "invalid_type", "messages[0].images"),
    (CHAT, {"messages": [{"role": "user", "images": ["%"]}]}, "invalid_image", "messages[0].images[0]"),
    (CHAT, {"messages": [{"role": "tool", "content": "x"}]}, "invalid_messages", "messages[0]"),
    (CHAT, {"messages": [HI] * 2049}, "too_many_items", "messages"),
    (CHAT, {"messages": [HI], "stream": "yes"}, "invalid_type", "stream"),
    (CHAT, {"messages": [HI], "options": []}, "invalid_type", "options"),
    (CHAT, {"messages": [HI], "options": {"temperature": 3}}, "invalid_value", "options.temperature"),
    (CHAT, {"messages": [HI], "options": {"num_predict": "x"}}, "invalid_type", "options.num_predict"),
    (CHAT, {"messages": [HI], "format": "xml"}, "invalid_value", "format"),
    (CHAT, {"messages": [HI], "think": "deep"}, "invalid_value", "think"),
    (CHAT, {"messages": [HI], "tools": {}}, "invalid_type", "tools"),
    (GENERATE, {"prompt": 5}, "invalid_type", "prompt"),
    (EMBED, {}, "missing_required_parameter", "input"),
    (EMBED, {"input": [1, 2]}, "invalid_type", "input"),
    (OLD_EMBED, {}, "missing_required_parameter", "prompt"),
]


@pytest.mark.parametrize(("path", "fields", "code", "param"), BAD)
def test_what_is_wrong_is_told_by_its_name(path: str, fields: dict[str, object], code: str, param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode({"model": "m"} | fields, path).ask()
    assert (caught.value.code, caught.value.param) == (code, param)


def test_fields_are_told_by_ollamas_names() -> None:
    body = decode({"model": "m", "messages": [HI]})
    assert [body.own_name(name) for name in ("max_tokens", "response_format", "messages[0]")] == [
        "options.num_predict",
        "format",
        "messages[0]",
    ]


# ----------------------------------------------------------------------------------------- to a server of the same kind


def test_a_body_in_this_dialect_goes_out_with_the_fields_it_came_with() -> None:
    fields = {
        "model": "m",
        "messages": [HI],
        "x_new": {"a": 1},
        "options": {"mirostat": 2, "seed": 1},
        "truncate": True,
    }
    outgoing = encode_request(request_for(decode(fields)), provider="ollama", stream=True)
    assert json.loads(outgoing.body) == fields | {"model": "llama3.1:8b", "stream": True}
    assert outgoing.dropped == ()


def test_what_would_load_the_model_anew_for_everybody_is_dropped_and_announced() -> None:
    fields = {"model": "m", "messages": [HI], "keep_alive": "1h", "options": {"num_ctx": 64, "num_gpu": 0, "seed": 1}}
    pinned = Residence(num_ctx=8192, keep_alive=-1)
    outgoing = encode_request(request_for(decode(fields)), provider="ollama", stream=True, residence=pinned)
    told = json.loads(outgoing.body)
    assert told["options"] == {"seed": 1, "num_ctx": 8192}
    assert told["keep_alive"] == -1
    assert outgoing.dropped == ("options.num_ctx", "options.num_gpu", "keep_alive")


@pytest.mark.parametrize(
    ("path", "fields", "where"),
    [
        (CHAT, {"messages": [HI]}, CHAT),
        (GENERATE, {"prompt": "x"}, GENERATE),
        (EMBED, {"input": "x"}, EMBED),
        (OLD_EMBED, {"prompt": "x"}, EMBED),
    ],
)
def test_it_goes_where_it_was_sent(path: str, fields: dict[str, Any], where: str) -> None:
    assert path_of(request_for(decode({"model": "m"} | fields, path))) == where


# ----------------------------------------------------------------------------------------------------------- anything

NAMES = st.sampled_from(
    ["model", "messages", "prompt", "input", "options", "format", "think", "tools", "images", "stream", "suffix", "raw"]
)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3) | st.just(HI) | st.just(PNG),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "images", "tool_calls", "function", "name", "stop"]), inner
        )
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.sampled_from([CHAT, GENERATE, EMBED, OLD_EMBED]), st.dictionaries(NAMES, ANYTHING, max_size=5))
def test_any_object_is_words_or_a_bad_request(path: str, fields: dict[str, Any]) -> None:
    with contextlib.suppress(BadRequest):
        decode(fields, path).ask()


@pytest.mark.parametrize(
    ("param", "own"),
    [
        ("messages[0].content[0]", "messages[0].content"),
        ("messages[0].content[2]", "messages[0].images[1]"),
        ("messages[1].content[0]", "messages[1].images[0]"),
        ("messages[2].content[0]", "messages[2].thinking"),
        ("messages[2].content[1]", "messages[2].content"),
        ("messages[2].content[2]", "messages[2].images[0]"),
    ],
)
def test_a_part_is_called_as_the_field_it_stands_in(param: str, own: str) -> None:
    messages = [
        HI | {"images": [PNG, PNG]},
        {"role": "user", "content": "", "images": [PNG]},
        {"role": "assistant", "thinking": "hm", "content": "a", "images": [PNG]},
    ]
    assert decode({"model": "m", "messages": messages}).own_name(param) == own


def test_the_parts_of_a_prompt_are_called_as_generate_calls_them() -> None:
    body = decode({"model": "m", "prompt": "look", "images": [PNG, PNG]}, GENERATE)
    assert [body.own_name(f"prompt.content[{at}]") for at in range(3)] == ["prompt", "images[0]", "images[1]"]


def test_a_body_that_needs_no_change_goes_out_byte_for_byte() -> None:
    raw = b'{ "model":"m", "messages":[{"role":"user","content":"h\\u00e9"}], "stream":true, "later":1e0 }'
    body = decode(raw)
    sent = encode_request(request_for(body, "m"), provider="o", stream=True)
    assert (sent.body, sent.dropped) == (raw, ())
    assert json.loads(encode_request(request_for(body, "other"), provider="o", stream=True).body)["model"] == "other"
    pinned = encode_request(request_for(body, "m"), provider="o", stream=True, residence=Residence(num_ctx=4096))
    assert json.loads(pinned.body)["options"] == {"num_ctx": 4096}
