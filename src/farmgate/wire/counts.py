"""Counts of tokens as providers tell them: anything may stand where a number should."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["PLAUSIBLE_TOKENS", "detail", "tokens"]

PLAUSIBLE_TOKENS = 1 << 32


def tokens(told: object) -> int | None:
    """A count that can be one; None for anything else."""
    return told if type(told) is int and 0 <= told < PLAUSIBLE_TOKENS else None


def detail(told: Mapping[str, object], where: str, name: str) -> int:
    """A count among the details; 0 where there is none."""
    details = told.get(where)
    return (tokens(details.get(name)) or 0) if isinstance(details, dict) else 0
