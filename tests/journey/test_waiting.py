"""Requests that wait: for their turn, for a provider that is long in coming, and no longer than their caller wants."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.journey.gate import KEY, RealGate, Wire, request
from tests.journey.upstream import Upstream

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
FARM, OLLAMA = "/api/ai/chat", "/api/chat"
AT_ONCE, IN_LINE = 3, 2
TALK = [{"role": "user", "content": "Hello"}]
COMMENT = b": keep-alive\n\n"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[RealGate]:
    config = {
        "server": {
            "limits": {
                "requestTimeoutS": 20,
                "keepAliveS": 0.05,
                "clientStallS": 1,
                "inFlight": AT_ONCE,
                "queue": IN_LINE,
                "queueTimeoutS": 0.2,
            }
        },
        "keys": [{"name": "tests", "key": KEY}],
        "ai": {
            "providers": {"up": {"provider": "openai", "url": upstream.url, "apiKey": "sk-CANARY-of-the-upstream"}},
            "routing": {"production": "up"},
            "attempts": {"retries": 0},
        },
    }
    with RealGate(tmp_path_factory.mktemp("gate"), config=config).start() as gate:
        yield gate
        assert gate.stop() == 0
        said = gate.everything_said()
        assert "Traceback" not in said
        assert "request_failed" not in said
        assert "never retrieved" not in said


def body_for(path: str, model: str, *, stream: bool = True) -> dict[str, object]:
    """The same question in the dialect of a path."""
    asked: dict[str, object] = {"model": model, "stream": stream}
    if path == RESPONSES:
        return asked | {"input": "Hello"}
    return asked | {"messages": TALK} | ({"max_tokens": 20} if path == MESSAGES else {})


def ask(gate: RealGate, path: str, model: str, *, stream: bool = True, **headers: str) -> Wire:
    wire = gate.wire()
    lines = {name.replace("_", "-"): value for name, value in headers.items()}
    wire.send(request("POST", path, body_for(path, model, stream=stream), lines or None))
    return wire


def rest(wire: Wire) -> bytes:
    """What comes until the end of a chunked answer."""
    text = b""
    while piece := wire.chunk():
        text += piece
    return text


# ------------------------------------------------------------------------------------------------------- long in coming


@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES, FARM])
def test_a_stream_that_is_long_in_coming_is_begun_and_kept_open(gate: RealGate, path: str) -> None:
    with ask(gate, path, "wait-1") as wire:
        head = wire.head()
        assert head.status == 200
        assert head.headers["content-type"].startswith("text/event-stream")
        assert "x-request-id" in head.headers
        text = b""
        while text.count(COMMENT) < 3:
            text += wire.chunk()
        assert text == COMMENT * text.count(COMMENT)
    assert gate.is_idle()


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (CHAT, b'data: {"error":'),
        (MESSAGES, b"event: error\n"),
        (RESPONSES, b"event: error\n"),
        (FARM, b'data: {"error":'),
    ],
)
def test_what_fails_after_that_is_told_in_the_stream(
    gate: RealGate, upstream: Upstream, path: str, told: bytes
) -> None:
    number = len(upstream.seen) + 1
    with ask(gate, path, "fail-1") as wire:
        assert wire.head().status == 200
        text = wire.chunk()
        upstream.last(number).go.set()
        text += rest(wire)
        assert text.startswith(COMMENT)
        assert told in text
        assert b"the GPU is on fire" in text
        assert b"[DONE]" not in text


def test_an_answer_that_comes_in_time_has_no_comment_and_says_what_the_gate_took(gate: RealGate) -> None:
    for stream in (True, False):
        with ask(gate, CHAT, "say", stream=stream) as wire:
            head = wire.head()
            assert 0 < float(head.headers["x-farmgate-overhead-ms"]) < 1000
            assert head.headers["x-farmgate-attempts"] == "1"


def test_lines_of_json_have_no_comments_and_wait_for_their_first_content(gate: RealGate) -> None:
    with ask(gate, OLLAMA, "wait-1", x_request_timeout_ms="300") as wire:
        answer = wire.answer()
    assert answer.status == 504


# ---------------------------------------------------------------------------------------------- as long as callers want


@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES, FARM, OLLAMA])
def test_a_caller_may_want_less_time_for_its_request(gate: RealGate, upstream: Upstream, path: str) -> None:
    number = len(upstream.seen) + 1
    began = time.monotonic()
    with ask(gate, path, "wait-0", stream=False, x_request_timeout_ms="250") as wire:
        answer = wire.answer()
    assert answer.status == 504
    assert 0.2 < time.monotonic() - began < 5
    assert b"0.25 s" in answer.body
    assert upstream.last(number).left.wait(2), "the upstream was left waiting"
    assert gate.is_idle()


def test_a_stream_that_takes_longer_than_its_caller_wants_is_told_so(gate: RealGate) -> None:
    with ask(gate, CHAT, "wait-3", x_request_timeout_ms="300") as wire:
        assert wire.head().status == 200
        text = rest(wire)
    assert b'"code":"upstream_timeout"' in text
    assert b"[DONE]" not in text


def test_nobody_gets_more_time_than_there_is(gate: RealGate) -> None:
    with ask(gate, CHAT, "say", stream=False, x_request_timeout_ms="999999999999") as wire:
        assert wire.answer().status == 200


@pytest.mark.parametrize("value", ["0", "-1", "soon", "1.5", "9999999999999", ""])
def test_a_time_that_is_none_is_refused(gate: RealGate, value: str) -> None:
    with ask(gate, CHAT, "say", x_request_timeout_ms=value) as wire:
        answer = wire.answer()
    assert answer.status == 400
    assert "x-request-timeout-ms" in answer.error["message"]


# ------------------------------------------------------------------------------------------------------- for their turn


def test_above_the_limit_requests_wait_and_those_above_that_are_sent_away(gate: RealGate) -> None:
    holders = [ask(gate, CHAT, "wait-3") for _ in range(AT_ONCE)]
    for holder in holders:
        assert holder.head().status == 200
    assert gate.metric("farmgate_requests_in_flight") == AT_ONCE
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: gate.call("POST", CHAT, body_for(CHAT, "say", stream=False)), range(4)))
    assert time.monotonic() - began < 5
    for answer in answers:
        assert answer.status == 503
        assert answer.error["code"] == "overloaded"
        assert 1 <= int(answer.headers["retry-after"]) <= 5
        assert "x-should-retry" not in answer.headers
    assert gate.metric("farmgate_requests_waiting") == 0
    assert gate.call("GET", "/health/live").status == 200
    waits = ask(gate, CHAT, "say", stream=False)
    assert gate.comes(lambda: gate.metric("farmgate_requests_waiting") == 1)
    holders.pop().close()
    answer = waits.answer()
    assert (answer.status, json.loads(answer.body)["choices"][0]["finish_reason"]) == (200, "stop")
    for holder in (*holders, waits):
        holder.close()
    assert gate.is_idle()


def test_who_leaves_while_it_waits_is_forgotten(gate: RealGate, upstream: Upstream) -> None:
    holders = [ask(gate, CHAT, "wait-3") for _ in range(AT_ONCE)]
    for holder in holders:
        assert holder.head().status == 200
    number = len(upstream.seen)
    leaves = ask(gate, CHAT, "say")
    assert gate.comes(lambda: gate.metric("farmgate_requests_waiting") == 1)
    leaves.close()
    assert gate.comes(lambda: gate.metric("farmgate_requests_waiting") == 0, 2.0)
    for holder in holders:
        holder.close()
    assert gate.is_idle()
    assert len(upstream.seen) == number


# --------------------------------------------------------------------------------------------- for a client who reads


def test_a_client_that_takes_nothing_is_given_up(gate: RealGate, upstream: Upstream) -> None:
    number = len(upstream.seen) + 1
    with gate.wire(receive_bytes=4096) as wire:
        wire.send(request("POST", CHAT, body_for(CHAT, "flood")))
        assert wire.head().status == 200
        assert upstream.last(number).left.wait(10), "the upstream was left waiting"
        assert gate.is_idle(10)
