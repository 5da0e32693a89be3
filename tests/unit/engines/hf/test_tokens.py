from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from farmgate.core.errors import BadRequest, NotSupported, UnsupportedParameter
from farmgate.engines.hf.speech import Plain, Understood
from farmgate.engines.hf.tokens import Tokens
from farmgate.engines.hf.words import Shown

HI = Shown(turns=({"role": "user", "content": "Hi"},))
TOOL = {"type": "function", "function": {"name": "f"}}


class FakeTokenizer:
    """Its tokens are characters; 1 stands before every text, and `<s>` is its name."""

    bos_token = "<s>"

    def __init__(self, template: Any = "plain") -> None:
        self.chat_template = template
        self.told: dict[str, Any] = {}

    def apply_chat_template(self, messages: list[dict[str, Any]], **told: Any) -> str:
        self.told = told
        if messages[0]["role"] == "system":
            raise ValueError("no\n  systems")
        tools = "[tools]" * ("tools" in told and "tools" in self.chat_template)
        return "<s>" + tools + "".join(message["content"] for message in messages)

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        return [1] * add_special_tokens + [ord(letter) for letter in text]

    def decode(self, ids: Sequence[int], **_: Any) -> str:
        return "".join(map(chr, ids))


def test_a_conversation_is_shown_behind_the_model_s_template() -> None:
    tokenizer = FakeTokenizer()
    assert Tokens(tokenizer).render(replace(HI, more={"date": "today"})) == "<s>Hi"
    assert tokenizer.told == {"tokenize": False, "add_generation_prompt": True, "date": "today"}


@pytest.mark.parametrize("template", [None, {}, {"tool_use": "x"}, ""])
def test_a_model_without_a_template_is_not_guessed_at(template: object) -> None:
    with pytest.raises(NotSupported, match="no chat template"):
        Tokens(FakeTokenizer(template)).render(HI)


def test_of_several_templates_the_default_is_taken() -> None:
    assert Tokens(FakeTokenizer({"default": "a", "rag": "b"})).template == "a"


def test_what_a_template_refuses_is_the_caller_s_to_mend() -> None:
    with pytest.raises(BadRequest, match="refuses this conversation: no systems"):
        Tokens(FakeTokenizer()).render(Shown(turns=({"role": "system", "content": "x"},)))


@pytest.mark.parametrize(
    ("template", "effort", "told"),
    [
        ("{{ enable_thinking }}", "none", {"enable_thinking": False}),
        ("{{ enable_thinking }}", "high", {"enable_thinking": True}),
        ("{{ reasoning_effort }}", "high", {"reasoning_effort": "high"}),
        ("plain", "none", {}),
    ],
)
def test_how_much_to_think_is_told_in_the_template_s_own_word(
    template: str, effort: str, told: dict[str, object]
) -> None:
    tokenizer = FakeTokenizer(template)
    Tokens(tokenizer).render(replace(HI, effort=effort))
    assert {name: tokenizer.told[name] for name in tokenizer.told if "think" in name or "effort" in name} == told


def test_a_template_without_a_word_for_it_cannot_be_told() -> None:
    with pytest.raises(UnsupportedParameter):
        Tokens(FakeTokenizer()).render(replace(HI, effort="high"))


def test_what_a_template_has_begun_is_counted_once() -> None:
    tokens = Tokens(FakeTokenizer())
    assert tokens.encode("ab", special=True) == [1, 97, 98]
    assert tokens.encode("ab", special=False) == [97, 98]
    assert len(tokens.count("<s>Hi", special=True)) == 5
    assert len(tokens.count("Hi", special=True)) == 3
    assert tokens.decode([97, 98]) == "ab"


class Reading(FakeTokenizer):
    """Its makers say how its answers are read."""

    def get_response_parser(self, **told: Any) -> dict[str, Any]:
        return told

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True, **_: Any) -> str:
        return f"special tokens: {not skip_special_tokens}"


def test_tools_are_shown_where_there_is_a_place_for_them_and_a_way_to_read_the_calls() -> None:
    assert Tokens(Reading("tools")).shows_tools
    assert Tokens(Reading("tools")).render(replace(HI, tools=(TOOL,))) == "<s>[tools]Hi"
    for tokenizer in (Reading("plain"), FakeTokenizer("tools"), Reading("")):
        tokens = Tokens(tokenizer)
        assert not tokens.shows_tools
    with pytest.raises(UnsupportedParameter, match="does not use tools"):
        Tokens(FakeTokenizer("tools")).render(replace(HI, tools=(TOOL,)))


def test_what_is_written_is_read_as_the_makers_say_and_else_as_it_stands() -> None:
    decode, speech = Tokens(FakeTokenizer()).reading("p", HI)
    assert isinstance(speech, Plain)
    assert decode([97]) == "a"
    decode, speech = Tokens(Reading("tools")).reading("p", replace(HI, tools=(TOOL,)))
    assert isinstance(speech, Understood)
    assert speech._parser == {"prefix": "p", "tools": [TOOL]}
    assert decode([1]) == "special tokens: True"
    assert Tokens(Reading("tools")).decode([1]) == "special tokens: False"
