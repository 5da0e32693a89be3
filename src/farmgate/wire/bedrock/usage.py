"""Converse's usage: what was read from and written to its cache is not among the input tokens."""

from __future__ import annotations

import msgspec

from farmgate.core.event import Usage
from farmgate.wire.counts import tokens

__all__ = ["ToldUsage", "usage_of"]


class ToldUsage(msgspec.Struct, rename="camel"):
    """Token counts as Converse tells them."""

    input_tokens: object = None
    output_tokens: object = None
    cache_read_input_tokens: object = None
    cache_write_input_tokens: object = None


def usage_of(told: ToldUsage | None) -> Usage | None:
    """None where nothing usable is told."""
    if told is None or tokens(told.input_tokens) is None:
        return None
    read = tokens(told.cache_read_input_tokens) or 0
    written = tokens(told.cache_write_input_tokens) or 0
    return Usage(
        prompt_tokens=(tokens(told.input_tokens) or 0) + read + written,
        completion_tokens=tokens(told.output_tokens) or 0,
        cached_tokens=read,
        cache_write_tokens=written,
    )
