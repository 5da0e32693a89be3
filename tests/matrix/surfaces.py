"""How OpenAI's chat, Ollama's and Farmgate's own are spoken by their callers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from tests.matrix.facts import CALLS, Call, Fact, Feature, Heard, Tokens
from tests.matrix.surface import Answered, Json, Surface, asks, events, tokens, value

__all__ = ["FarmSurface", "OllamaSurface", "OpenAISurface"]


SAMPLING = {
    "top_p": Fact.TOP_P,
    "seed": Fact.SEED,
    "presence_penalty": Fact.PRESENCE,
    "frequency_penalty": Fact.FREQUENCY,
}


def data_url() -> str:
    return f"data:{value(Fact.IMAGE_TYPE)};base64,{value(Fact.IMAGE)}"


def openai_tool() -> Json:
    function = {
        "name": value(Fact.TOOL_NAME),
        "description": value(Fact.TOOL_DESCRIPTION),
        "parameters": value(Fact.TOOL_SCHEMA),
    }
    return {"type": "function", "function": function}


def calls_of(feature: Feature) -> list[tuple[Fact, ...]]:
    """The calls in this feature's conversation: name, arguments and result of each."""
    return [call for call in CALLS if asks(feature, call[0])]


class OpenAISurface(Surface):
    """POST /v1/chat/completions."""

    name = "openai"
    title = "OpenAI Chat Completions"
    version = "`POST /v1/chat/completions` as of 2025"
    dialect = "openai"
    unsaid: ClassVar[frozenset[Fact]] = frozenset({Fact.TOP_K})

    def path(self, *, stream: bool) -> str:
        return "/v1/chat/completions"

    def body(self, feature: Feature, model: str, *, stream: bool) -> Json:
        told: Json = {"model": model, "messages": self.messages(feature)}
        if stream:
            told |= {"stream": True, "stream_options": {"include_usage": True}}
        if asks(feature, Fact.TEMPERATURE):
            told |= {"temperature": value(Fact.TEMPERATURE), "max_tokens": value(Fact.MOST_TOKENS)}
        if asks(feature, Fact.TOOL_NAME):
            told |= {"tools": [openai_tool()], "tool_choice": "auto"}
        if asks(feature, Fact.SCHEMA):
            named = {"name": "entry", "schema": value(Fact.SCHEMA), "strict": True}
            told["response_format"] = {"type": "json_schema", "json_schema": named}
        if asks(feature, Fact.EFFORT):
            told["reasoning_effort"] = value(Fact.EFFORT)
        if asks(feature, Fact.STOP):
            told["stop"] = [value(Fact.STOP)]
        if asks(feature, Fact.SEED):
            told |= {name: value(fact) for name, fact in SAMPLING.items()} | {"user": value(Fact.END_USER)}
        if asks(feature, Fact.CHOICE):
            told["tool_choice"] = {"type": "function", "function": {"name": value(Fact.CHOICE)}}
        if asks(feature, Fact.UNKNOWN):
            told["x_harbour"] = value(Fact.UNKNOWN)
        return told

    def messages(self, feature: Feature) -> list[Json]:
        told: list[Json] = [{"role": "system", "content": value(Fact.SYSTEM)}]
        calls = calls_of(feature)
        if calls:
            made = [
                {
                    "id": value(call_id),
                    "type": "function",
                    "function": {"name": value(name), "arguments": json.dumps(value(arguments))},
                }
                for call_id, name, arguments, _, _ in calls
            ]
            told.append({"role": "user", "content": value(Fact.USER)})
            told.append({"role": "assistant", "content": None, "tool_calls": made})
            told += [
                {"role": "tool", "tool_call_id": value(answered), "content": value(result)}
                for _, _, _, answered, result in calls
            ]
        question: object = value(Fact.QUESTION)
        if asks(feature, Fact.IMAGE):
            image = {"type": "image_url", "image_url": {"url": data_url()}}
            question = [{"type": "text", "text": question}, image]
        return [*told, {"role": "user", "content": question}]

    def whole(self, told: Json) -> Heard:
        (choice,) = told["choices"]
        return self.heard([choice["message"]], told.get("usage"), choice["finish_reason"], is_complete=True)

    def streamed(self, answered: Answered) -> Heard:
        frames = list(events(answered.body))
        chunks = [json.loads(frame) for frame in frames if frame != "[DONE]"]
        error = next((chunk["error"]["message"] for chunk in chunks if "error" in chunk), None)
        choices = [chunk["choices"][0] for chunk in chunks if chunk.get("choices")]
        usage = next((chunk["usage"] for chunk in chunks if chunk.get("usage")), None)
        finish = next((choice["finish_reason"] for choice in choices if choice.get("finish_reason")), None)
        is_complete = frames[-1:] == ["[DONE]"] and answered.is_closed
        return self.heard([choice["delta"] for choice in choices], usage, finish, is_complete=is_complete, error=error)

    def heard(
        self,
        messages: Iterable[Json],
        usage: Json | None,
        finish: str | None,
        *,
        is_complete: bool,
        error: str | None = None,
    ) -> Heard:
        texts: list[str] = []
        thoughts: list[str] = []
        calls: dict[int, dict[str, Any]] = {}
        for message in messages:
            texts.append(message.get("content") or message.get("refusal") or "")
            thoughts.append(message.get("reasoning_content") or message.get("reasoning") or "")
            for at, call in enumerate(message.get("tool_calls") or ()):
                begun = calls.setdefault(call.get("index", at), {"id": None, "name": "", "arguments": ""})
                begun["id"] = begun["id"] or call.get("id")
                begun["name"] = begun["name"] or call["function"].get("name") or ""
                begun["arguments"] += call["function"].get("arguments") or ""
        return Heard(
            text="".join(texts),
            reasoning="".join(thoughts),
            calls=tuple(
                Call(call["name"], json.loads(call["arguments"] or "{}") if is_complete else {}, call["id"])
                for _, call in sorted(calls.items())
            ),
            tokens=tokens(usage, "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens"),
            finish=finish,
            error=error,
            dropped=tuple((usage or {}).get("farmgate_dropped", ())),
            is_complete=is_complete,
        )

    def error(self, told: Json) -> Heard:
        error = told["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return Heard(error=error["message"], param=error["param"])


class OllamaSurface(Surface):
    """POST /api/chat."""

    name = "ollama"
    title = "Ollama /api/chat"
    version = "`POST /api/chat` as of Ollama 0.12"
    dialect = "ollama"
    unsaid: ClassVar[frozenset[Fact]] = frozenset({Fact.END_USER})
    untold: ClassVar[Mapping[str, str]] = {
        "cached tokens": "its last line counts the prompt and the answer, and nothing of them apart",
        "reasoning tokens": "its last line counts the prompt and the answer, and nothing of them apart",
    }

    def path(self, *, stream: bool) -> str:
        return "/api/chat"

    def body(self, feature: Feature, model: str, *, stream: bool) -> Json:
        told: Json = {"model": model, "messages": self.messages(feature), "stream": stream}
        options: Json = {}
        if asks(feature, Fact.TEMPERATURE):
            options |= {"temperature": value(Fact.TEMPERATURE), "num_predict": value(Fact.MOST_TOKENS)}
        if asks(feature, Fact.STOP):
            options["stop"] = [value(Fact.STOP)]
        if asks(feature, Fact.SEED):
            options |= {name: value(fact) for name, fact in SAMPLING.items()} | {"top_k": value(Fact.TOP_K)}
        if options:
            told["options"] = options
        if asks(feature, Fact.TOOL_NAME):
            told["tools"] = [openai_tool()]
        if asks(feature, Fact.SCHEMA):
            told["format"] = value(Fact.SCHEMA)
        if asks(feature, Fact.EFFORT):
            told["think"] = value(Fact.EFFORT)
        if asks(feature, Fact.CHOICE):
            # Not among Ollama's own fields; clients that know OpenAI's send it all the same.
            told["tool_choice"] = {"type": "function", "function": {"name": value(Fact.CHOICE)}}
        if asks(feature, Fact.UNKNOWN):
            told["x_harbour"] = value(Fact.UNKNOWN)
        return told

    def messages(self, feature: Feature) -> list[Json]:
        told: list[Json] = [{"role": "system", "content": value(Fact.SYSTEM)}]
        calls = calls_of(feature)
        if calls:
            made = [
                {"id": value(call_id), "function": {"index": at, "name": value(name), "arguments": value(arguments)}}
                for at, (call_id, name, arguments, _, _) in enumerate(calls)
            ]
            told.append({"role": "user", "content": value(Fact.USER)})
            told.append({"role": "assistant", "content": "", "tool_calls": made})
            told += [
                {
                    "role": "tool",
                    "tool_call_id": value(answered),
                    "tool_name": value(name),
                    "content": value(result),
                }
                for _, name, _, answered, result in calls
            ]
        question: Json = {"role": "user", "content": value(Fact.QUESTION)}
        if asks(feature, Fact.IMAGE):
            question["images"] = [value(Fact.IMAGE)]
        return [*told, question]

    def whole(self, told: Json) -> Heard:
        return self.heard([told])

    def streamed(self, answered: Answered) -> Heard:
        heard = self.heard([json.loads(line) for line in answered.body.splitlines()])
        return heard if answered.is_closed else Heard(text=heard.text, error=heard.error)

    def heard(self, lines: list[Json]) -> Heard:
        said = [line["message"] for line in lines if "message" in line]
        calls = [call for message in said for call in message.get("tool_calls") or ()]
        last: Json = next((line for line in lines if line.get("done")), {})
        finish = last.get("done_reason")
        counts = Tokens(prompt=last.get("prompt_eval_count", 0), completion=last.get("eval_count", 0))
        return Heard(
            text="".join(message.get("content") or "" for message in said),
            reasoning="".join(message.get("thinking") or "" for message in said),
            calls=tuple(
                Call(call["function"]["name"], call["function"]["arguments"], call.get("id")) for call in calls
            ),
            tokens=counts if counts != Tokens() else None,
            # Ollama says `stop` where tools are called.
            finish="tool_calls" if finish == "stop" and calls else finish,
            error=next((line["error"] for line in lines if "error" in line), None),
            dropped=tuple(last.get("farmgate_dropped", ())),
            is_complete=bool(last),
        )

    def error(self, told: Json) -> Heard:
        assert set(told) == {"error"}
        named = re.search(r"`([^`]+)`", told["error"])
        return Heard(error=told["error"], param=named[1] if named else None)


class FarmSurface(Surface):
    """POST /api/ai/chat and /api/ai/chat/stream."""

    name = "farmgate"
    title = "Farmgate /api/ai/chat"
    version = "as in [openapi.json](openapi.json)"
    dialect = "farmgate"
    unsaid: ClassVar[frozenset[Fact]] = frozenset({Fact.END_USER, Fact.TOP_K})

    def path(self, *, stream: bool) -> str:
        return "/api/ai/chat/stream" if stream else "/api/ai/chat"

    def body(self, feature: Feature, model: str, *, stream: bool) -> Json:
        told: Json = {"model": model, "messages": self.messages(feature)}
        if asks(feature, Fact.TEMPERATURE):
            told |= {"temperature": value(Fact.TEMPERATURE), "maxTokens": value(Fact.MOST_TOKENS)}
        if asks(feature, Fact.TOOL_NAME):
            told["tools"] = [openai_tool()]
        if asks(feature, Fact.SCHEMA):
            told["responseFormat"] = {"type": "json_schema", "schema": value(Fact.SCHEMA)}
        if asks(feature, Fact.EFFORT):
            told["reasoningEffort"] = value(Fact.EFFORT)
        if asks(feature, Fact.STOP):
            told["stop"] = [value(Fact.STOP)]
        if asks(feature, Fact.SEED):
            told |= {"topP": value(Fact.TOP_P), "seed": value(Fact.SEED)}
            told |= {"presencePenalty": value(Fact.PRESENCE), "frequencyPenalty": value(Fact.FREQUENCY)}
        if asks(feature, Fact.UNKNOWN):
            told["x_harbour"] = value(Fact.UNKNOWN)
        return told

    def messages(self, feature: Feature) -> list[Json]:
        question: object = value(Fact.QUESTION)
        if asks(feature, Fact.IMAGE):
            image = {"type": "image_url", "imageUrl": {"url": data_url()}}
            question = [{"type": "text", "text": question}, image]
        return [{"role": "system", "content": value(Fact.SYSTEM)}, {"role": "user", "content": question}]

    def whole(self, told: Json) -> Heard:
        return heard_farm(told["response"], told, is_complete=True)

    def streamed(self, answered: Answered) -> Heard:
        frames = list(events(answered.body))
        pieces = [json.loads(frame) for frame in frames if frame != "[DONE]"]
        text = "".join(piece.get("content") or "" for piece in pieces)
        last = pieces[-1] if pieces else {}
        error = last["error"]["message"] if "error" in last else None
        is_complete = frames[-1:] == ["[DONE]"] and answered.is_closed
        return heard_farm(text, last, is_complete=is_complete, error=error)

    def error(self, told: Json) -> Heard:
        error = told["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return Heard(error=error["message"], param=error["param"])


def heard_farm(text: str, told: Mapping[str, Any], *, is_complete: bool, error: str | None = None) -> Heard:
    usage = told.get("usage")
    counts = None
    if usage is not None and not usage.get("estimated"):
        counts = Tokens(
            prompt=usage["promptTokens"],
            completion=usage["completionTokens"],
            cached=usage.get("cachedTokens", 0),
            reasoning=usage.get("reasoningTokens", 0),
        )
    return Heard(
        text=text,
        tokens=counts,
        finish=told.get("finishReason"),
        error=error,
        dropped=tuple((usage or {}).get("dropped", ())),
        is_complete=is_complete,
    )
