"""How much to think, as each maker's models on Bedrock are told it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from farmgate.core.words import Thinking
from farmgate.wire.bedrock.families import Family
from farmgate.wire.losses import Losses
from farmgate.wire.thinking import budget_of, effort_of

__all__ = ["Thinks", "Thought", "encode_thinking"]

LEAST_BUDGET = 1_024
HIGHEST: Mapping[str, str] = {"minimal": "low", "xhigh": "high", "max": "high"}


class Thinks(StrEnum):
    """How Claude is told: a budget of tokens (up to Opus 4.5), or adaptive with an effort (its later models)."""

    BUDGET = "budget"
    ADAPTIVE = "adaptive"


@dataclass(frozen=True, slots=True)
class Thought:
    """What goes into the model's own fields, and into `outputConfig`."""

    model: Mapping[str, object] = field(default_factory=dict)
    output: Mapping[str, object] = field(default_factory=dict)


NOTHING = Thought()


def encode_thinking(
    wanted: Thinking, family: Family, thinks: Thinks, *, max_tokens: int | None, losses: Losses
) -> Thought:
    """Nothing where the model's habit is what is wanted. A wish the model cannot be told is announced."""
    effort = wanted.effort or (None if wanted.budget_tokens is None else effort_of(wanted.budget_tokens))
    is_off = wanted.is_enabled is False or effort == "none"
    if wanted.is_shown is False and not is_off:
        losses.drop("thinking.display")
    match family:
        case Family.ANTHROPIC:
            return NOTHING if is_off else claude(wanted, effort, thinks, max_tokens, losses)
        case Family.NOVA:
            level = None if effort is None else HIGHEST.get(effort, effort)
            asked = {"type": "enabled"} | ({} if level is None else {"maxReasoningEffort": level})
            return NOTHING if is_off else Thought({"reasoningConfig": asked})
        case Family.OPENAI:
            if is_off:
                losses.drop("reasoning_effort")
            return NOTHING if is_off or effort is None else Thought({"reasoning_effort": HIGHEST.get(effort, effort)})
        case Family.COHERE | Family.MISTRAL | Family.OTHER:
            if not is_off:
                losses.drop("reasoning_effort")
            return NOTHING
        case _:
            assert_never(family)


def claude(wanted: Thinking, effort: str | None, thinks: Thinks, max_tokens: int | None, losses: Losses) -> Thought:
    if effort is None and wanted.is_enabled is None:
        return NOTHING
    if thinks is Thinks.ADAPTIVE:
        level = "low" if effort == "minimal" else effort
        return Thought({"thinking": {"type": "adaptive"}}, {} if level is None else {"effort": level})
    budget = wanted.budget_tokens
    if budget is None:
        budget = budget_of(effort or "medium")
        # A word is a wish: it gives way to the answer's length, which has to be larger than the budget.
        budget = budget if max_tokens is None else min(budget, max_tokens // 2)
        if budget < LEAST_BUDGET:
            losses.drop("reasoning_effort")
            return NOTHING
    return Thought({"thinking": {"type": "enabled", "budget_tokens": budget}})
