"""What an answer cost, as Google counts: thoughts beside the answer, a tool's own prompt beside the prompt."""

from __future__ import annotations

import msgspec

from farmgate.core.event import Usage
from farmgate.wire.counts import tokens

__all__ = ["decode_usage"]

EMPTY = (b"", b"null", b"{}")


class Told(msgspec.Struct, rename="camel"):
    """`usageMetadata`; a count that is 0 is often left out."""

    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None


decode_told = msgspec.json.Decoder(Told).decode


def decode_usage(raw: bytes) -> Usage | None:
    """The tokens in a `usageMetadata`; None where it tells nothing usable."""
    if raw in EMPTY:
        return None
    try:
        told = decode_told(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    prompt = (tokens(told.prompt_token_count) or 0) + (tokens(told.tool_use_prompt_token_count) or 0)
    thoughts = tokens(told.thoughts_token_count) or 0
    completion = (tokens(told.candidates_token_count) or 0) + thoughts
    if not prompt and not completion:
        return None
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=min(tokens(told.cached_content_token_count) or 0, prompt),
        reasoning_tokens=thoughts,
    )
