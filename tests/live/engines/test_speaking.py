"""Thinking and tool calls are read out of what a model writes, where its makers say how."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.live.engines.reference import Reference
from tests.live.engines.running import MODELS, Running, asked, starting
from tools.guide_model.words import entries

from farmgate.core.event import Part, Reasoning, Text, ToolDelta
from farmgate.engines.hf.speech import Speech
from farmgate.engines.hf.tokens import Tokens
from farmgate.engines.hf.words import Shown

TEMPLATE = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|im_start|>assistant\n",
    "fields": {
        "thinking": {"open": "<think>", "close": "</think>", "content": "text"},
        "tool_calls": {
            "open": "<tool_call>",
            "close": "</tool_call>",
            "repeats": True,
            "content": "json",
            "transform": {"type": "function", "function": "{content}"},
        },
        "content": {"close": "<|im_end|>", "content": "text"},
    },
}
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Looks something up.",
        "parameters": {"type": "object", "properties": {"what": {"type": "string"}}},
    },
}
SHOWN = Shown(turns=({"role": "user", "content": "Hi"},), tools=(TOOL,))
CALL = '<tool_call>\n{"name": "look_up", "arguments": {"what": "the sea"}}\n</tool_call>'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guide, whose template now has a place for tools, and whose answers are read by a response template."""
    at = tmp_path_factory.mktemp("models") / "speaking"
    shutil.copytree(MODELS / "guide-1", at)
    told = json.loads((at / "tokenizer_config.json").read_text())
    (at / "tokenizer_config.json").write_text(json.dumps(told | {"response_template": TEMPLATE}))
    template = (at / "chat_template.jinja").read_text()
    (at / "chat_template.jinja").write_text("{% if tools %}[{{ tools | tojson }}]\n{% endif %}" + template)
    return at


@pytest.fixture(scope="module")
def speaking(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with starting(folder, tmp_path_factory.mktemp("logs")) as running:
        yield running


def speech_of(folder: Path) -> Speech:
    tokens = Tokens(Reference(folder).tokenizer)
    assert tokens.shows_tools
    prompt = tokens.render(SHOWN)
    assert "look_up" in prompt
    _, speech = tokens.reading(prompt, SHOWN)
    return speech


def parts_of(speech: Speech, pieces: list[str]) -> list[Part]:
    return [*speech.begin(), *(part for piece in pieces for part in speech.feed(piece)), *speech.end()]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_in_any_pieces_thinking_the_answer_and_the_call_are_told_apart(folder: Path, size: int) -> None:
    text = f"<think>so</think>I will look.{CALL}"
    parts = parts_of(speech_of(folder), [text[at : at + size] for at in range(0, len(text), size)])
    assert "".join(part.text for part in parts if isinstance(part, Reasoning)) == "so"
    assert "".join(part.text for part in parts if isinstance(part, Text)).strip() == "I will look."
    (call,) = (part for part in parts if isinstance(part, ToolDelta))
    assert (call.name, json.loads(call.arguments)) == ("look_up", {"what": "the sea"})


@pytest.mark.parametrize("text", ["<tool_call>{no json}</tool_call>", CALL[:40]])
def test_what_is_no_call_is_not_lost(folder: Path, text: str) -> None:
    parts = parts_of(speech_of(folder), list(text))
    assert not any(isinstance(part, ToolDelta) for part in parts)
    shown = "".join(part.text for part in parts if isinstance(part, Text))
    assert "json" in shown or "look_up" in shown


def test_an_answer_without_either_is_what_it_was(speaking: Running) -> None:
    _, props = speaking.call("GET", "/props")
    assert props["chat_template_caps"] == {"supports_tools": True}
    for entry in entries(1)[:60:20]:
        assert speaking.said(entry.question).strip() == entry.answer
        frames: list[Any] = speaking.frames("/v1/chat/completions", asked(entry.question))
        assert "".join(frame["choices"][0]["delta"].get("content", "") for frame in frames).strip() == entry.answer


def test_a_model_that_is_shown_tools_answers(speaking: Running) -> None:
    told = speaking.chat("How do I get a model?", tools=[TOOL], max_tokens=200)
    assert told["choices"][0]["finish_reason"] in ("stop", "length")
    assert told["usage"]["prompt_tokens"] > speaking.chat("How do I get a model?")["usage"]["prompt_tokens"]
    status, error = speaking.call("POST", "/v1/chat/completions", asked("x", tools=[TOOL], tool_choice="required"))
    assert (status, error["error"]["param"]) == (400, "tool_choice")


def test_a_model_that_was_not_made_for_them_says_so(guide: Running) -> None:
    status, told = guide.call("POST", "/v1/chat/completions", asked("x", tools=[TOOL]))
    assert (status, told["error"]["code"], told["error"]["param"]) == (400, "unsupported_parameter", "tools")
