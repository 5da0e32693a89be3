"""OpenAI's usage object."""

from __future__ import annotations

import msgspec

from farmgate.core.event import Usage
from farmgate.wire.counts import PLAUSIBLE_TOKENS, detail, tokens

__all__ = ["decode_usage", "encode_usage"]


class Told(msgspec.Struct):
    """A usage object as nearly every provider sends it."""

    prompt_tokens: int
    completion_tokens: int = 0
    prompt_tokens_details: msgspec.Raw = msgspec.Raw(b"")
    completion_tokens_details: msgspec.Raw = msgspec.Raw(b"")


decode_told = msgspec.json.Decoder(Told).decode


def decode_usage(raw: bytes) -> Usage | None:
    """The tokens a provider reports; None where it reports nothing usable (null, negative, absurd)."""
    try:
        usual = decode_told(raw)
        plausible = 0 <= usual.prompt_tokens < PLAUSIBLE_TOKENS and 0 <= usual.completion_tokens < PLAUSIBLE_TOKENS
        if plausible and not bytes(usual.prompt_tokens_details) and not bytes(usual.completion_tokens_details):
            return Usage(prompt_tokens=usual.prompt_tokens, completion_tokens=usual.completion_tokens)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    return decode_unusual(raw)


def decode_unusual(raw: bytes) -> Usage | None:
    """A usage object with details, or one that is odd."""
    try:
        told = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if not isinstance(told, dict):
        return None
    prompt, completion = tokens(told.get("prompt_tokens")), tokens(told.get("completion_tokens") or 0)
    if prompt is None or completion is None:
        return None
    # DeepSeek tells what it had cached beside the details, not in them.
    cached = detail(told, "prompt_tokens_details", "cached_tokens") or tokens(told.get("prompt_cache_hit_tokens"))
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=cached or 0,
        reasoning_tokens=detail(told, "completion_tokens_details", "reasoning_tokens"),
    )


def encode_usage(usage: Usage, *, dropped: tuple[str, ...] = ()) -> dict[str, object]:
    """The object our callers see. `dropped`: what of their request the provider could not be told."""
    told: dict[str, object] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
    if usage.cached_tokens:
        told["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    if usage.reasoning_tokens:
        told["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    if dropped:
        told["farmgate_dropped"] = list(dropped)
    return told
