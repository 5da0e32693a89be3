"""Converse's usage: what was read from and written to its cache is not among the input tokens."""

from __future__ import annotations

import msgspec

from farmgate.core.reply import Usage

__all__ = ["ToldUsage", "believable", "usage_of"]

PLAUSIBLE_TOKENS = 1 << 32


class ToldUsage(msgspec.Struct, rename="camel"):
    """Token counts as Converse tells them."""

    input_tokens: object = None
    output_tokens: object = None
    cache_read_input_tokens: object = None
    cache_write_input_tokens: object = None


def usage_of(told: ToldUsage | None) -> Usage | None:
    """None where nothing usable is told."""
    if told is None or believable(told.input_tokens) is None:
        return None
    read = believable(told.cache_read_input_tokens) or 0
    written = believable(told.cache_write_input_tokens) or 0
    return Usage(
        prompt_tokens=(believable(told.input_tokens) or 0) + read + written,
        completion_tokens=believable(told.output_tokens) or 0,
        cached_tokens=read,
        cache_write_tokens=written,
    )


def believable(count: object) -> int | None:
    """A count of tokens, if it can be one."""
    return count if type(count) is int and 0 <= count < PLAUSIBLE_TOKENS else None
