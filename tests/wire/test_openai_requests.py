"""OpenAI's requests: the bytes that go out are those that came in, and every word survives the way there and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmgate.core.errors import BadRequest, UnsupportedParameter
from farmgate.core.identity import ANONYMOUS
from farmgate.core.request import Body, Dialect, Kind, Request, Typed
from farmgate.core.words import (
    Ask,
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
from farmgate.wire.openai.requests import OpenAIBody, decode_request, encode_request
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.strictjson import JsonLimits

steady = settings(max_examples=100, deadline=None, derandomize=True, database=None)
KINDS: dict[type, Kind] = {Chat: Kind.CHAT, Complete: Kind.COMPLETION, Embed: Kind.EMBEDDING}


def decode(raw: bytes, kind: Kind = Kind.CHAT) -> OpenAIBody:
    return decode_request(raw, kind, json_limits=JsonLimits(), list_limits=ListLimits())


def sent(
    body: Body, *, kind: Kind = Kind.CHAT, model: str = "m", stream: bool = False, ask_usage: bool = True
) -> bytes:
    request = Request(
        id="r", kind=kind, body=body, principal=ANONYMOUS, deadline=0.0, started=0.0, model=model, stream=stream
    )
    return encode_request(request, provider="p", ask_usage=ask_usage).body


def fields_of(raw: bytes) -> dict[str, Any]:
    fields = json.loads(raw)
    assert isinstance(fields, dict)
    return fields


# ----------------------------------------------------------------------------------------- bytes to bytes

ODD = rb"""{ "model" : "m",
  "x_new":{"a":[1,2.50,1e2,12345678901234567890123]},
    "messages":[{"role":"user","content":"\u00e4","x":null}],"temperature":0.70 }"""


def test_a_body_goes_out_byte_for_byte() -> None:
    assert sent(decode(ODD)) == ODD
    assert sent(decode(b'{"model":"m","input":"a","x":1.0}', Kind.EMBEDDING), kind=Kind.EMBEDDING, stream=True) == (
        b'{"model":"m","input":"a","x":1.0}'
    )


def test_a_byte_order_mark_stays_behind() -> None:
    body = decode(b"\xef\xbb\xbf" + ODD)
    assert body.raw == ODD
    assert sent(body) == ODD


def test_another_name_for_the_model_changes_nothing_else() -> None:
    assert fields_of(sent(decode(ODD), model="other")) == fields_of(ODD) | {"model": "other"}


STREAM = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"a"}]%s}'
OPTIONS = [
    (b"", {"include_usage": True}),
    (b',"stream_options":null', {"include_usage": True}),
    (b',"stream_options":{}', {"include_usage": True}),
    (b',"stream_options":{"include_usage":false}', {"include_usage": True}),
    (b',"stream_options":{"include_usage":null,"x":1}', {"include_usage": True, "x": 1}),
]


@pytest.mark.parametrize(("told", "options"), OPTIONS)
def test_usage_is_asked_for_in_a_stream(told: bytes, options: dict[str, object]) -> None:
    raw = STREAM % told
    assert fields_of(sent(decode(raw), stream=True)) == fields_of(raw) | {"stream_options": options}


def test_usage_is_not_asked_for_where_it_is_asked_already_or_not_known_or_nothing_streams() -> None:
    asked = STREAM % b',"stream_options":{"include_usage":true,"x":1}'
    assert sent(decode(asked), stream=True) == asked
    plain = STREAM % b""
    assert sent(decode(plain), stream=True, ask_usage=False) == plain
    assert sent(decode(ODD), stream=False) == ODD


def test_words_are_asked_to_stream_where_the_request_does() -> None:
    words = Typed(Chat(messages=(Message(role=Role.USER, content="hi"),)))
    assert fields_of(sent(words, stream=True)) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert "stream" not in fields_of(sent(words))


def test_a_body_tells_its_dialect_and_its_words_once() -> None:
    body = decode(ODD)
    assert body.dialect is Dialect.OPENAI
    assert body.ask() is body.ask()


# ----------------------------------------------------------------------------------------- words and back

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
NAMES = st.text(st.sampled_from("abcdefghij_-"), min_size=1, max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
EXTRAS = st.dictionaries(NAMES.map("x_{}".format), JSON, max_size=3)


def maybe(some: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | some


SAMPLINGS = st.builds(
    Sampling,
    temperature=maybe(st.floats(0, 2)),
    top_p=maybe(st.floats(0, 1)),
    max_tokens=maybe(st.integers(1, 1 << 40)),
    stop=st.lists(TEXTS, max_size=16).map(tuple),
    seed=maybe(st.integers(-(1 << 63), (1 << 63) - 1)),
    presence_penalty=maybe(st.floats(-2, 2)),
    frequency_penalty=maybe(st.floats(-2, 2)),
)
PARTS = (
    st.builds(TextPart, text=TEXTS)
    | st.builds(ImagePart, url=st.sampled_from(["data:image/png;base64,AAAA", "https://example.com/a.png"]))
    | EXTRAS.map(lambda data: OtherPart(kind="input_audio", data={**data, "type": "input_audio"}))
)
CONTENTS = TEXTS | st.lists(PARTS, max_size=3).map(tuple)
PLAIN = st.builds(
    Message,
    role=st.sampled_from([Role.SYSTEM, Role.DEVELOPER, Role.USER, Role.ASSISTANT]),
    content=CONTENTS,
    name=maybe(NAMES),
)
USES = st.builds(ToolUse, id=NAMES, name=NAMES, arguments=TEXTS)
CALLING = st.builds(
    Message,
    role=st.just(Role.ASSISTANT),
    content=maybe(CONTENTS),
    tool_uses=st.lists(USES, min_size=1, max_size=2).map(tuple),
)


def answered(calling: Message) -> tuple[Message, ...]:
    """A message with calls, and an answer to each."""
    return (calling, *(Message(role=Role.TOOL, content="done", tool_call_id=use.id) for use in calling.tool_uses))


CHATS = st.builds(
    Chat,
    messages=st.lists(PLAIN.map(lambda message: (message,)) | CALLING.map(answered), min_size=1, max_size=4).map(
        lambda turns: tuple(message for turn in turns for message in turn)
    ),
    sampling=SAMPLINGS,
    tools=st.lists(
        st.builds(
            Tool,
            name=NAMES,
            description=maybe(TEXTS),
            parameters=EXTRAS.map(lambda more: {**more, "type": "object"}) | st.just({}),
        ),
        max_size=2,
    ).map(tuple),
    tool_choice=maybe(
        st.sampled_from([ToolMode.AUTO, ToolMode.NONE, ToolMode.REQUIRED]).map(lambda mode: ToolChoice(mode=mode))
        | NAMES.map(lambda name: ToolChoice(mode=ToolMode.NAMED, name=name))
    ),
    parallel_tools=maybe(st.booleans()),
    response_format=maybe(
        st.sampled_from([FormatKind.TEXT, FormatKind.JSON]).map(lambda kind: ResponseFormat(kind=kind))
        | st.builds(
            ResponseFormat, kind=st.just(FormatKind.SCHEMA), schema=EXTRAS, name=NAMES, strict=maybe(st.booleans())
        )
    ),
    thinking=maybe(st.sampled_from(["low", "high"]).map(lambda effort: Thinking(is_enabled=True, effort=effort))),
    user=maybe(TEXTS),
    extra=EXTRAS,
)
COMPLETES = st.builds(Complete, prompt=TEXTS, suffix=maybe(TEXTS), sampling=SAMPLINGS, extra=EXTRAS)
EMBEDS = st.builds(
    Embed,
    inputs=st.lists(TEXTS.filter(bool), min_size=1, max_size=3).map(tuple),
    dimensions=maybe(st.integers(1, 4096)),
    extra=EXTRAS,
)


@steady
@given(CHATS | COMPLETES | EMBEDS, st.booleans())
def test_words_written_and_read_again_are_the_same_words(words: Ask, stream: bool) -> None:
    kind = KINDS[type(words)]
    assert decode(sent(Typed(words), kind=kind, stream=stream), kind).ask() == words


def test_every_field_of_a_chat_has_its_word() -> None:
    raw = {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "n": 1,
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": "https://a.b/c"}],
            },
            {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"x": 1}}}]},
            {"role": "tool", "tool_call_id": "c", "content": "ok"},
            {"role": "assistant", "content": None, "refusal": "no"},
        ],
        "max_tokens": 5,
        "max_completion_tokens": 7.0,
        "stop": "END",
        "user": "u",
        "logit_bias": {"1": 2},
    }
    assert decode(json.dumps(raw).encode()).ask() == Chat(
        messages=(
            Message(role=Role.USER, content=(TextPart(text="a"), ImagePart(url="https://a.b/c"))),
            Message(role=Role.ASSISTANT, tool_uses=(ToolUse(id="c", name="f", arguments='{"x":1}'),)),
            Message(role=Role.TOOL, content="ok", tool_call_id="c"),
            Message(role=Role.ASSISTANT, content="no"),
        ),
        sampling=Sampling(max_tokens=7, stop=("END",)),
        user="u",
        extra={"logit_bias": {"1": 2}},
    )


def test_fields_without_a_word_are_kept_for_the_provider_to_refuse() -> None:
    complete = decode(b'{"model":"m","prompt":["a"],"best_of":2,"echo":true,"logprobs":3,"user":"u"}', Kind.COMPLETION)
    assert complete.ask() == Complete(
        prompt="a", sampling=Sampling(top_logprobs=3), user="u", extra={"best_of": 2, "echo": True}
    )
    embed = decode(b'{"model":"m","input":"a","encoding_format":"base64","user":"u","x":1}', Kind.EMBEDDING)
    assert embed.ask() == Embed(inputs=("a",), user="u", extra={"x": 1})


HI = {"role": "user", "content": "hi"}
UNSAYABLE: list[tuple[Kind, dict[str, object], str]] = [
    (
        Kind.CHAT,
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "type": "custom"}]}]},
        "messages[0].tool_calls[0]",
    ),
    (Kind.CHAT, {"messages": [HI, {"role": "function", "name": "f", "content": "x"}]}, "messages[1]"),
    (Kind.CHAT, {"messages": [{"role": "assistant", "function_call": {"name": "f"}}]}, "messages[0]"),
    (Kind.COMPLETION, {"prompt": ["a", "b"]}, "prompt"),
    (Kind.COMPLETION, {"prompt": [1, 2]}, "prompt"),
    (Kind.COMPLETION, {"prompt": [[1, 2]]}, "prompt"),
    (Kind.EMBEDDING, {"input": [1, 2]}, "input"),
    (Kind.EMBEDDING, {"input": ["a", [1]]}, "input"),
]


@pytest.mark.parametrize(("kind", "fields", "param"), UNSAYABLE)
def test_what_cannot_be_said_in_words_is_refused_and_still_passes_as_bytes(
    kind: Kind, fields: dict[str, object], param: str
) -> None:
    raw = json.dumps({"model": "m", "messages": [HI], "prompt": "p", "input": "i"} | fields).encode()
    body = decode(raw, kind)
    assert sent(body, kind=kind) == raw
    with pytest.raises(UnsupportedParameter) as caught:
        body.ask()
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "user", "content": "x", "name": 5}, "messages[0].name"),
        ({"role": "user", "content": "x", "tool_call_id": []}, "messages[0].tool_call_id"),
        ({"role": "assistant", "refusal": 5}, "messages[0].refusal"),
    ],
)
def test_words_are_of_the_right_kind(message: dict[str, object], param: str) -> None:
    body = decode(json.dumps({"model": "m", "messages": [message]}).encode())
    with pytest.raises(BadRequest) as caught:
        body.ask()
    assert (caught.value.code, caught.value.param) == ("invalid_type", param)
