"""What the tests of bad input have in common: addresses, a gate's configuration, and the one shape of a refusal."""

from __future__ import annotations

from typing import Any

from tests.journey.gate import KEY, Answer, RealGate

CHAT = "/v1/chat/completions"
COMPLETE = "/v1/completions"
EMBED = "/v1/embeddings"
RESPOND = "/v1/responses"
MESSAGES = "/v1/messages"
COUNT = "/v1/messages/count_tokens"
FARM_CHAT = "/api/ai/chat"
FARM_STREAM = "/api/ai/chat/stream"
FARM_EMBED = "/api/ai/embed"
FARM_GENERATE = "/api/ai/generate"
HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]
LIMIT = 1 << 20
LIMITS = {"bodyBytes": LIMIT, "bodyTimeoutS": 1, "headerTimeoutS": 1.5}


CONFIG = {
    "server": {"limits": LIMITS},
    "keys": [{"name": "tests", "key": KEY}],
    "ai": {
        "providers": {
            "demo": {"options": {"text": "Hello from the demo"}},
            "slow": {"provider": "demo", "options": {"text": "word " * 40, "chunkDelayMs": 100}},
        },
        "routing": {"production": "demo"},
    },
}


def chat(**more: object) -> dict[str, object]:
    return {"model": "demo", "messages": HELLO} | more


def respond(**more: object) -> dict[str, object]:
    return {"model": "demo", "input": "Hello"} | more


def refused(answer: Answer, status: int, code: str, param: str | None = None) -> None:
    """One shape, always."""
    assert (answer.status, answer.body[:300]) == (status, answer.body[:300])
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    error = answer.error
    assert (error["code"], error["param"]) == (code, param), error
    assert error["type"] == "invalid_request_error"
    assert 0 < len(error["message"]) < 500
    assert "Traceback" not in error["message"]


def well_ended(gate: RealGate) -> None:
    """After all of it the same process answers, has nothing in flight, and made no mistake."""
    assert gate.call("POST", CHAT, chat()).status == 200
    assert gate.metric("farmgate_requests_in_flight") == 0
    assert gate.stop() == 0
    said = gate.everything_said()
    assert "Traceback" not in said
    assert "request_failed" not in said
