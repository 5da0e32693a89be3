"""Anthropic's Messages in the matrix: how its callers speak, and the provider of that name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from tests.matrix.facts import Call, Fact, Feature, Heard, Tokens, Told
from tests.matrix.provider import Provider, Recording
from tests.matrix.surface import Answered, Json, Surface, asks, events, value
from tests.matrix.surfaces import calls_of
from tests.matrix.walking import Places

__all__ = ["ANTHROPIC", "AnthropicSurface"]

FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "refusal": "content_filter",
}
BUDGET = 16_384


class AnthropicSurface(Surface):
    """POST /v1/messages."""

    name = "anthropic"
    title = "Anthropic Messages"
    version = "`POST /v1/messages`, `anthropic-version: 2023-06-01`"
    dialect = "anthropic"
    unsaid: ClassVar[frozenset[Fact]] = frozenset({Fact.SEED, Fact.PRESENCE, Fact.FREQUENCY})

    def path(self, *, stream: bool) -> str:
        return "/v1/messages"

    def headers(self) -> Mapping[str, str]:
        return {"anthropic-version": "2023-06-01"}

    def body(self, feature: Feature, model: str, *, stream: bool) -> Json:
        most = value(Fact.MOST_TOKENS) if asks(feature, Fact.MOST_TOKENS) else 20_000
        told: Json = {"model": model, "max_tokens": most, "system": value(Fact.SYSTEM)}
        told["messages"] = self.messages(feature)
        if stream:
            told["stream"] = True
        if asks(feature, Fact.TEMPERATURE):
            told["temperature"] = value(Fact.TEMPERATURE)
        if asks(feature, Fact.TOOL_NAME):
            tool = {"name": value(Fact.TOOL_NAME), "description": value(Fact.TOOL_DESCRIPTION)}
            told["tools"] = [tool | {"input_schema": value(Fact.TOOL_SCHEMA)}]
            told["tool_choice"] = {"type": "auto"}
        if asks(feature, Fact.SCHEMA):
            told["output_config"] = {"format": {"type": "json_schema", "schema": value(Fact.SCHEMA)}}
        if asks(feature, Fact.EFFORT):
            told["thinking"] = {"type": "enabled", "budget_tokens": BUDGET}
        if asks(feature, Fact.STOP):
            told["stop_sequences"] = [value(Fact.STOP)]
        if asks(feature, Fact.SEED):
            told |= {"top_p": value(Fact.TOP_P), "top_k": value(Fact.TOP_K)}
            told["metadata"] = {"user_id": value(Fact.END_USER)}
        if asks(feature, Fact.CHOICE):
            told["tool_choice"] = {"type": "tool", "name": value(Fact.CHOICE)}
        if asks(feature, Fact.UNKNOWN):
            told["x_harbour"] = value(Fact.UNKNOWN)
        return told

    def messages(self, feature: Feature) -> list[Json]:
        calls = calls_of(feature)
        last: list[Json] = [{"type": "text", "text": value(Fact.QUESTION)}]
        if asks(feature, Fact.IMAGE):
            source = {"type": "base64", "media_type": value(Fact.IMAGE_TYPE), "data": value(Fact.IMAGE)}
            last.append({"type": "image", "source": source})
        if not calls:
            return [{"role": "user", "content": last}]
        made = [
            {"type": "tool_use", "id": value(call_id), "name": value(name), "input": value(arguments)}
            for call_id, name, arguments, _, _ in calls
        ]
        results = [
            {"type": "tool_result", "tool_use_id": value(answered), "content": value(result)}
            for _, _, _, answered, result in calls
        ]
        return [
            {"role": "user", "content": value(Fact.USER)},
            {"role": "assistant", "content": made},
            {"role": "user", "content": [*results, *last]},
        ]

    def whole(self, told: Json) -> Heard:
        assert told["type"] == "message"
        assert told["role"] == "assistant"
        return heard(told["content"], told["usage"], told["stop_reason"], is_complete=True)

    def streamed(self, answered: Answered) -> Heard:
        told = [json.loads(data) for data in events(answered.body)]
        blocks: dict[int, Json] = {}
        usage: Json = {}
        reason: str | None = None
        error: str | None = None
        for event in told:
            match event["type"]:
                case "message_start":
                    usage |= event["message"]["usage"]
                case "content_block_start":
                    assert event["index"] == len(blocks), "blocks come one after the other"
                    blocks[event["index"]] = dict(event["content_block"])
                case "content_block_delta":
                    add(blocks[event["index"]], event["delta"])
                case "message_delta":
                    usage |= {name: count for name, count in event["usage"].items() if count is not None}
                    reason = event["delta"]["stop_reason"]
                case "error":
                    error = event["error"]["message"]
        for block in blocks.values():
            if "partial" in block:
                block["input"] = json.loads(block["partial"] or "{}") if reason else {}
        is_complete = answered.is_closed and bool(told) and told[-1]["type"] == "message_stop"
        return heard(list(blocks.values()), usage, reason, is_complete=is_complete, error=error)

    def error(self, told: Json) -> Heard:
        assert told["type"] == "error"
        message = told["error"]["message"]
        named = re.search(r"`([^`]+)`", message) or re.match(r"([\w.\[\]]+): ", message)
        return Heard(error=message, param=named[1] if named else None)


def add(block: Json, delta: Json) -> None:
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "input_json_delta":
            block["partial"] = block.get("partial", "") + delta["partial_json"]


def heard(blocks: list[Json], usage: Json, reason: str | None, *, is_complete: bool, error: str | None = None) -> Heard:
    read, written = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
    details: Mapping[str, Any] = usage.get("output_tokens_details") or {}
    counted = Tokens(
        prompt=(usage.get("input_tokens") or 0) + read + written,
        completion=usage.get("output_tokens") or 0,
        cached=read,
        reasoning=details.get("thinking_tokens", 0),
    )
    return Heard(
        text="".join(block["text"] for block in blocks if block["type"] == "text"),
        reasoning="".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        calls=tuple(
            Call(block["name"], block["input"], block["id"]) for block in blocks if block["type"] == "tool_use"
        ),
        tokens=counted,
        finish=FINISHES[reason] if reason else None,
        error=error,
        dropped=tuple(usage.get("farmgate_dropped", ())),
        is_complete=is_complete,
    )


CONTENT = r"messages\[\d+\]\.content"
ANTHROPIC_PLACES: Places = {
    Fact.SYSTEM: r"system(\[0\]\.text)?",
    Fact.USER: rf"{CONTENT}(\[0\]\.text)?",
    Fact.FIRST_ID: rf"{CONTENT}\[0\]\.id",
    Fact.FIRST_NAME: rf"{CONTENT}\[0\]\.name",
    Fact.FIRST_ARGUMENTS: rf"{CONTENT}\[0\]\.input",
    Fact.SECOND_ID: rf"{CONTENT}\[1\]\.id",
    Fact.SECOND_NAME: rf"{CONTENT}\[1\]\.name",
    Fact.SECOND_ARGUMENTS: rf"{CONTENT}\[1\]\.input",
    Fact.FIRST_ANSWERED: rf"{CONTENT}\[0\]\.tool_use_id",
    Fact.FIRST_RESULT: rf"{CONTENT}\[0\]\.content(\[0\]\.text)?",
    Fact.SECOND_ANSWERED: rf"{CONTENT}\[1\]\.tool_use_id",
    Fact.SECOND_RESULT: rf"{CONTENT}\[1\]\.content(\[0\]\.text)?",
    Fact.QUESTION: rf"{CONTENT}(\[\d\]\.text)?",
    Fact.IMAGE: rf"{CONTENT}\[\d\]\.source\.data",
    Fact.IMAGE_TYPE: rf"{CONTENT}\[\d\]\.source\.media_type",
    Fact.TOOL_NAME: r"tools\[0\]\.name",
    Fact.TOOL_DESCRIPTION: r"tools\[0\]\.description",
    Fact.TOOL_SCHEMA: r"tools\[0\]\.input_schema",
    Fact.SCHEMA: r"output_config\.format\.schema",
    Fact.EFFORT: (
        r"thinking\.budget_tokens|output_config\.effort",
        lambda told: told in (BUDGET, "high"),
    ),
    Fact.TEMPERATURE: r"temperature",
    Fact.MOST_TOKENS: r"max_tokens",
    Fact.STOP: r"stop_sequences\[0\]",
    Fact.TOP_P: r"top_p",
    Fact.TOP_K: r"top_k",
    Fact.END_USER: r"metadata\.user_id",
    Fact.CHOICE: r"tool_choice\.name",
    Fact.UNKNOWN: r"x_harbour",
}

PLAIN = Tokens(prompt=12, completion=9)
CALM = Told(text="The harbour is calm — 12 boats are in.", tokens=PLAIN)
LOOK = "I look at the tide table."
BREST = Call("tide", {"port": "Brest", "day": "2026-03-01"}, "toolu_01A09q90qw90lq917835lq9")
THREE = (
    Call("tide", {"port": "Brest"}, "toolu_01"),
    Call("tide", {"port": "Saint-Malo"}, "toolu_02"),
    Call("now", {}, "toolu_03"),
)
THOUGHT = Told(
    text="Twice a day.",
    reasoning="Tides come twice a day, so...",
    tokens=Tokens(prompt=30, completion=44, reasoning=31),
)
CACHED = Tokens(prompt=1233, completion=7, cached=1024)

ANTHROPIC = Provider(
    name="anthropic",
    title="Anthropic",
    form="Messages, `anthropic-version: 2023-06-01`",
    dialect="anthropic",
    model="claude-sonnet-4-5",
    entry={"apiKey": "sk-ant-canary-0123456789"},
    whole_at=b"event: message_stop",
    places=ANTHROPIC_PLACES,
    recordings={
        "text": Recording(file="anthropic/text.json", told=CALM),
        "stream": Recording(file="anthropic/stream.sse", told=CALM),
        "tools": Recording(
            file="anthropic/tools.json", told=Told(text=LOOK, calls=(BREST,), tokens=PLAIN, finish="tool_calls")
        ),
        "tools_stream": Recording(
            file="anthropic/tools_stream.sse",
            told=Told(text=LOOK, calls=(BREST,), tokens=Tokens(prompt=12, completion=41), finish="tool_calls"),
        ),
        "parallel_tools": Recording(
            file="anthropic/parallel_tools.json", told=Told(calls=THREE, tokens=PLAIN, finish="tool_calls")
        ),
        "parallel_tools_stream": Recording(
            file="anthropic/parallel_tools_stream.sse",
            told=Told(calls=THREE, tokens=Tokens(prompt=12, completion=60), finish="tool_calls"),
        ),
        "structured": Recording(
            file="anthropic/structured.json", told=Told(text='{"boats":12,"calm":true}', tokens=PLAIN)
        ),
        "reasoning": Recording(file="anthropic/reasoning.json", told=THOUGHT),
        "reasoning_stream": Recording(file="anthropic/reasoning_stream.sse", told=THOUGHT),
        "usage": Recording(file="anthropic/cached.json", told=Told(text="As I said: twelve.", tokens=CACHED)),
        "usage_stream": Recording(file="anthropic/cached_stream.sse", told=Told(text="Twelve.", tokens=CACHED)),
        "length": Recording(
            file="anthropic/max_tokens.json", told=Told(text="The harb", tokens=PLAIN, finish="length")
        ),
        "length_stream": Recording(
            file="anthropic/max_tokens_stream.sse", told=Told(text="The harb", tokens=PLAIN, finish="length")
        ),
        "filtered": Recording(file="anthropic/refusal.json", told=Told(tokens=PLAIN, finish="content_filter")),
        "error_429": Recording(
            file="anthropic/error_429.json", status=429, error="rate limit of 50 requests per minute"
        ),
        "error_400": Recording(file="anthropic/error_400.json", status=400, error="Field required"),
    },
)
