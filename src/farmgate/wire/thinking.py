"""How much a model should think, in words and in tokens: some dialects say the one, some the other."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["EFFORTS", "budget_of", "effort_of"]

EFFORTS: Mapping[str, int] = {
    "none": 0,
    "minimal": 1_024,
    "low": 2_048,
    "medium": 8_192,
    "high": 16_384,
    "xhigh": 32_768,
    "max": 65_536,
}
"""Tokens each word stands for where a provider wants a number. Ours: no provider publishes its own."""


def budget_of(effort: str) -> int:
    """Tokens for a word; a word we do not know is taken as `medium`."""
    return EFFORTS.get(effort, EFFORTS["medium"])


def effort_of(budget_tokens: int) -> str:
    """The word for the largest budget that is not above this one."""
    return [word for word, tokens in EFFORTS.items() if tokens <= max(budget_tokens, 0)][-1]
