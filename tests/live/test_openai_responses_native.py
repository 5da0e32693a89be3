"""The openai SDK's Responses API against a provider that has it too: bytes through, and what is kept is ours."""

from __future__ import annotations

import json
from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI
from openai.types.responses import ResponseStreamEvent
from tests.journey.gate import KEY, RealGate
from tests.journey.upstream import RECORDED, Upstream

OTHER_KEY = "another-key-of-the-tests-0123456789"
MODELS = ["text", "tools", "reasoning", "web_search", "failed", "limited"]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[RealGate]:
    native = {"provider": "openai", "url": upstream.url, "apiKey": "none", "models": MODELS}
    config = {
        "keys": [{"name": "tests", "key": KEY}, {"name": "others", "key": OTHER_KEY}],
        "ai": {
            "providers": {
                "up": native | {"options": {"responses": True}},
                "chat": {"provider": "openai", "url": upstream.url, "models": ["say"]},
                "demo": {"options": {"text": "Hello"}},
            },
            "routing": {"production": "up"},
        },
    }
    with RealGate(tmp_path_factory.mktemp("gate"), config=config).start() as gate:
        yield gate


@pytest.fixture
def client(gate: RealGate) -> Iterator[OpenAI]:
    with OpenAI(base_url=gate.ready["apiBase"], api_key=KEY, max_retries=0) as client:
        yield client


def tokens(gate: RealGate) -> tuple[int, int]:
    """What the model `text` has cost so far."""
    told = next((line for line in gate.calls() if line["model"] == "text"), {})
    return told.get("promptTokens", 0), told.get("completionTokens", 0)


def test_bytes_go_through_both_ways_and_are_kept(gate: RealGate) -> None:
    before = tokens(gate)
    for streams in (False, True):
        answer = gate.call("POST", "/v1/responses", {"model": "text", "input": "Hi", "stream": streams, "later": 1.50})
        expected = (RECORDED / ("stream.sse" if streams else "text.json")).read_bytes()
        assert answer.body == expected if streams else json.loads(answer.body) == json.loads(expected)
    kept = gate.call("GET", f"/v1/responses/{json.loads((RECORDED / 'text.json').read_bytes())['id']}")
    assert kept.json["output"] == json.loads((RECORDED / "text.json").read_bytes())["output"]
    assert tokens(gate) == (before[0] + 24, before[1] + 14)


def test_a_conversation_goes_on_by_id_there_and_whole_elsewhere(client: OpenAI, upstream: Upstream) -> None:
    first = client.responses.create(model="text", input="Hi")
    count = len(upstream.seen)
    client.responses.create(model="reasoning", input="And?", previous_response_id=first.id)
    assert upstream.last(count + 1).body == {"model": "reasoning", "input": "And?", "previous_response_id": first.id}
    told = client.responses.create(model="say", input="And?", previous_response_id=first.id)
    sent = upstream.last(count + 2).body["messages"]
    assert [message["content"] for message in sent] == ["Hi", "Good morning, Zoë 🙂.", "And?"]
    client.responses.create(model="tools", input="Back again", previous_response_id=told.id)
    sent = upstream.last(count + 3).body
    assert sent["previous_response_id"] is None
    assert [item["role"] for item in sent["input"]] == ["user", "assistant", "user", "assistant", "user"]
    assert all("id" not in item for item in sent["input"])


def test_another_key_cannot_go_on_from_it(gate: RealGate, client: OpenAI, upstream: Upstream) -> None:
    first = client.responses.create(model="text", input="Hi")
    count = len(upstream.seen)
    with (
        OpenAI(base_url=gate.ready["apiBase"], api_key=OTHER_KEY, max_retries=0) as stranger,
        pytest.raises(openai.NotFoundError) as caught,
    ):
        stranger.responses.create(model="text", input="And?", previous_response_id=first.id)
    assert caught.value.code == "previous_response_not_found"
    assert len(upstream.seen) == count


def test_a_hosted_tool_works_there_and_is_refused_elsewhere(client: OpenAI) -> None:
    with client.responses.stream(model="web_search", input="Snow?", tools=[{"type": "web_search"}]) as stream:
        kinds = {event.type for event in stream}
        told = stream.get_final_response()
    assert "response.web_search_call.completed" in kinds
    assert [item.type for item in told.output] == ["web_search_call", "message"]
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="say", input="Snow?", tools=[{"type": "web_search"}])
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "tools[0]")


def test_a_failure_within_the_stream_raises_with_the_response_s_own_id(client: OpenAI) -> None:
    events: list[ResponseStreamEvent] = []
    with (
        client.responses.create(model="failed", input="Hi", stream=True) as stream,
        pytest.raises(openai.APIError) as caught,
    ):
        events.extend(stream)
    assert caught.value.code == "upstream_error"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    created, failed = events[0], events[-1]
    assert created.type == "response.created"
    assert failed.type == "response.failed"
    assert failed.response.id == created.response.id
    assert failed.response.error is not None
    assert failed.response.error.code == "server_error"


def test_a_failure_before_anything_was_said_has_its_status(client: OpenAI) -> None:
    with pytest.raises(openai.RateLimitError):
        client.responses.create(model="limited", input="Hi", stream=True)
