"""What each generation of Claude takes, read off its name: how much to think is said as a word or in tokens."""

from __future__ import annotations

import re

__all__ = ["takes_budgets", "takes_effort", "takes_sampling"]

# claude-3-7-sonnet-20250219, claude-opus-4-6, claude-sonnet-4-5@20250929, anthropic.claude-opus-4-6-v1:0
NUMBERS = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?![0-9])", re.IGNORECASE)
LATEST = (99, 0)
FIRST_WITH_EFFORT = (4, 6)
FIRST_WITHOUT_BUDGETS = (4, 7)


def generation(model: str) -> tuple[int, int]:
    """Major and minor number; a name without numbers is taken for one of the latest."""
    found = NUMBERS.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else LATEST


def takes_effort(model: str) -> bool:
    """Whether `thinking: adaptive` and `output_config.effort` are known.

    Source: https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking
    """
    return generation(model) >= FIRST_WITH_EFFORT


def takes_budgets(model: str) -> bool:
    """Whether `thinking.budget_tokens` is known."""
    return generation(model) < FIRST_WITHOUT_BUDGETS


def takes_sampling(model: str) -> bool:
    """Whether temperature and top_p are known; later models answer 400 to them, even where they ask for nothing."""
    return generation(model) < FIRST_WITHOUT_BUDGETS
