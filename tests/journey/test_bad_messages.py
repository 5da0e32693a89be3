"""Everything a stranger may send to the Messages API: each gets its status, and Anthropic's one error shape."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from tests.journey.bad import CONFIG, COUNT, HELLO, LIMIT, MESSAGES, well_ended
from tests.journey.gate import KEY, Answer, RealGate
from tests.journey.test_bad_bodies import JSON, mutated, places
from tests.journey.test_bad_input import NO_KEYS


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGate]:
    with RealGate(tmp_path_factory.mktemp("gate"), config=CONFIG).start() as gate:
        assert gate.call("POST", MESSAGES, message()).status == 200
        yield gate
        well_ended(gate)


def message(**more: object) -> dict[str, Any]:
    return {"model": "demo", "max_tokens": 9, "messages": HELLO} | more


def shaped(answer: Answer) -> tuple[str, str, str]:
    """Type, code and message of a refusal; fails where it has another shape than Anthropic's."""
    assert answer.headers["content-type"] == "application/json"
    told = answer.json
    assert set(told) == {"type", "error", "request_id"}, answer.body
    assert told["type"] == "error"
    assert told["request_id"] == answer.headers["x-request-id"] == answer.headers["request-id"]
    error = told["error"]
    assert set(error) == {"type", "message", "details"}, answer.body
    assert 0 < len(error["message"]) < 500
    assert "Traceback" not in error["message"]
    return error["type"], error["details"]["error_code"], error["message"]


def refused(answer: Answer, status: int, type_: str, code: str, names: str | None = None) -> None:
    assert (answer.status, answer.body[:300]) == (status, answer.body[:300])
    told, told_code, text = shaped(answer)
    assert (told, told_code) == (type_, code)
    assert names is None or names in text


@pytest.mark.parametrize("path", [MESSAGES, COUNT])
@pytest.mark.parametrize("headers", NO_KEYS.values(), ids=NO_KEYS)
def test_no_valid_key_is_401(gate: RealGate, path: str, headers: Mapping[str, str]) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    body = json.dumps(message()).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{lines}"
    answer = gate.raw(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
    refused(answer, 401, "authentication_error", "invalid_api_key")


def test_two_credentials_are_ambiguous(gate: RealGate) -> None:
    answer = gate.call("POST", MESSAGES, message(), {"x-api-key": KEY})
    refused(answer, 400, "invalid_request_error", "ambiguous_credentials")


@pytest.mark.parametrize("name", ["dem", "../../etc/passwd", "x" * 10_000, "demo/nothing"])
@pytest.mark.parametrize("path", [MESSAGES, COUNT])
def test_an_unknown_model_is_404(gate: RealGate, path: str, name: str) -> None:
    refused(gate.call("POST", path, message(model=name)), 404, "not_found_error", "model_not_found")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", MESSAGES, 405, "method_not_allowed"),
        ("PUT", COUNT, 405, "method_not_allowed"),
        ("POST", MESSAGES + "/", 404, "unknown_url"),
        ("POST", MESSAGES + "/batches", 404, "unknown_url"),
        ("GET", COUNT + "/x", 404, "unknown_url"),
    ],
)
def test_unknown_addresses_and_methods(gate: RealGate, method: str, path: str, status: int, code: str) -> None:
    type_ = "not_found_error" if status == 404 else "invalid_request_error"
    refused(gate.call(method, path), status, type_, code)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"content-type": "text/plain"}, 415, "unsupported_media_type"),
        ({"content-encoding": "gzip"}, 415, "unsupported_encoding"),
        ({"anthropic-version": "two words"}, 400, "invalid_value"),
        ({"anthropic-beta": "a b"}, 400, "invalid_value"),
        ({"anthropic-beta": "b" * 5_000}, 400, "invalid_value"),
    ],
)
def test_headers(gate: RealGate, headers: Mapping[str, str], status: int, code: str) -> None:
    for path in (MESSAGES, COUNT):
        refused(gate.call("POST", path, message(), headers), status, "invalid_request_error", code)


def test_an_unknown_version_of_the_api_is_accepted(gate: RealGate) -> None:
    assert gate.call("POST", MESSAGES, message(), {"anthropic-version": "1999-01-01"}).status == 200


def test_a_body_too_large_is_413(gate: RealGate) -> None:
    answer = gate.call("POST", MESSAGES, message(system="x" * LIMIT))
    refused(answer, 413, "request_too_large", "request_too_large")


def test_a_body_that_does_not_end_is_408(gate: RealGate) -> None:
    head = f"POST {MESSAGES} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n"
    answer = gate.raw(f"{head}content-type: application/json\r\ncontent-length: 50\r\n\r\n{{".encode())
    refused(answer, 408, "invalid_request_error", "request_timeout")


@pytest.mark.parametrize("path", [MESSAGES, COUNT])
@pytest.mark.parametrize("name", JSON)
def test_json(gate: RealGate, path: str, name: str) -> None:
    body, code, param = JSON[name]
    refused(gate.call("POST", path, body), 400, "invalid_request_error", code, param)


TOOL = {"name": "now", "description": "d", "input_schema": {"type": "object"}}
ANYTHING: list[tuple[dict[str, object], str, str]] = [
    ({"max_tokens": None}, "missing_required_parameter", "max_tokens"),
    ({"messages": []}, "invalid_messages", "messages"),
    ({"messages": [{"role": "king", "content": "x"}]}, "invalid_messages", "messages[0].role"),
    ({"max_tokens": 0}, "invalid_value", "max_tokens"),
    ({"temperature": 3}, "invalid_value", "temperature"),
    ({"stream": "yes"}, "invalid_type", "stream"),
    ({"tools": [TOOL] * 300}, "too_many_items", "tools"),
]


@pytest.mark.parametrize(("fields", "code", "names"), ANYTHING, ids=range(len(ANYTHING)))
def test_parameters(gate: RealGate, fields: dict[str, object], code: str, names: str) -> None:
    refused(gate.call("POST", MESSAGES, message(**fields)), 400, "invalid_request_error", code, names)


TALK: list[dict[str, Any]] = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
            {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "d"}]}},
        ],
    },
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "S"},
            {"type": "tool_use", "id": "t1", "name": "now", "input": {}},
        ],
    },
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "12:00", "is_error": False}]},
]
RECORDED: list[tuple[str, dict[str, Any]]] = [
    (
        MESSAGES,
        message(
            messages=TALK,
            system=[{"type": "text", "text": "Be brief."}],
            tools=[TOOL, {"type": "web_search_20250305", "name": "web_search"}],
            tool_choice={"type": "auto", "disable_parallel_tool_use": True},
            thinking={"type": "enabled", "budget_tokens": 1024},
            stop_sequences=["x"],
            temperature=0.5,
        ),
    ),
    (
        MESSAGES,
        message(
            stream=True,
            metadata={"user_id": "u"},
            output_config={"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
            top_k=4,
            top_p=0.5,
        ),
    ),
    (COUNT, {"model": "demo", "messages": TALK, "system": "s", "tools": [TOOL]}),
]


def test_no_mutation_of_a_proper_request_is_a_5xx(gate: RealGate) -> None:
    """A few thousand of them on one connection; the seed is fixed, so that a failure can be had again."""
    rng = random.Random(20_261_125)
    counts = {"fine": 0, "refused": 0}
    with gate.wire() as wire:
        for path, body in RECORDED:
            for place in [place for place in places(body) for _ in range(15)]:
                sent = mutated(body, place, rng)
                wire.ask("POST", path, sent)
                answer = wire.answer()
                assert answer.status < 500, f"{path} {json.dumps(sent)[:500]} -> {answer.body[:300]!r}"
                if answer.status < 300:
                    counts["fine"] += 1
                    assert b'"error"' not in answer.body
                else:
                    counts["refused"] += 1
                    shaped(answer)
    assert min(counts.values()) > 300, counts
