"""Ids of calls to functions: most of Google's models give none, and everybody else needs one."""

from __future__ import annotations

import re

__all__ = ["call_id", "is_ours"]

OURS = re.compile(r"call_[0-9a-f]{32}_\d+_\d+")


def call_id(request_id: str, choice: int, index: int) -> str:
    """An id of our own for the call at a place of an answer; `request_id` is 32 hexadecimal digits."""
    return f"call_{request_id}_{choice}_{index}"


def is_ours(id: str) -> bool:
    """Whether we made it up: the model does not know it then."""
    return OURS.fullmatch(id) is not None
