"""A running gate tells what its models can, hold and cost, and asks no provider for what its model cannot serve."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.journey.gate import KEY, RealGate
from tests.journey.upstream import Upstream

PIXEL = "data:image/png;base64,iVBORw0KGgo="
SEES = {"id": "sees", "max_model_len": 4096, "capabilities": {"vision": True, "tools": True}}
READS = {
    "id": "reads",
    "max_model_len": 4096,
    "capabilities": {"vision": False, "tools": False},
    "pricing": {"prompt": "0.000001", "completion": "0.000002"},
}
PRICE = {"input": 3, "output": 15, "cachedInput": 0.3}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        upstream.models["data"] = [SEES, READS, {"id": "say"}, {"id": "of hundreds"}]
        yield upstream


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[RealGate]:
    config = {
        "keys": [{"name": "tests", "key": KEY}],
        "ai": {
            "providers": {"up": {"provider": "vllm", "url": upstream.url, "models": ["sees", "reads", "say"]}},
            "routing": {"production": "up"},
            "models": {
                "up/say": {"contextTokens": 1000, "maxOutputTokens": 50, "capabilities": ["tools"], "price": PRICE}
            },
        },
    }
    with RealGate(tmp_path_factory.mktemp("gate"), config=config).start() as gate:
        gate.call("GET", "/v1/models")
        yield gate


def look(model: str) -> dict[str, object]:
    parts = [{"type": "text", "text": "what is this"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    return {"model": model, "messages": [{"role": "user", "content": parts}]}


def test_the_list_tells_what_the_provider_lists_and_what_the_configuration_states(gate: RealGate) -> None:
    told = {entry["id"]: entry for entry in gate.call("GET", "/v1/models").json["data"]}
    assert set(told) == {"sees", "reads", "say"}
    assert told["reads"]["context_length"] == 4096
    assert told["reads"]["pricing"] == {"prompt": "0.000001", "completion": "0.000002"}
    assert told["reads"]["architecture"] == {"input_modalities": ["text"], "output_modalities": ["text"]}
    assert told["sees"]["architecture"]["input_modalities"] == ["text", "image"]
    assert told["sees"]["supported_parameters"] == ["tools", "tool_choice"]
    assert (told["say"]["context_length"], told["say"]["max_output_tokens"]) == (1000, 50)
    assert told["say"]["pricing"] == {"prompt": "0.000003", "completion": "0.000015", "input_cache_read": "0.0000003"}
    assert gate.call("GET", "/v1/models/up/say").json["context_length"] == 1000


def test_our_own_list_and_ls_tell_the_same_in_their_own_words(gate: RealGate) -> None:
    told = {entry["name"]: entry for entry in gate.call("GET", "/api/ai/models").json}
    assert told["say"]["price"] == {
        "input": 3.0,
        "output": 15.0,
        "cachedInput": 0.3,
        "currency": "USD",
        "source": "configuration",
    }
    assert told["say"]["capabilities"]["tools"] is True
    assert told["say"]["capabilities"]["vision"] is False
    assert told["sees"]["capabilities"] == {"tools": True, "vision": True}
    assert "price" not in told["sees"], "what is not known is not told"
    code, out, err = gate.command("ls", "--json")
    assert code == 0, err
    listed = {entry["name"]: entry for entry in map(json.loads, out.splitlines())}
    assert listed["say"]["price"] == told["say"]["price"]
    assert listed["sees"]["capabilities"] == {"tools": True, "vision": True}
    assert listed["reads"]["contextTokens"] == 4096


@pytest.mark.parametrize("stream", [False, True])
def test_an_image_for_a_model_that_only_reads_is_refused_before_it_is_sent(
    gate: RealGate, upstream: Upstream, stream: bool
) -> None:
    before = len(upstream.seen)
    answer = gate.call("POST", "/v1/chat/completions", look("reads") | {"stream": stream})
    assert (answer.status, answer.error["code"]) == (400, "unsupported_parameter")
    assert answer.error["param"] == "messages[0].content[1]"
    assert answer.error["message"] == "reads of up takes no images: ask a model that does."
    assert len(upstream.seen) == before
    assert gate.call("POST", "/v1/chat/completions", look("sees")).status == 200
    assert len(upstream.seen) == before + 1


def test_a_model_nobody_configured_but_the_provider_tells_of_is_known_too(gate: RealGate) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    body = {"model": "up/reads", "messages": [{"role": "user", "content": "a"}], "tools": tools}
    assert gate.call("POST", "/v1/chat/completions", body).error["param"] == "tools"


def test_our_own_api_refuses_by_the_same_name(gate: RealGate) -> None:
    answer = gate.call("POST", "/api/ai/chat", look("reads"))
    assert (answer.status, answer.error["param"]) == (400, "messages[0].content[1]")


def test_a_prompt_that_cannot_fit_is_refused_with_both_numbers(gate: RealGate, upstream: Upstream) -> None:
    before = len(upstream.seen)
    text = "What is the meaning of all this? " * 3000
    body = {"model": "say", "messages": [{"role": "user", "content": text}]}
    answer = gate.call("POST", "/v1/chat/completions", body)
    assert (answer.status, answer.error["code"], answer.error["param"]) == (400, "context_length_exceeded", "messages")
    assert "the context of say is 1000" in answer.error["message"]
    assert len(upstream.seen) == before
    body["messages"] = [{"role": "user", "content": text[:15_000]}]
    assert gate.call("POST", "/v1/chat/completions", body).status == 200


def test_usage_tells_what_calls_cost_where_the_price_is_known(gate: RealGate) -> None:
    for model in ("say", "sees"):
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
        assert gate.call("POST", "/v1/chat/completions", body).status == 200
    said = {line["model"]: line for line in gate.calls()}
    line = said["say"]
    assert line["costUsd"] == pytest.approx((3 * line["promptTokens"] + 15 * line["completionTokens"]) / 1e6)
    assert (said["sees"]["costUsd"], said["sees"]["unpricedCalls"]) == (None, said["sees"]["calls"])
