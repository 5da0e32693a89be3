"""How much a Gemini model thinks: the 2.5 models take a number of tokens, later ones a word, earlier ones neither.

Source: https://ai.google.dev/gemini-api/docs/thinking
"""

from __future__ import annotations

from collections.abc import Mapping

from farmgate.core.words import Thinking
from farmgate.wire.gemini.flavors import is_pro, version_of
from farmgate.wire.losses import Losses
from farmgate.wire.thinking import budget_of, effort_of

__all__ = ["encode_thinking"]

LEVELS: Mapping[str, str] = {
    "none": "minimal",
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
FIRST_THINKING = (2, 5)
FIRST_WITH_LEVELS = (3, 0)


def encode_thinking(thinking: Thinking | None, model: str, losses: Losses) -> dict[str, object] | None:
    """The `thinkingConfig`; None where nothing was asked for or the model cannot think.

    A model that cannot be kept from thinking thinks as little as it can, and that is announced.
    """
    if thinking is None:
        return None
    version = version_of(model)
    is_off = thinking.is_enabled is False or thinking.effort == "none" or thinking.budget_tokens == 0
    if version < FIRST_THINKING:
        if not is_off:
            losses.drop("reasoning_effort")
        return None
    told: dict[str, object] = {}
    if is_off:
        told = least(model, version, losses)
    elif version < FIRST_WITH_LEVELS:
        told = budget(thinking, model)
    else:
        told = level(thinking, model)
    # Whoever asks for thought means to see it, unless they say otherwise.
    is_shown = thinking.is_shown if thinking.is_shown is not None else thinking.is_enabled is True and not is_off
    if is_shown or thinking.is_shown is not None:
        told["includeThoughts"] = is_shown
    return told or None


def least(model: str, version: tuple[int, int], losses: Losses) -> dict[str, object]:
    if version < FIRST_WITH_LEVELS and not is_pro(model):
        return {"thinkingBudget": 0}
    losses.drop("reasoning_effort")
    if version < FIRST_WITH_LEVELS:
        return {"thinkingBudget": 128}
    return {"thinkingLevel": fitting("minimal", model)}


def budget(thinking: Thinking, model: str) -> dict[str, object]:
    tokens = thinking.budget_tokens
    if tokens is None:
        if thinking.effort is None:
            return {}
        tokens = budget_of(thinking.effort)
    return {"thinkingBudget": min(max(tokens, 512), 32_768 if is_pro(model) else 24_576)}


def level(thinking: Thinking, model: str) -> dict[str, object]:
    effort = thinking.effort
    if effort is None:
        if thinking.budget_tokens is None:
            return {}
        effort = effort_of(thinking.budget_tokens)
    return {"thinkingLevel": fitting(LEVELS.get(effort, "medium"), model)}


def fitting(word: str, model: str) -> str:
    """The nearest word the model knows: the large ones have no `minimal`, the first of them no `medium`."""
    if is_pro(model) and word == "minimal":
        return "low"
    if word == "medium" and "gemini-3-pro" in model:
        return "high"
    return word
