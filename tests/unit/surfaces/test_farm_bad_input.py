"""Whatever a caller sends to Farmgate's own API, the answer is a 4xx that names the field as the caller wrote it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from pydantic import BaseModel
from tests.unit.surfaces.farm_caller import KEY, Gate, ask

from farmgate.core.errors import BadRequest
from farmgate.surfaces.http.farm_reading import read
from farmgate.surfaces.http.farm_requests import Asked, ChatRequest, EmbedRequest, GenerateRequest
from farmgate.wire.openai.rules import ListLimits

HI = {"role": "user", "content": "hi"}
JSON = {"content-type": "application/json"}


def chat(**fields: object) -> dict[str, object]:
    return {"messages": [HI], **fields}


def said(content: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": content}]}


CHATS: list[tuple[object, str, str | None]] = [
    # required
    ({}, "missing_required_parameter", "messages"),
    ({"messages": None}, "missing_required_parameter", "messages"),
    # types
    (chat(stream="yes"), "invalid_type", "stream"),
    (chat(stream=1), "invalid_type", "stream"),
    (chat(temperature="1"), "invalid_type", "temperature"),
    (chat(temperature=True), "invalid_type", "temperature"),
    (chat(maxTokens="10"), "invalid_type", "maxTokens"),
    (chat(model=5), "invalid_type", "model"),
    (chat(provider=["ollama"]), "invalid_type", "provider"),
    (chat(stop="."), "invalid_type", "stop"),
    (chat(stop=[1]), "invalid_type", "stop[0]"),
    ({"messages": {}}, "invalid_type", "messages"),
    ({"messages": [5]}, "invalid_type", "messages[0]"),
    # bounds
    (chat(temperature=3), "invalid_value", "temperature"),
    (chat(temperature=-0.1), "invalid_value", "temperature"),
    (chat(topP=2), "invalid_value", "topP"),
    (chat(top_p=2), "invalid_value", "top_p"),
    (chat(maxTokens=0), "invalid_value", "maxTokens"),
    (chat(max_tokens=-1), "invalid_value", "max_tokens"),
    (chat(max_tokens=1.5), "invalid_value", "max_tokens"),
    (chat(maxTokens=10**18), "invalid_value", "maxTokens"),
    (chat(stop=["."] * 17), "too_many_items", "stop"),
    # conversations
    ({"messages": []}, "invalid_messages", "messages"),
    ({"messages": [HI] * 4}, "too_many_items", "messages"),
    ({"messages": [HI, {"role": "robot", "content": "x"}]}, "invalid_messages", "messages[1].role"),
    ({"messages": [{"content": "x"}]}, "invalid_messages", "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "invalid_messages", "messages[0].content"),
    (said(None), "invalid_messages", "messages[0].content"),
    (said(5), "invalid_messages", "messages[0].content"),
    (said([]), "invalid_messages", "messages[0].content"),
    (said([{"type": "video"}]), "invalid_messages", "messages[0].content[0]"),
    (said([{"type": ["text"]}]), "invalid_messages", "messages[0].content[0]"),
    (said([{"type": "text"}]), "invalid_messages", "messages[0].content[0].text"),
    (said([{"type": "text", "text": 5}]), "invalid_messages", "messages[0].content[0].text"),
    (
        said([{"type": "image_url", "imageUrl": {"url": "http://127.0.0.1/x.png"}}]),
        "url_not_allowed",
        "messages[0].content[0]",
    ),
    (
        said([{"type": "image_url", "image_url": {"url": "data:text/html,x"}}]),
        "invalid_image",
        "messages[0].content[0]",
    ),
    # names
    (chat(tempreature=1), "unknown_parameter", "tempreature"),
    (chat(n=2), "unknown_parameter", "n"),
    ({"messages": [{**HI, "contnt": "x"}]}, "unknown_parameter", "messages[0].contnt"),
    (chat(maxTokens=1, max_tokens=1), "invalid_value", "max_tokens"),
    (
        said([{"type": "image_url", "imageUrl": {}, "image_url": {}}]),
        "invalid_value",
        "messages[0].content[0].image_url",
    ),
]


@pytest.mark.parametrize(("body", "code", "param"), CHATS)
async def test_a_wrong_field_of_a_chat_is_named(body: object, code: str, param: str | None) -> None:
    gate = Gate()
    for path in ("/api/ai/chat", "/api/ai/chat/stream"):
        call = await ask(gate, "POST", path, body)
        assert (call.status, call.error["code"], call.error["param"]) == (400, code, param)
    assert gate.target.asked == []


@pytest.mark.parametrize(
    ("path", "body", "code", "param"),
    [
        ("generate", {}, "missing_required_parameter", "prompt"),
        ("generate", {"prompt": ""}, "invalid_value", "prompt"),
        ("generate", {"prompt": ["a"]}, "invalid_type", "prompt"),
        ("generate", {"prompt": "a", "messages": []}, "unknown_parameter", "messages"),
        ("embed", {}, "missing_required_parameter", "input"),
        ("embed", {"input": ""}, "invalid_value", "input"),
        ("embed", {"input": []}, "invalid_value", "input"),
        ("embed", {"input": ["a", ""]}, "invalid_value", "input[1]"),
        ("embed", {"input": [1, 2]}, "invalid_type", "input[0]"),
        ("embed", {"input": {"a": 1}}, "invalid_type", "input"),
        ("embed", {"input": ["a"] * 4}, "too_many_items", "input"),
        ("embed", {"input": "a", "dimensions": 0}, "invalid_value", "dimensions"),
        ("embed", {"input": "a", "stream": True}, "unknown_parameter", "stream"),
        ("models/x/load", {"provider": 5}, "invalid_type", "provider"),
        ("models/x/load", {"model": "y"}, "unknown_parameter", "model"),
    ],
)
async def test_a_wrong_field_of_other_asks_is_named(path: str, body: object, code: str, param: str) -> None:
    call = await ask(Gate(), "POST", f"/api/ai/{path}", body)
    assert (call.status, call.error["code"], call.error["param"]) == (400, code, param)


async def test_a_misspelled_field_is_told_the_right_spelling() -> None:
    call = await ask(Gate(), "POST", "/api/ai/chat", chat(maxTokenz=1))
    assert "Did you mean `maxTokens`?".lower() in call.error["message"].lower()


async def test_a_null_stands_for_a_field_left_out() -> None:
    nulls = dict.fromkeys(("model", "provider", "temperature", "maxTokens", "stream", "stop", "seed"))
    assert (await ask(Gate(), "POST", "/api/ai/chat", chat(**nulls))).status == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"{} x", "invalid_json"),
        ('{"messages": []}'.encode("utf-16"), "invalid_json"),
        (b'{"messages": "\xff"}', "invalid_unicode"),
        (b'{"messages": "\\ud800"}', "invalid_unicode"),
        (b'{"prompt": "a\\u0000"}', "invalid_unicode"),
        (b'{"temperature": NaN}', "invalid_number"),
        (b'{"temperature": 1e999}', "invalid_number"),
        (b'{"maxTokens": ' + b"9" * 5000 + b"}", "invalid_number"),
        (b'{"messages": ' + b"[" * 100_000, "json_too_deep"),
        (b'{"messages": ' + b"[" * 70 + b"]" * 70 + b"}", "json_too_deep"),
        (b"[]", "invalid_type"),
        (b"null", "invalid_type"),
        (b'{"model": "a", "model": "b"}', "duplicate_key"),
    ],
)
async def test_a_body_that_is_no_json_object_is_refused_as_everywhere(body: bytes, code: str) -> None:
    call = await ask(Gate(), "POST", "/api/ai/chat", body)
    assert (call.status, call.error["code"]) == (400, code)


async def test_a_byte_order_mark_is_no_harm() -> None:
    body = b"\xef\xbb\xbf" + json.dumps(chat()).encode()
    assert (await ask(Gate(), "POST", "/api/ai/chat", body)).status == 200


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"content-type": "text/plain"}, 415, "unsupported_media_type"),
        (JSON | {"content-encoding": "gzip"}, 415, "unsupported_encoding"),
        (JSON | {"content-length": str(2 << 20)}, 413, "request_too_large"),
        ({"host": "evil.example"}, 421, "misdirected_request"),
    ],
)
async def test_a_wrong_head_is_refused_as_everywhere(headers: dict[str, str], status: int, code: str) -> None:
    call = await ask(Gate(), "POST", "/api/ai/chat", chat(), headers)
    assert (call.status, call.error["code"]) == (status, code)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"authorization": "Basic x"}, 401, "invalid_api_key"),
        ({"authorization": "Bearer " + "x" * 10_000}, 401, "invalid_api_key"),
        ({"authorization": f"Bearer {KEY}", "x-api-key": KEY}, 400, "ambiguous_credentials"),
    ],
)
async def test_a_wrong_credential_is_refused(headers: dict[str, str], status: int, code: str) -> None:
    call = await ask(Gate(keys=True), "POST", "/api/ai/chat", chat(), headers)
    assert (call.status, call.error["code"]) == (status, code)


ANYTHING = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(max_size=8),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(some.sampled_from(("role", "content", "type", "text", "x")), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = some.sampled_from(
    ("messages", "prompt", "input", "temperature", "maxTokens", "max_tokens", "stop", "stream", "model", "seed", "odd")
)


@settings(max_examples=100, deadline=None)
@given(
    fields=some.dictionaries(NAMES, ANYTHING, max_size=5),
    model=some.sampled_from((ChatRequest, GenerateRequest, EmbedRequest)),
)
def test_nothing_but_a_bad_request_comes_of_any_fields(fields: dict[str, Any], model: type[Asked]) -> None:
    try:
        found: BaseModel | BadRequest = read(model, fields, ListLimits())
    except BadRequest as refused:
        found = refused
    if isinstance(found, BadRequest):
        assert found.param
        assert len(found.message) <= 200
