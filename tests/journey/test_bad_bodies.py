"""Bodies that are no JSON, JSON that is no request, and proper requests with one thing in them changed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from tests.journey.bad import (
    CHAT,
    COMPLETE,
    CONFIG,
    EMBED,
    FARM_CHAT,
    FARM_EMBED,
    FARM_GENERATE,
    FARM_STREAM,
    HELLO,
    RESPOND,
    chat,
    refused,
    respond,
    well_ended,
)
from tests.journey.gate import RealGate


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGate]:
    with RealGate(tmp_path_factory.mktemp("gate"), config=CONFIG).start() as gate:
        assert gate.call("POST", FARM_CHAT, {"messages": HELLO}).status == 200
        yield gate
        well_ended(gate)


# ------------------------------------------------------------------------------------------------------------- JSON

DEEP = b'{"model":"demo","messages":[{"role":"user","content":"x"}],"metadata":' + b"[" * 70 + b"]" * 70 + b"}"
JSON = {
    "empty": (b"", "invalid_json", None),
    "blank": (b" \r\n", "invalid_json", None),
    "not JSON": (b"model=demo", "invalid_json", None),
    "single quotes": (b"{'model': 'demo'}", "invalid_json", None),
    "cut off": (b'{"model": "demo", "messages": [', "invalid_json", None),
    "trailing": (b'{"model": "demo"} {}', "invalid_json", None),
    "comment": (b'{"model": "demo" /* no */}', "invalid_json", None),
    "UTF-16": ('{"model": "demo"}'.encode("utf-16"), "invalid_json", None),
    "not UTF-8": (b'{"model": "\xff\xfe"}', "invalid_unicode", None),
    "lone surrogate": (b'{"model": "\\ud800"}', "invalid_unicode", None),
    "NUL": (b'{"model": "a\\u0000b"}', "invalid_unicode", None),
    "NaN": (b'{"temperature": NaN}', "invalid_number", "temperature"),
    "Infinity": (b'{"temperature": -Infinity}', "invalid_number", "temperature"),
    "1e999": (b'{"temperature": 1e999}', "invalid_number", "temperature"),
    "5000 digits": (b'{"seed": ' + b"9" * 5000 + b"}", "invalid_number", "seed"),
    "deep": (DEEP, "json_too_deep", None),
    "very deep": (b"[" * 100_000, "json_too_deep", None),
    "very deep objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "json_too_deep", None),
    "many values": (b'{"messages": [' + b"1," * 100_001 + b"1]}", "json_too_deep", None),
    "array": (b"[]", "invalid_type", None),
    "null": (b"null", "invalid_type", None),
    "number": (b"1", "invalid_type", None),
    "text": (b'"model"', "invalid_type", None),
}


@pytest.mark.parametrize("path", [CHAT, EMBED, RESPOND, FARM_CHAT])
@pytest.mark.parametrize("name", JSON)
def test_json(gate: RealGate, path: str, name: str) -> None:
    body, code, param = JSON[name]
    answer = gate.call("POST", path, body)
    refused(answer, 400, code, param)


@pytest.mark.parametrize("path", [CHAT, RESPOND, FARM_CHAT])
def test_a_key_named_twice_is_told_by_name(gate: RealGate, path: str) -> None:
    body = b'{"model":"demo","messages":[{"role":"user","content":"x"}],"model":"demo"}'
    refused(gate.call("POST", path, body), 400, "duplicate_key", "model")


# ------------------------------------------------------------------------------------------------------- parameters

ORPHAN = [*HELLO, {"role": "tool", "content": "1", "tool_call_id": "call_1"}]
IMAGE = {"type": "image_url", "image_url": {"url": "http://169.254.169.254/latest"}}
INPUT_IMAGE = {"type": "input_image", "image_url": "http://169.254.169.254/latest"}
RECURSIVE = {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/a"}}}
PARAMETERS: list[tuple[str, object, str, str | None]] = [
    (CHAT, {"messages": HELLO}, "missing_required_parameter", "model"),
    (CHAT, {"model": "demo"}, "missing_required_parameter", "messages"),
    (COMPLETE, {"model": "demo"}, "missing_required_parameter", "prompt"),
    (EMBED, {"model": "demo"}, "missing_required_parameter", "input"),
    (FARM_CHAT, {}, "missing_required_parameter", "messages"),
    (FARM_EMBED, {}, "missing_required_parameter", "input"),
    (FARM_GENERATE, {}, "missing_required_parameter", "prompt"),
    (CHAT, chat(stream="yes"), "invalid_type", "stream"),
    (CHAT, chat(max_tokens="10"), "invalid_type", "max_tokens"),
    (CHAT, chat(model=7), "invalid_type", "model"),
    (CHAT, chat(messages="Hello"), "invalid_type", "messages"),
    (EMBED, {"model": "demo", "input": {"a": 1}}, "invalid_type", "input"),
    (FARM_CHAT, {"messages": HELLO, "stream": "yes"}, "invalid_type", "stream"),
    (FARM_CHAT, {"messages": HELLO, "maxTokens": "10"}, "invalid_type", "maxTokens"),
    (FARM_CHAT, {"messages": HELLO, "max_tokens": True}, "invalid_type", "max_tokens"),
    (CHAT, chat(temperature=3), "invalid_value", "temperature"),
    (CHAT, chat(max_tokens=-1), "invalid_value", "max_tokens"),
    (CHAT, chat(max_tokens=0), "invalid_value", "max_tokens"),
    (CHAT, chat(max_tokens=1.5), "invalid_value", "max_tokens"),
    (CHAT, chat(n=0), "invalid_value", "n"),
    (CHAT, chat(n=1_000_000), "invalid_value", "n"),
    (CHAT, chat(top_p=2), "invalid_value", "top_p"),
    (CHAT, chat(top_logprobs=99), "invalid_value", "top_logprobs"),
    (CHAT, chat(n=2), "unsupported_parameter", "n"),
    (EMBED, {"model": "demo", "input": "x", "dimensions": 0}, "invalid_value", "dimensions"),
    (EMBED, {"model": "demo", "input": "x", "encoding_format": "hex"}, "invalid_value", "encoding_format"),
    (EMBED, {"model": "demo", "input": []}, "invalid_value", "input"),
    (EMBED, {"model": "demo", "input": ["x"] * 3000}, "too_many_items", "input"),
    (FARM_EMBED, {"input": ["x"] * 3000}, "too_many_items", "input"),
    (FARM_CHAT, {"messages": HELLO, "temperature": 3}, "invalid_value", "temperature"),
    (FARM_CHAT, {"messages": HELLO, "maxTokens": 0}, "invalid_value", "maxTokens"),
    (FARM_CHAT, {"messages": HELLO, "provider": "nobody"}, "invalid_value", "provider"),
    (CHAT, chat(messages=[]), "invalid_messages", "messages"),
    (CHAT, chat(messages=[{"role": "king", "content": "x"}]), "invalid_messages", "messages[0].role"),
    (CHAT, chat(messages=[*HELLO, {"role": "user"}]), "invalid_messages", "messages[1].content"),
    (CHAT, chat(messages=[*HELLO, {"role": "tool", "content": "x"}]), "invalid_messages", "messages[1].tool_call_id"),
    (CHAT, chat(messages=ORPHAN), "invalid_messages", "messages[1].tool_call_id"),
    (CHAT, chat(messages=HELLO * 2049), "too_many_items", "messages"),
    (CHAT, chat(messages=[{"role": "user", "content": [IMAGE]}]), "url_not_allowed", "messages[0].content[0]"),
    (FARM_CHAT, {"messages": []}, "invalid_messages", "messages"),
    (FARM_CHAT, {"messages": [{"role": "king", "content": "x"}]}, "invalid_messages", "messages[0].role"),
    (FARM_CHAT, {"messages": [{"role": "user", "content": [IMAGE]}]}, "url_not_allowed", "messages[0].content[0]"),
    (FARM_CHAT, {"messages": HELLO, "maxToken": 5}, "unknown_parameter", "maxToken"),
    (FARM_CHAT, {"messages": HELLO, "maxTokens": 5, "max_tokens": 5}, "invalid_value", "max_tokens"),
    (
        CHAT,
        chat(tools=[{"type": "function", "function": {"name": "f", "parameters": RECURSIVE}}]),
        "invalid_schema",
        "tools[0]",
    ),
    (CHAT, chat(tools=[{"type": "function"}] * 300), "too_many_items", "tools"),
    (RESPOND, {"input": "Hello"}, "missing_required_parameter", "model"),
    (RESPOND, {"model": "demo"}, "missing_required_parameter", "input"),
    (RESPOND, respond(input=[]), "invalid_messages", "input"),
    (RESPOND, respond(stream="yes"), "invalid_type", "stream"),
    (RESPOND, respond(max_output_tokens=0), "invalid_value", "max_output_tokens"),
    (RESPOND, respond(input=[{"role": "user", "content": [INPUT_IMAGE]}]), "url_not_allowed", "input[0].content[0]"),
    (RESPOND, respond(input=[{"type": "function_call_output"}]), "invalid_messages", "input[0].call_id"),
    (
        RESPOND,
        respond(tools=[{"type": "function", "name": "f", "parameters": RECURSIVE}]),
        "invalid_schema",
        "tools[0]",
    ),
    (RESPOND, respond(conversation="conv_1"), "unsupported_parameter", "conversation"),
]


@pytest.mark.parametrize(("path", "body", "code", "param"), PARAMETERS, ids=range(len(PARAMETERS)))
def test_parameters(gate: RealGate, path: str, body: object, code: str, param: str | None) -> None:
    refused(gate.call("POST", path, body), 400, code, param)


# ---------------------------------------------------------------------------------------------------- mutations

TOOL = {"type": "function", "function": {"name": "now", "description": "d", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
PARTS = [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": PARTS, "name": "me"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "12:00", "tool_call_id": "c1"},
]
SAMPLING = {"temperature": 0.5, "top_p": 0.9, "max_tokens": 5, "stop": ["x"], "seed": 1, "presence_penalty": 0.1}
FUNCTION = {"type": "function", "name": "now", "description": "d", "parameters": {"type": "object"}, "strict": True}
PNG = "data:image/png;base64,AAAA"
ITEMS = [
    {"role": "user", "content": [{"type": "input_text", "text": "Hi"}, {"type": "input_image", "image_url": PNG}]},
    {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "x"},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": []}]},
    {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "now", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "12:00"},
]
ODDS = {"text": {"format": {"type": "text"}}, "reasoning": {"effort": "low"}, "top_logprobs": 1, "truncation": "auto"}
RECORDED: list[tuple[str, dict[str, Any]]] = [
    (CHAT, {"model": "demo", "messages": TALK, "tools": [TOOL], "tool_choice": "auto", "n": 1} | SAMPLING),
    (CHAT, chat(stream=True, stream_options={"include_usage": True}, response_format={"type": "text"}, user="u")),
    (COMPLETE, {"model": "demo", "prompt": ["Once"], "suffix": "end", "echo": False, "logprobs": 1} | SAMPLING),
    (EMBED, {"model": "demo", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 8}),
    (RESPOND, {"model": "demo", "input": ITEMS, "tools": [FUNCTION], "tool_choice": "auto", "temperature": 1}),
    (RESPOND, {"model": "demo", "input": "Hi", "store": False, "include": [], "metadata": {"a": "b"}} | ODDS),
    (FARM_CHAT, {"messages": TALK[:2], "model": "demo", "provider": "demo", "maxTokens": 5, "topP": 0.5}),
    (FARM_STREAM, {"messages": HELLO, "model": "demo", "temperature": 1, "stream": True}),
    (FARM_GENERATE, {"prompt": "Once", "model": "demo", "max_tokens": 5, "stop": ["x"]}),
    (FARM_EMBED, {"input": ["a", "b"], "model": "demo", "provider": "demo", "dimensions": 8}),
    ("/api/ai/models/demo/load", {"provider": "demo"}),
]
STRANGE: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 1.5, -0.0, 1e308, -(2**63), 2**63, 2**64, 10**30),
    *("", " ", "demo", "a" * 5000, "\ud83d\ude00", "\u202e", "\\", "%s%n", "../..", "auto", "data:image/png;base64,"),
    *([], [[]], [None], [0], [""], ["a", 1], [{}], {}, {"": ""}, {"a": None}, {"type": "text"}, {"role": "user"}),
    *({"url": "http://[::1"}, {"$ref": "#"}, {"type": "function", "function": {"name": "f"}}, [[1, 2], "a"]),
]


def places(value: Any) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a request."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield (step,)
        for rest in places(inner):
            yield (step, *rest)


def mutated(body: dict[str, Any], place: tuple[Any, ...], rng: random.Random) -> dict[str, Any]:
    """The request with one thing in it changed: replaced, left out, doubled or added to."""
    copy: dict[str, Any] = json.loads(json.dumps(body))
    holder: Any = copy
    for step in place[:-1]:
        holder = holder[step]
    match rng.randrange(8):
        case 0:
            del holder[place[-1]]
        case 1 if isinstance(holder, list):
            holder.extend(holder * 3)
        case 1:
            holder["extra-" + str(place[-1])] = rng.choice(STRANGE)
        case _:
            holder[place[-1]] = rng.choice(STRANGE)
    return copy


def test_no_mutation_of_a_proper_request_is_a_5xx(gate: RealGate) -> None:
    """A few thousand of them on one connection; the seed is fixed, so that a failure can be had again."""
    rng = random.Random(20_240_501)
    counts = {"fine": 0, "refused": 0}
    with gate.wire() as wire:
        for path, body in RECORDED:
            for place in [place for place in places(body) for _ in range(50)]:
                sent = mutated(body, place, rng)
                wire.ask("POST", path, sent)
                answer = wire.answer()
                told = f"{path} {json.dumps(sent)[:500]} -> {answer.body[:300]!r}"
                assert answer.status < 500, told
                if answer.status < 300:
                    counts["fine"] += 1
                    assert b'"error":{' not in answer.body, told
                else:
                    counts["refused"] += 1
                    assert answer.headers["content-type"] == "application/json", told
                    assert answer.error["message"], told
                    assert isinstance(answer.error["code"], str), told
    assert min(counts.values()) > 500, counts


def test_no_broken_bytes_are_a_5xx(gate: RealGate) -> None:
    """Bytes of a proper body changed, cut and repeated."""
    rng = random.Random(7)
    with gate.wire() as wire:
        for path, body in RECORDED[:-1]:
            raw = json.dumps(body).encode()
            for _ in range(100):
                at, length = rng.randrange(len(raw)), rng.randrange(1, 8)
                noise = rng.choice(
                    (rng.randbytes(length), b"", raw[at : at + length] * 2, b'"', b"{", b"\\u0000", b"]")
                )
                wire.ask("POST", path, raw[:at] + noise + raw[at + length :])
                answer = wire.answer()
                assert answer.status < 500, answer.body
                assert answer.status == 200 or answer.error
