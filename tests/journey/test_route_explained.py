"""A running gate tells who it would ask, by the health it has seen, over HTTP and at the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.journey.gate import KEY, RealGate
from tests.journey.upstream import Upstream

ROUTE = "/api/admin/route"
ORDINARY_KEY = "ordinary-key-of-the-tests-0123"


def config(url: str) -> dict[str, Any]:
    return {
        "keys": [{"name": "boss", "key": KEY, "admin": True}, {"name": "joe", "key": ORDINARY_KEY}],
        "ai": {
            "providers": {
                "well": {"provider": "openai", "url": url, "apiKey": "x", "models": ["say"]},
                "dead": {"provider": "openai", "url": "http://127.0.0.1:9/v1", "apiKey": "x", "models": ["m"]},
                "keyless": {"provider": "anthropic"},
                "gone": {"provider": "openai", "apiKey": "${NOBODY_SET_THIS}"},
            },
            "routing": {"production": "well"},
            "routes": {
                "fast": {
                    "targets": [{"target": "dead/m"}, {"target": "gone/x"}],
                    "fallback": ["well/say", "keyless/c"],
                },
                "kept": {"targets": ["well/say", "dead/m"], "sticky": "caller"},
                "claude-*": "keyless/claude-*",
            },
        },
    }


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gate(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGate]:
    folder = tmp_path_factory.mktemp("gate")
    with RealGate(folder, config=config(upstream.url)).start() as gate:
        (folder / ".env").write_text(f"FARM_KEY={KEY}\nFARM_PORT={gate.port}\n")
        yield gate
        assert gate.stop() == 0


def chat(gate: RealGate, model: str) -> int:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    return gate.call("POST", "/v1/chat/completions", body).status


def break_dead(gate: RealGate) -> None:
    """Its breaker is open, and for long enough to look at it."""
    while not any(one["backInS"] > 3 for one in gate.call("POST", ROUTE, {"model": "dead/m"}).json["resting"]):
        chat(gate, "dead/m")


def test_health_is_real_and_nobody_is_asked(gate: RealGate, upstream: Upstream) -> None:
    break_dead(gate)
    before = len(upstream.seen)
    answer = gate.call("POST", ROUTE, {"model": "fast"})
    told = answer.json
    assert answer.status == 200
    assert [(one["provider"], one["tier"]) for one in told["order"]] == [("well", 1), ("keyless", 2)]
    assert told["order"][0]["why"] == "fallback of fast"
    assert told["order"][1]["why"] == "fallback of fast; it has no key: set ANTHROPIC_API_KEY"
    (rests,) = told["resting"]
    assert (rests["state"], rests["lastFailure"]) == ("open", "upstream_unreachable")
    assert 0 < rests["backInS"] <= 20
    assert rests["why"].startswith("breaker open for ")
    (skipped,) = told["skipped"]
    assert (skipped["provider"], skipped["model"]) == ("gone", "x")
    assert "NOBODY_SET_THIS is not set" in skipped["reason"]
    assert (told["route"], told["balance"], told["sticky"], told["fallback"]) == ("fast", "leastInFlight", "off", True)
    assert len(upstream.seen) == before


def test_a_request_then_goes_where_it_was_told(gate: RealGate, upstream: Upstream) -> None:
    break_dead(gate)
    before = len(upstream.seen)
    body = {"model": "fast", "messages": [{"role": "user", "content": "Hello"}]}
    answer = gate.call("POST", "/v1/chat/completions", body)
    assert (answer.status, answer.headers["x-farmgate-provider"]) == (200, "well")
    assert len(upstream.saw(before + 1)) == before + 1
    first = gate.call("POST", ROUTE, {"model": "well/say"}).json["order"][0]
    assert first["firstTokenMs"] > 0
    assert (first["inFlight"], first["state"]) == (0, "closed")


def test_stickiness_is_told_for_the_key_that_is_named(gate: RealGate) -> None:
    answer = gate.call("POST", ROUTE, {"model": "kept", "key": "joe"})
    assert answer.json["sticky"] == "caller"
    refused = gate.call("POST", ROUTE, {"model": "kept", "key": "jo"})
    assert (refused.status, refused.error["param"]) == (400, "key")
    assert "joe" in refused.error["message"]


@pytest.mark.parametrize(
    ("body", "status", "code", "says"),
    [
        ({"model": "well/sey"}, 404, "model_not_found", "Did you mean 'say'?"),
        ({"model": "say", "provider": "nobody"}, 400, "invalid_value", "There is no provider 'nobody'"),
        ({"model": "dead/m", "kind": "rerank"}, 404, "model_not_capable", "gives no rerank answers"),
        ({"model": "fast", "kind": "poem"}, 400, "invalid_value", "'chat'"),
        ({"model": "fast", "messages": []}, 400, "unknown_parameter", "`messages`"),
        ({"model": "x" * 4000}, 404, "model_not_found", "2048"),
    ],
)
def test_what_leads_nowhere_is_refused_as_a_request_is(
    gate: RealGate, body: dict[str, object], status: int, code: str, says: str
) -> None:
    answer = gate.call("POST", ROUTE, body)
    assert (answer.status, answer.error["code"]) == (status, code)
    assert says in answer.error["message"]


def test_an_ordinary_key_is_told_nothing(gate: RealGate) -> None:
    answer = gate.call("POST", ROUTE, {"model": "fast"}, {"authorization": f"Bearer {ORDINARY_KEY}"})
    assert (answer.status, answer.error["code"]) == (403, "not_an_admin")


def test_the_command_asks_the_gate_that_runs(gate: RealGate) -> None:
    break_dead(gate)
    code, out, err = gate.command("route", "fast")
    assert (code, out, err) == (0, "well/say\nkeyless/c\n", "")
    break_dead(gate)  # each command takes its time
    code, out, err = gate.command("route", "fast", "--explain")
    assert (code, err) == (0, "fast, chat: balance leastInFlight, at most 4 calls\n")
    lines = [line.split() for line in out.splitlines()]
    assert [line[:3] for line in lines] == [
        ["#", "TARGET", "STATE"],
        ["1", "well/say", "well"],
        ["2", "keyless/c", "well"],
        ["-", "dead/m", "open"],
        ["-", "gone/x", "skipped"],
    ]
    break_dead(gate)
    code, out, _ = gate.command("route", "fast", "--json")
    assert json.loads(out)["resting"][0]["state"] == "open"


def test_the_command_says_what_is_wrong_and_ends_with_its_number(gate: RealGate) -> None:
    code, out, err = gate.command("route", "well/sey", "--explain")
    assert (code, out) == (5, "")
    assert "Did you mean 'say'?" in err
    assert gate.command("route", "say", "--provider", "nobody")[0] == 5


def test_without_a_gate_it_is_planned_from_the_files(upstream: Upstream, tmp_path: Path) -> None:
    gate = RealGate(tmp_path, config=config(upstream.url))
    (tmp_path / ".env").write_text("FARM_PORT=1\n")
    before = len(upstream.seen)
    code, out, err = gate.command("route", "fast", "--explain")
    assert code == 0
    note, headline = err.splitlines()
    assert note.startswith("note: no Farmgate is running at http://127.0.0.1:1: planned from farm.config.json")
    assert headline == "fast, chat: balance leastInFlight, at most 4 calls"
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        ["1", "dead/m"],
        ["2", "well/say"],
        ["3", "keyless/c"],
        ["-", "gone/x"],
    ]
    assert gate.command("route", "claude-x")[1] == "keyless/claude-x\n"
    assert len(upstream.seen) == before
