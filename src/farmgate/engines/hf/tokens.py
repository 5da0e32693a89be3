"""A model's tokenizer and its chat template: conversations and texts as tokens, tokens as text."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from farmgate.core.errors import BadRequest, NotSupported, UnsupportedParameter
from farmgate.engines.hf.pieces import Decode
from farmgate.engines.hf.speech import Plain, Speech, Understood
from farmgate.engines.hf.words import Shown

__all__ = ["Tokens"]

NO_TEMPLATE = (
    "This model has no chat template, so that there is no right way to show it a conversation: "
    "ask /v1/completions, or use a model that was made for chat."
)

NO_TOOLS = (
    "This model does not use tools here: its chat template has no place for them, or its makers do not say how its "
    "calls are read (a response template). Leave them out, or name a model that was made for tools."
)
SAMPLE = [{"role": "user", "content": "Hi"}]
SAMPLE_FUNCTION = {"name": "look_up", "description": "x", "parameters": {"type": "object", "properties": {}}}
SAMPLE_TOOL = {"type": "function", "function": SAMPLE_FUNCTION}


class Tokens:
    """Asked from one thread, but to decode, which another has to itself: a tokenizer cannot be shared."""

    def __init__(self, tokenizer: Any) -> None:
        self._encoding = tokenizer
        self._decoding = copy.deepcopy(tokenizer)
        self._template = template_of(tokenizer)
        self._is_understood = is_understood(tokenizer)
        self.shows_tools = bool(self._template) and self._is_understood and shows_tools(tokenizer)
        """Whether the model is shown tools, and its calls are read out of what it writes."""

    @property
    def template(self) -> str:
        """Empty where there is none."""
        return self._template

    def render(self, shown: Shown) -> str:
        """What the model is shown of a conversation. Raises BadRequest where its template refuses it."""
        if not self._template:
            raise NotSupported(NO_TEMPLATE, param="messages")
        if shown.tools and not self.shows_tools:
            raise UnsupportedParameter(NO_TOOLS, param="tools")
        told = {**shown.more, **self._thinking(shown.effort)}
        if shown.tools:
            told["tools"] = [dict(tool) for tool in shown.tools]
        try:
            text = self._encoding.apply_chat_template(
                [dict(turn) for turn in shown.turns], tokenize=False, add_generation_prompt=True, **told
            )
        except Exception as error:
            # A template is a program of somebody else's: what it says is for the caller.
            why = " ".join(str(error).split())[:300]
            raise BadRequest(f"The model's chat template refuses this conversation: {why}", param="messages") from error
        return str(text)

    def reading(self, prompt: str, shown: Shown) -> tuple[Decode, Speech]:
        """How what the model writes behind `prompt` becomes text, and what that means. `shown` became the prompt."""
        if not self._is_understood:
            return self.decode, Plain()
        tools = [dict(tool) for tool in shown.tools] or None
        return self.decode_all, Understood(self._encoding.get_response_parser(prefix=prompt, tools=tools))

    def encode(self, text: str, *, special: bool) -> list[int]:
        """`special`: with the tokens that stand around a text of its own. A template writes them itself."""
        ids = self._encoding.encode(text, add_special_tokens=special)
        return [int(each) for each in ids]

    def count(self, text: str, *, special: bool) -> list[int]:
        """Like `encode`, but a text that begins as a template begins it is not begun twice: so counts `/tokenize`."""
        begin = self._encoding.bos_token
        return self.encode(text, special=special and not (begin and text.startswith(begin)))

    def decode(self, ids: Sequence[int]) -> str:
        """Without special tokens, and without tidying up spaces."""
        return str(self._decoding.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def decode_all(self, ids: Sequence[int]) -> str:
        """With special tokens: they may be what tells thinking and calls from the answer."""
        return str(self._decoding.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def _thinking(self, effort: str | None) -> dict[str, object]:
        """How templates are told to think less or more: whichever of the two words this one knows."""
        if effort is None:
            return {}
        if "enable_thinking" in self._template:
            return {"enable_thinking": effort != "none"}
        if "reasoning_effort" in self._template:
            return {"reasoning_effort": effort}
        if effort == "none":
            return {}
        raise UnsupportedParameter(
            "This model's chat template cannot be told how much to think: leave `reasoning_effort` out.",
            param="reasoning_effort",
        )


def template_of(tokenizer: Any) -> str:
    """Of several named ones, the default."""
    told = getattr(tokenizer, "chat_template", None)
    if isinstance(told, Mapping):
        told = told.get("default")
    return told if isinstance(told, str) else ""


def is_understood(tokenizer: Any) -> bool:
    """Whether there is a response template for it."""
    try:
        tokenizer.get_response_parser(prefix="")
    except Exception:  # noqa: BLE001 - without one it raises, and older versions know none
        return False
    return True


def shows_tools(tokenizer: Any) -> bool:
    """Whether a conversation looks otherwise with a tool than without."""
    try:
        without, with_one = (
            tokenizer.apply_chat_template(SAMPLE, tokenize=False, add_generation_prompt=True, **told)
            for told in ({}, {"tools": [SAMPLE_TOOL]})
        )
    except Exception:  # noqa: BLE001 - a template that cannot be shown one has no place for it
        return False
    return bool(without != with_one)
