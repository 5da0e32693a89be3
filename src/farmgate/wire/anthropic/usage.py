"""Anthropic's usage object. Its `input_tokens` leave out what the cache gave or took; ours include both."""

from __future__ import annotations

import msgspec

from farmgate.core.event import Usage
from farmgate.wire.counts import tokens

__all__ = ["ToldUsage", "decode_usage", "encode_usage"]


class ToldUsage(msgspec.Struct):
    """Tokens as a provider tells them; anything may stand where a number should."""

    input_tokens: object = None
    output_tokens: object = None
    cache_creation_input_tokens: object = None
    cache_read_input_tokens: object = None
    output_tokens_details: object = None


NOTHING = ToldUsage()


def decode_usage(told: ToldUsage | None, before: ToldUsage | None = None) -> Usage | None:
    """The tokens of an answer; None where nothing usable is told.

    `before`: what the beginning of a stream told. Later figures are totals, and stand for those they repeat.
    """
    last, first = told or NOTHING, before or NOTHING

    def count(name: str) -> int | None:
        later = tokens(getattr(last, name))
        return tokens(getattr(first, name)) if later is None else later

    fresh, completion = count("input_tokens"), count("output_tokens")
    if fresh is None and completion is None:
        return None
    written, cached = count("cache_creation_input_tokens") or 0, count("cache_read_input_tokens") or 0
    return Usage(
        prompt_tokens=(fresh or 0) + written + cached,
        completion_tokens=completion or 0,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=thinking(last) or thinking(first),
    )


def thinking(told: ToldUsage) -> int:
    details = told.output_tokens_details
    return (tokens(details.get("thinking_tokens")) or 0) if isinstance(details, dict) else 0


def encode_usage(usage: Usage, *, dropped: tuple[str, ...] = ()) -> dict[str, object]:
    """The object our callers see. `dropped`: what of their request the provider could not be told."""
    apart = usage.cached_tokens + usage.cache_write_tokens
    told: dict[str, object] = {
        "input_tokens": max(usage.prompt_tokens - apart, 0),
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
    }
    if usage.reasoning_tokens:
        told["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    if usage.estimated:
        told["farmgate_estimated"] = True
    if dropped:
        told["farmgate_dropped"] = list(dropped)
    return told
