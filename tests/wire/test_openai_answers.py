"""OpenAI's whole answers: relayed untouched, refused when they are none, written from our words."""

from __future__ import annotations

import base64
import json
import struct

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmgate.core.answer import fold
from farmgate.core.errors import FarmError, UpstreamInvalidResponse, UpstreamRateLimited, UpstreamRejected
from farmgate.core.event import Event, Finish, FinishReason, Part, Reasoning, Refusal, Text, ToolDelta, Usage, Vector
from farmgate.core.model import ModelInfo
from farmgate.core.request import Kind
from farmgate.wire.openai.answers import Whole, decode_whole, encode_answer, encode_embeddings, encode_models

steady = settings(max_examples=100, deadline=None, derandomize=True, database=None)

CHAT = (
    b'{ "id":"c","object":"chat.completion","created":1,"model":"m",'
    b'"choices":[{"index":0,"message":{"role":"assistant","content":"Hi \xe2\x82\xac","refusal":null},"logprobs":null,'
    b'"finish_reason":"length"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11,'
    b'"prompt_tokens_details":{"cached_tokens":4}},"x_new":1.50 }'
)


def whole(body: object, kind: Kind = Kind.CHAT) -> Whole:
    return decode_whole(body if isinstance(body, bytes) else json.dumps(body).encode(), kind=kind, provider="p")


def message(**fields: object) -> Whole:
    return whole({"choices": [{"index": 0, "message": fields, "finish_reason": "stop"}]})


def test_an_answer_is_relayed_as_it_came_and_its_words_are_read_on_demand() -> None:
    answer = whole(CHAT)
    usage = Usage(prompt_tokens=9, completion_tokens=2, cached_tokens=4)
    assert answer.raw == CHAT
    assert answer.bears_content
    assert answer.usage == usage
    assert answer.parts == (Text("Hi \u20ac"), Finish(FinishReason.LENGTH), usage)


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"reasoning_content": "hm", "content": "a"}, [Reasoning("hm"), Text("a")]),
        ({"reasoning": "hm", "content": None}, [Reasoning("hm")]),
        ({"content": None, "refusal": "no"}, [Refusal("no")]),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, [Text("ab")]),
        (
            {"content": None, "tool_calls": [{"id": "t", "function": {"name": "f", "arguments": '{"x":1}'}}]},
            [ToolDelta(index=0, id="t", name="f", arguments='{"x":1}')],
        ),
        (
            {"tool_calls": [{"id": "t", "function": {"name": "f", "arguments": {"x": 1}}}, {"id": "u"}]},
            [ToolDelta(index=0, id="t", name="f", arguments='{"x":1}'), ToolDelta(index=1, id="u")],
        ),
        ({"function_call": {"name": "f", "arguments": "{}"}}, [ToolDelta(index=0, name="f", arguments="{}")]),
        ({}, []),
    ],
)
def test_all_that_a_message_can_say(fields: dict[str, object], parts: list[Part]) -> None:
    assert list(message(**fields).parts) == [*parts, Finish()]


def test_completions_and_several_choices() -> None:
    told = {"choices": [{"index": 1, "text": "b", "finish_reason": "eos"}, {"index": 0, "text": "a"}]}
    answer = fold([whole(told, Kind.COMPLETION)])
    assert [(at, choice.text, choice.finish) for at, choice in sorted(answer.choices.items())] == [
        (0, "a", FinishReason.STOP),
        (1, "b", FinishReason.STOP),
    ]


NO_ANSWERS: list[bytes] = [
    b"",
    b"hello",
    b"null",
    b"[]",
    b'"text"',
    b"{}",
    b'{"choices":null}',
    b'{"choices":{}}',
    b'{"choices":[]}',
    b'{"choices":[ ]}',
    b'{"choices":[',
    b'{"data":[{}]}',
    CHAT[:-1],
    CHAT + b"}",
    CHAT.replace(b"\xe2\x82\xac", b"\xff"),
    CHAT.replace(b"\xe2\x82\xac", b"\\ud800"),
    b"[" * 100_000,
]


@pytest.mark.parametrize("body", NO_ANSWERS, ids=lambda body: repr(body[:30]))
def test_what_is_no_answer_is_never_relayed(body: bytes) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        whole(body)


def test_nothing_said_is_an_answer_where_its_cost_is_told() -> None:
    assert whole(b'{"choices":[],"usage":{"prompt_tokens":5}}').parts == (Usage(prompt_tokens=5),)


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ({"error": {"message": "boom", "code": 500}}, FarmError, "p: boom"),
        ({"error": {"message": "slow down", "code": 429}, "choices": []}, UpstreamRateLimited, "p: slow down"),
        ({"error": "boom"}, FarmError, "p: boom"),
        ({"object": "error", "message": "flat", "code": 400}, UpstreamRejected, "p: flat"),
    ],
)
def test_an_error_under_a_good_status_is_an_error(body: object, kind: type[FarmError], text: str) -> None:
    with pytest.raises(kind) as caught:
        whole(body)
    assert caught.value.message == text


def test_an_error_that_is_null_is_none() -> None:
    assert whole({"error": None, "choices": [{"message": {"content": "a"}}]}).parts == (Text("a"), Finish())


@pytest.mark.parametrize(
    "fields",
    [
        {"content": 5},
        {"content": ["a"]},
        {"tool_calls": "abc"},
        {"tool_calls": [5]},
        {"tool_calls": [{"id": 5}]},
        {"tool_calls": [{"function": "f"}]},
        {"tool_calls": [{"function": {"arguments": 5}}]},
    ],
)
def test_words_of_the_wrong_kind_are_the_providers_fault(fields: dict[str, object]) -> None:
    answer = message(**fields)
    with pytest.raises(UpstreamInvalidResponse):
        _ = answer.parts


NAMES = st.sampled_from(
    [
        *(
            "choices",
            "message",
            "content",
            "tool_calls",
            "function",
            "arguments",
            "index",
            "data",
            "embedding",
            "usage",
        ),
        *("text", "finish_reason", "prompt_tokens", "error", "code", "id", "name", "refusal", "reasoning"),
    ]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.sampled_from(["", "a", "AAAA"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


@steady
@given(st.dictionaries(NAMES, ANYTHING, max_size=4), st.sampled_from(list(Kind)))
def test_any_object_is_words_or_the_providers_fault(body: dict[str, object], kind: Kind) -> None:
    try:
        answer = fold([whole(body, kind)])
        json.dumps(encode_embeddings(answer, model="m", as_base64=True))
    except FarmError:
        return
    assert isinstance(msgspec.json.encode(encode_answer(answer, id="c", kind=kind, model="m", created_unix=1)), bytes)


# ----------------------------------------------------------------------------------------- embeddings


def test_vectors_come_as_numbers_or_as_base64() -> None:
    packed = base64.b64encode(struct.pack("<3f", 0.5, -1, 2)).decode()
    told = {
        "data": [{"embedding": packed, "index": 1}, {"embedding": [1, 2.5], "index": 0}],
        "usage": {"prompt_tokens": 3},
    }
    answer = fold([whole(told, Kind.EMBEDDING)])
    assert answer.vectors == {0: (1.0, 2.5), 1: (0.5, -1.0, 2.0)}
    assert answer.usage == Usage(prompt_tokens=3)


@pytest.mark.parametrize(
    "item", [5, {}, {"embedding": {}}, {"embedding": ["a"]}, {"embedding": "?"}, {"embedding": "AAA="}]
)
def test_what_is_no_vector_is_the_providers_fault(item: object) -> None:
    answer = whole({"data": [item]}, Kind.EMBEDDING)
    with pytest.raises(UpstreamInvalidResponse):
        _ = answer.parts


@pytest.mark.parametrize("as_base64", [True, False])
@given(
    vectors=st.lists(
        st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=4), min_size=1, max_size=3
    )
)
@steady
def test_vectors_written_and_read_again_are_the_same(vectors: list[list[float]], as_base64: bool) -> None:
    answer = fold([Event(tuple(Vector(tuple(values), at) for at, values in enumerate(vectors)))])
    told = msgspec.json.encode(encode_embeddings(answer, model="m", as_base64=as_base64))
    assert fold([whole(told, Kind.EMBEDDING)]).vectors == answer.vectors


def test_a_number_too_large_for_base64_is_the_providers_fault() -> None:
    answer = fold([Event((Vector((1e300,)),))])
    with pytest.raises(UpstreamInvalidResponse):
        encode_embeddings(answer, model="m", as_base64=True)


# ----------------------------------------------------------------------------------------- written for a caller

SAID: tuple[Part, ...] = (
    Reasoning("hm"),
    Text("a"),
    ToolDelta(index=0, id="t", name="f", arguments="{}"),
    Finish(FinishReason.TOOL_CALLS),
    Text("b", 1),
    Finish(FinishReason.LENGTH, 1),
    Refusal("no", 2),
    Finish(choice=2),
    Usage(prompt_tokens=3, completion_tokens=2, cached_tokens=1),
)


def test_what_is_written_is_read_as_the_same_words() -> None:
    told = encode_answer(fold([Event(SAID)]), id="c", kind=Kind.CHAT, model="m", created_unix=1)
    assert whole(msgspec.json.encode(told)).parts == SAID


def test_a_written_answer_has_all_that_clients_look_for() -> None:
    told = json.loads(
        msgspec.json.encode(encode_answer(fold([Event(SAID)]), id="c", kind=Kind.CHAT, model="m", created_unix=1))
    )
    assert (told["id"], told["object"], told["created"], told["model"]) == ("c", "chat.completion", 1, "m")
    assert told["usage"]["total_tokens"] == 5
    assert [choice["message"]["content"] for choice in told["choices"]] == ["a", "b", None]
    assert all(choice["message"]["role"] == "assistant" and "logprobs" in choice for choice in told["choices"])


def test_a_completion_tells_a_refusal_as_text_and_no_thoughts() -> None:
    said = (Reasoning("hm"), Text("a"), Refusal("no"), Finish())
    told = encode_answer(fold([Event(said)]), id="c", kind=Kind.COMPLETION, model="m", created_unix=1)
    assert told["object"] == "text_completion"
    assert told["choices"] == [{"index": 0, "text": "ano", "logprobs": None, "finish_reason": "stop"}]


def test_models_are_told_with_what_is_known_of_them() -> None:
    known = ModelInfo(name="a", provider="p", created_unix=5, context_tokens=4096, loaded=True)
    told = encode_models([("a", known), ("q/b", ModelInfo(name="b", provider="q", loaded=False))])
    assert told == {
        "object": "list",
        "data": [
            {
                "id": "a",
                "object": "model",
                "created": 5,
                "owned_by": "p",
                "provider": "p",
                "context_length": 4096,
                "status": "loaded",
            },
            {"id": "q/b", "object": "model", "created": 0, "owned_by": "q", "provider": "q", "status": "available"},
        ],
    }


def test_an_adapter_is_listed_with_its_model() -> None:
    adapter = ModelInfo(name="m:formal", provider="local", parent="m")
    told = json.loads(json.dumps(encode_models([("m", ModelInfo(name="m", provider="local")), ("m:formal", adapter)])))
    assert [one.get("parent") for one in told["data"]] == [None, "m"]
