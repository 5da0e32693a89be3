"""OpenAI's Responses in the matrix: how its callers speak, and a provider that has them itself."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from tests.matrix.facts import Call, Fact, Feature, Heard, Tokens, Told
from tests.matrix.openai_rows import OPENAI, STRUCTURED
from tests.matrix.provider import Provider, Recording
from tests.matrix.surface import Answered, Json, Surface, asks, events, tokens, value
from tests.matrix.surfaces import calls_of, data_url
from tests.matrix.walking import Places

__all__ = ["NATIVE", "ResponsesSurface"]

INCOMPLETE = {"max_output_tokens": "length", "content_filter": "content_filter"}


class ResponsesSurface(Surface):
    """POST /v1/responses."""

    name = "responses"
    title = "OpenAI Responses"
    version = "`POST /v1/responses` as of 2025"
    dialect = "responses"
    last_words: ClassVar[int] = 2
    unsaid: ClassVar[frozenset[Fact]] = frozenset({Fact.STOP, Fact.TOP_K, Fact.SEED, Fact.PRESENCE, Fact.FREQUENCY})

    def path(self, *, stream: bool) -> str:
        return "/v1/responses"

    def body(self, feature: Feature, model: str, *, stream: bool) -> Json:
        told: Json = {"model": model, "instructions": value(Fact.SYSTEM), "input": self.items(feature), "store": False}
        if stream:
            told["stream"] = True
        if asks(feature, Fact.TEMPERATURE):
            told |= {"temperature": value(Fact.TEMPERATURE), "max_output_tokens": value(Fact.MOST_TOKENS)}
        if asks(feature, Fact.TOOL_NAME):
            tool = {"type": "function", "name": value(Fact.TOOL_NAME), "description": value(Fact.TOOL_DESCRIPTION)}
            told["tools"] = [tool | {"parameters": value(Fact.TOOL_SCHEMA), "strict": False}]
        if asks(feature, Fact.SCHEMA):
            named = {"type": "json_schema", "name": "entry", "schema": value(Fact.SCHEMA), "strict": True}
            told["text"] = {"format": named}
        if asks(feature, Fact.EFFORT):
            told["reasoning"] = {"effort": value(Fact.EFFORT), "summary": "auto"}
        if asks(feature, Fact.SEED):
            told |= {"top_p": value(Fact.TOP_P), "user": value(Fact.END_USER)}
        if asks(feature, Fact.CHOICE):
            told["tool_choice"] = {"type": "function", "name": value(Fact.CHOICE)}
        if asks(feature, Fact.UNKNOWN):
            told["x_harbour"] = value(Fact.UNKNOWN)
        return told

    def items(self, feature: Feature) -> list[Json]:
        told: list[Json] = []
        calls = calls_of(feature)
        if calls:
            told.append({"role": "user", "content": value(Fact.USER)})
            told += [
                {
                    "type": "function_call",
                    "call_id": value(call_id),
                    "name": value(name),
                    "arguments": json.dumps(value(arguments)),
                }
                for call_id, name, arguments, _, _ in calls
            ]
            told += [
                {"type": "function_call_output", "call_id": value(answered), "output": value(result)}
                for _, _, _, answered, result in calls
            ]
        content: list[Json] = [{"type": "input_text", "text": value(Fact.QUESTION)}]
        if asks(feature, Fact.IMAGE):
            content.append({"type": "input_image", "image_url": data_url()})
        return [*told, {"type": "message", "role": "user", "content": content}]

    def whole(self, told: Json) -> Heard:
        assert told["object"] == "response"
        output = told["output"]
        messages = [item for item in output if item["type"] == "message"]
        pieces = [part for message in messages for part in message["content"]]
        thoughts = [item for item in output if item["type"] == "reasoning"]
        calls = [item for item in output if item["type"] == "function_call"]
        finish = "tool_calls" if calls else "stop"
        if told["status"] == "incomplete":
            finish = INCOMPLETE[told["incomplete_details"]["reason"]]
        usage = told["usage"]
        return Heard(
            text="".join(part.get("text") or part.get("refusal") or "" for part in pieces),
            reasoning="".join(
                part["text"] for item in thoughts for part in (*(item.get("content") or ()), *item["summary"])
            ),
            calls=tuple(Call(item["name"], json.loads(item["arguments"]), item["call_id"]) for item in calls),
            tokens=tokens(usage, "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens"),
            finish=finish,
            dropped=tuple((usage or {}).get("farmgate_dropped", ())),
            is_complete=told["status"] in ("completed", "incomplete"),
        )

    def streamed(self, answered: Answered) -> Heard:
        told = [json.loads(data) for data in events(answered.body)]
        text = "".join(event["delta"] for event in told if event["type"] == "response.output_text.delta")
        last: dict[str, Any] = told[-1] if told else {"type": ""}
        match last["type"]:
            case "response.completed" | "response.incomplete" if answered.is_closed:
                heard = self.whole(last["response"])
                assert heard.text == text, "the pieces say what the whole says"
                return heard
            case "response.failed":
                return Heard(text=text, error=last["response"]["error"]["message"])
            case "error":
                return Heard(text=text, error=last["message"])
        return Heard(text=text)

    def error(self, told: Json) -> Heard:
        error = told["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return Heard(error=error["message"], param=error["param"])


ITEM = r"input\[\d+\]"
PLACES: Places = {
    Fact.SYSTEM: r"instructions",
    Fact.USER: rf"{ITEM}\.content",
    Fact.FIRST_ID: rf"{ITEM}\.call_id",
    Fact.FIRST_NAME: r"input\[1\]\.name",
    Fact.FIRST_ARGUMENTS: r"input\[1\]\.arguments",
    Fact.SECOND_ID: rf"{ITEM}\.call_id",
    Fact.SECOND_NAME: r"input\[2\]\.name",
    Fact.SECOND_ARGUMENTS: r"input\[2\]\.arguments",
    Fact.FIRST_ANSWERED: r"input\[[23]\]\.call_id",
    Fact.FIRST_RESULT: rf"{ITEM}\.output",
    Fact.SECOND_ANSWERED: r"input\[4\]\.call_id",
    Fact.SECOND_RESULT: rf"{ITEM}\.output",
    Fact.QUESTION: rf"{ITEM}\.content\[0\]\.text",
    Fact.IMAGE: rf"{ITEM}\.content\[1\]\.image_url",
    Fact.IMAGE_TYPE: rf"{ITEM}\.content\[1\]\.image_url",
    Fact.TOOL_NAME: r"tools\[0\]\.name",
    Fact.TOOL_DESCRIPTION: r"tools\[0\]\.description",
    Fact.TOOL_SCHEMA: r"tools\[0\]\.parameters",
    Fact.SCHEMA: r"text\.format\.schema",
    Fact.EFFORT: r"reasoning\.effort",
    Fact.TEMPERATURE: r"temperature",
    Fact.MOST_TOKENS: r"max_output_tokens",
    Fact.TOP_P: r"top_p",
    Fact.END_USER: r"user",
    Fact.CHOICE: r"tool_choice\.name",
    Fact.UNKNOWN: r"x_harbour",
}
MORNING = Told(text="Good morning, Zoë 🙂.", tokens=Tokens(prompt=12, completion=7, cached=8))
OSLO = Call("weather", {"city": "Oslo"}, "call_A1b2")
TOOLS = Told(calls=(OSLO,), tokens=Tokens(prompt=60, completion=20), finish="tool_calls")
BOTH = Told(
    calls=(OSLO, Call("weather", {"city": "Rome"}, "call_C3d4")),
    tokens=Tokens(prompt=60, completion=40),
    finish="tool_calls",
)
ODD = Told(
    text="It is odd.",
    reasoning="**Weighing**\n\nSeven is  odd.",
    tokens=Tokens(prompt=20, completion=90, reasoning=64),
)
ONCE = Told(text="Once upon", tokens=Tokens(prompt=9, completion=16), finish="length")

NATIVE = Provider(
    name="openai",
    title=OPENAI.title,
    dialect="responses",
    model=OPENAI.model,
    whole_at=b"event: response.completed",
    places=PLACES,
    recordings={
        "text": Recording(file="responses/text.json", told=MORNING),
        "stream": Recording(file="responses/stream.sse", told=MORNING),
        "tools": Recording(file="responses/tools.json", told=TOOLS),
        "tools_stream": Recording(file="responses/tools_stream.sse", told=TOOLS),
        "parallel_tools": Recording(file="responses/parallel_tools.json", told=BOTH),
        "parallel_tools_stream": Recording(file="responses/parallel_tools_stream.sse", told=BOTH),
        "structured": Recording(file="responses/structured.json", told=STRUCTURED),
        "reasoning": Recording(file="responses/reasoning.json", told=ODD),
        "reasoning_stream": Recording(file="responses/reasoning_stream.sse", told=ODD),
        "usage": Recording(file="responses/text.json", told=MORNING),
        "usage_stream": Recording(file="responses/stream.sse", told=MORNING),
        "length": Recording(file="responses/incomplete.json", told=ONCE),
        "length_stream": Recording(file="responses/incomplete_stream.sse", told=ONCE),
        "error_429": Recording(file="responses/error_429.json", status=429, error="Rate limit reached"),
        "error_400": Recording(file="responses/error_400.json", status=400, error="not supported with this model"),
    },
)
