"""What a caller says in headers: nothing of it reaches a provider but what its dialect says there, checked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from tests.journey.bad import CHAT, COUNT, HELLO, MESSAGES, RESPOND
from tests.journey.gate import KEY, RealGate

OURS = {
    *("host", "user-agent", "accept-encoding", "content-type", "content-length", "authorization"),
    *("x-api-key", "x-goog-api-key", "api-key", "anthropic-version", "anthropic-beta", "x-goog-user-project"),
}
CANARY = "caller-canary"
CALLERS = {
    **dict.fromkeys(("openai-beta", "openai-organization", "openai-project", "cookie", "x-forwarded-for"), CANARY),
    **dict.fromkeys(("x-amz-target", "x-amzn-bedrock-trace", "x-goog-user-project", "x-ms-region", "via"), CANARY),
    **dict.fromkeys(("x-stainless-lang", "user-agent", "accept", "accept-language", "referer", "origin"), CANARY),
    **dict.fromkeys(("x-request-id", "traceparent", "forwarded", "proxy-authorization", "te"), CANARY),
}
MODELS = ["openai/m", "anthropic/m", "gemini/m", "cohere/m", "ollama/m", "triton/m", "azure/m", "vertex/m"]


class Heard(BaseHTTPRequestHandler):
    """Every provider there is; it remembers what it was asked of callers, and has nothing."""

    protocol_version = "HTTP/1.1"
    requests: ClassVar[list[list[tuple[str, str]]]] = []

    def do_POST(self) -> None:
        self.requests.append([(name.lower(), value) for name, value in self.headers.items()])
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.do_GET()

    def do_GET(self) -> None:
        """A list of models, for which the gate asks when it likes."""
        self.send_response(404)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGate]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Heard) as server:
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        there = {
            "url": f"http://127.0.0.1:{server.server_port}",
            "apiKey": "sk-CANARY-of-the-upstream",
            "models": ["m"],
        }
        options = {"triton": {"template": "chatml"}, "vertex": {"project": "p", "location": "eu"}}
        names = [model.partition("/")[0] for model in MODELS]
        providers = {name: {**there, "options": options.get(name, {})} for name in names}
        config = {"keys": [{"name": "tests", "key": KEY}], "ai": {"providers": providers}}
        with RealGate(tmp_path_factory.mktemp("gate"), config=config).start() as gate:
            yield gate
            assert gate.stop() == 0
            assert "Traceback" not in gate.everything_said()
        server.shutdown()
        serving.join()


def heard_of(
    gate: RealGate, path: str, body: dict[str, object], headers: dict[str, str]
) -> list[list[tuple[str, str]]]:
    """What the provider heard of one call."""
    Heard.requests.clear()
    assert gate.call("POST", path, body, headers).status not in (200, 500)
    return list(Heard.requests)


@pytest.mark.parametrize("path", [CHAT, RESPOND, MESSAGES])
@pytest.mark.parametrize("model", MODELS)
def test_no_header_of_a_caller_reaches_a_provider(gate: RealGate, model: str, path: str) -> None:
    body: dict[str, object] = {"model": model, "messages": HELLO, "max_tokens": 9}
    if path == RESPOND:
        body = {"model": model, "input": "Hello"}
    told = heard_of(gate, path, body, CALLERS)
    assert told
    for heard in told:
        assert {name for name, _ in heard} <= OURS
        assert not [name for name, value in heard if CANARY in value or KEY in value]
        assert len({name for name, _ in heard}) == len(heard)


@pytest.mark.parametrize(
    "headers",
    [
        {"anthropic-beta": "b\u00fc"},
        {"anthropic-beta": "a;b"},
        {"anthropic-beta": "a: b"},
        {"anthropic-beta": ",".join(f"b{number}" for number in range(65))},
        {"anthropic-beta": "x" * 129},
        {"anthropic-beta": "a", "Anthropic-Beta": "a b"},
        {"anthropic-version": "\u00e9"},
        {"anthropic-version": ""},
        {"anthropic-version": "2023-06-01, 2024-01-01"},
        {"anthropic-version": "9" * 4_000},
    ],
)
def test_what_is_no_word_in_a_header_of_the_dialect_is_refused_by_name(gate: RealGate, headers: dict[str, str]) -> None:
    body: dict[str, object] = {"model": "anthropic/m", "messages": HELLO, "max_tokens": 9}
    for path in (MESSAGES, COUNT):
        Heard.requests.clear()
        answer = gate.call("POST", path, body, headers)
        assert (answer.status, Heard.requests) == (400, [])
        assert next(iter(headers)) in answer.json["error"]["message"]


def test_betas_said_in_two_headers_are_one_list(gate: RealGate) -> None:
    body: dict[str, object] = {"model": "anthropic/m", "messages": HELLO, "max_tokens": 9}
    (heard,) = heard_of(gate, MESSAGES, body, {"anthropic-beta": "a-1,,b-2", "Anthropic-Beta": "c-3, a-1"})
    assert [value for name, value in heard if name == "anthropic-beta"] == ["a-1,b-2,c-3"]
