"""Every surface's request, changed field by field: whatever comes, it is answered or refused in the surface's own form.

No value anywhere in a body makes a mistake of ours (500), and what is refused names what is wrong.
"""

from __future__ import annotations

import copy
import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from tests.journey.gate import KEY, RealGate, swept
from tests.journey.upstream import Upstream

PNG = "iVBORw0KGgo="
IMAGE = f"data:image/png;base64,{PNG}"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "weather", "description": "now", "parameters": SCHEMA}
CALL = {"name": "weather", "arguments": '{"city":"Ulm"}'}

OPENAI: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "be brief"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": IMAGE}}],
        },
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": CALL}]},
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
    ],
    "tools": [{"type": "function", "function": FUNCTION}],
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}},
    "reasoning_effort": "low",
    "temperature": 0.5,
    "max_tokens": 9,
    "stop": ["END"],
    "seed": 1,
    "n": 1,
    "stream_options": {"include_usage": True},
    "metadata": {"a": "b"},
}
ANTHROPIC: dict[str, Any] = {
    "max_tokens": 9,
    "system": [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "hi"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Ulm"}},
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "rain", "is_error": False}],
        },
    ],
    "tools": [{"name": "weather", "description": "now", "input_schema": SCHEMA}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": False},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u"},
}
RESPONSES: dict[str, Any] = {
    "input": [
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "hi"}, {"type": "input_image", "image_url": IMAGE}],
        },
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city":"Ulm"}'},
        {"type": "function_call_output", "call_id": "c1", "output": "rain"},
    ],
    "instructions": "be brief",
    "tools": [{"type": "function", **FUNCTION}],
    "tool_choice": "auto",
    "text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}},
    "reasoning": {"effort": "low", "summary": "auto"},
    "max_output_tokens": 16,
    "metadata": {"a": "b"},
    "store": False,
}
OLLAMA: dict[str, Any] = {
    "messages": [
        {"role": "user", "content": "hi", "images": [PNG]},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Ulm"}}}],
        },
        {"role": "tool", "content": "rain", "tool_name": "weather"},
    ],
    "tools": [{"type": "function", "function": FUNCTION}],
    "format": SCHEMA,
    "options": {"temperature": 0.5, "num_predict": 9, "stop": ["END"], "seed": 1, "num_ctx": 64},
    "think": "low",
    "stream": False,
}
FARM: dict[str, Any] = {
    "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    "temperature": 0.5,
    "maxTokens": 9,
    "stop": ["END"],
}
SURFACES: dict[str, tuple[str, dict[str, Any]]] = {
    "openai": ("/v1/chat/completions", OPENAI),
    "completions": ("/v1/completions", {"prompt": "hi", "max_tokens": 5, "logprobs": 1, "suffix": "x"}),
    "embeddings": ("/v1/embeddings", {"input": ["a", "b"], "dimensions": 8, "encoding_format": "float"}),
    "anthropic": ("/v1/messages", ANTHROPIC),
    "count": ("/v1/messages/count_tokens", {name: ANTHROPIC[name] for name in ("system", "messages", "tools")}),
    "responses": ("/v1/responses", RESPONSES),
    "ollama": ("/api/chat", OLLAMA),
    "generate": ("/api/generate", {"prompt": "hi", "system": "s", "images": [PNG], "options": {"top_k": 3}}),
    "embed": ("/api/embed", {"input": ["a"], "dimensions": 8, "truncate": False}),
    "farm": ("/api/ai/chat", FARM),
    "rerank": ("/v1/rerank", {"query": "q", "documents": ["a", {"text": "b"}], "top_n": 1}),
    "image": ("/v1/images/generations", {"prompt": "x", "n": 1, "size": "1x1"}),
    "speech": ("/v1/audio/speech", {"input": "x", "voice": "alloy", "speed": 1.0}),
    "moderation": ("/v1/moderations", {"input": ["x"]}),
}
WRITERS = ("demo", "up/say", "anthropic/m", "gemini/m", "vertex/m", "bedrock/m", "cohere/m", "ollama/m", "triton/m")
"""One model of each dialect that is written; what answers is no provider of that dialect, and is told as such."""

DEEP: Any = 1
for _ in range(50):
    DEEP = [DEEP]
STRANGE: tuple[Any, ...] = (
    None,
    True,
    -1,
    1e300,
    1 << 70,
    "",
    "../x\r\nA: b\u202e",
    "y" * 3000,
    [],
    {},
    [None],
    {"type": "x"},
    DEEP,
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a body but its top."""
    if path:
        yield path
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def changed(body: dict[str, Any], path: tuple[str | int, ...], change: Callable[[Any, Any], None]) -> dict[str, Any]:
    """A copy of the body with one place changed."""
    told = copy.deepcopy(body)
    there: Any = told
    for step in path[:-1]:
        there = there[step]
    change(there, path[-1])
    return told


def put(value: Any) -> Callable[[Any, Any], None]:
    def change(there: Any, key: Any) -> None:
        there[key] = value

    return change


def taken_out(there: Any, key: Any) -> None:
    del there[key]


def mutations(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in places(body):
        yield changed(body, path, taken_out)
        yield from (changed(body, path, put(value)) for value in STRANGE)
        yield changed(body, path, lambda there, key: there.update(odd={"a": 1}) if isinstance(there, dict) else None)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[RealGate]:
    there = {"url": upstream.url, "apiKey": "sk-CANARY-of-the-upstream", "models": ["m"]}
    region = {"options": {"region": "eu-central-1", "project": "p", "location": "eu"}}
    config = {
        "keys": [{"name": "tests", "key": KEY}],
        "log": {"level": "warning"},
        "ai": {
            "providers": {
                "demo": {},
                "up": {"provider": "openai", **there, "models": ["say"]},
                **dict.fromkeys(("anthropic", "gemini", "cohere", "ollama", "triton"), there),
                **{name: {**there, **region} for name in ("bedrock", "vertex")},
            },
            "routing": {"production": "demo"},
        },
    }
    with RealGate(tmp_path_factory.mktemp("gate"), config=config).start() as gate:
        yield gate
    assert "Traceback" not in gate.everything_said()


class Caller:
    """Asks one thing after the other on one connection."""

    def __init__(self, gate: RealGate) -> None:
        self._wire = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=30)

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self._wire.close()

    def ask(self, path: str, body: object) -> tuple[int, bytes]:
        raw = json.dumps(body).encode()
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
        self._wire.request("POST", path, raw, headers)
        answer = self._wire.getresponse()
        return answer.status, swept(answer.read())


def has_own_form(path: str, told: Any) -> bool:
    """Whether an error is of the form its surface has."""
    if path.startswith("/v1/messages"):
        return set(told) == {"type", "error", "request_id"} and {"type", "message"} <= set(told["error"])
    if path in ("/api/chat", "/api/generate", "/api/embed"):
        return set(told) == {"error"} and isinstance(told["error"], str)
    return set(told) == {"error"} and set(told["error"]) == {"message", "type", "param", "code"}


def is_wrong(path: str, status: int, raw: bytes) -> bool:
    """500 is our mistake; any other 5xx must be the provider's, which here is always wrong for all but two models."""
    if status == 200:
        return False
    try:
        return status in (500, 501) or not has_own_form(path, json.loads(raw))
    except (ValueError, TypeError):
        return True


@pytest.mark.parametrize("surface", SURFACES)
def test_no_value_of_any_field_is_a_mistake_of_ours(gate: RealGate, surface: str) -> None:
    path, body = SURFACES[surface]
    with Caller(gate) as caller:
        for told in mutations({"model": "demo", **body}):
            status, raw = caller.ask(path, told)
            assert status < 500, (told, status, raw[:500])
            assert not is_wrong(path, status, raw), (told, status, raw[:500])


@pytest.mark.parametrize("model", WRITERS)
@pytest.mark.parametrize("surface", ["openai", "anthropic", "responses", "ollama"])
def test_no_words_are_more_than_a_dialect_can_take_or_refuse(gate: RealGate, surface: str, model: str) -> None:
    path, body = SURFACES[surface]
    with Caller(gate) as caller:
        for at, told in enumerate(mutations({"model": model, **body})):
            if at % 7 == len(model) % 7:  # A share of them for each: every place is changed for some model.
                status, raw = caller.ask(path, told)
                assert not is_wrong(path, status, raw), (told, status, raw[:500])
