"""Cohere's error object, `{"message": "...", "id": "..."}`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from farmgate.core.errors import (
    ContextLengthExceeded,
    FarmError,
    ModelNotFound,
    Unavailable,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRefusedKey,
    UpstreamRejected,
    UpstreamTimeout,
)

__all__ = ["decode_error"]

MESSAGE_LIMIT = 2_000
TOO_LONG = ("too many tokens", "context length", "context limit", "exceeds the maximum", "exceeds the limit of")
CLIENT_CLOSED = 499
INVALID_TOKEN = 498


def decode_error(status: int, body: bytes, *, provider: str, model: str = "") -> FarmError:
    """What a status other than 200 means to our caller. Refused keys are told without Cohere's words."""
    if status in (401, 403):
        return UpstreamRefusedKey(
            f"{provider} refused the API key Farmgate is configured with (HTTP {status}). "
            f"Check ai.providers.{provider}.apiKey."
        )
    message = told(body)
    text = f"{provider}: {message[:MESSAGE_LIMIT]}" if message else f"{provider} answered HTTP {status}."
    if status == 400 and any(words in message.lower() for words in TOO_LONG) and "token" in message.lower():
        return ContextLengthExceeded(text)
    match status:
        case 404 if message and "model" in message.lower():
            return ModelNotFound(f"{provider} has no model {model!r}: check its name.", param="model")
        case 429:
            return UpstreamRateLimited(text)
        case 408 | 504:
            return UpstreamTimeout(text)
        case 503:
            return Unavailable(text)
    if 400 <= status < INVALID_TOKEN:
        return UpstreamRejected(text, status=status, type_="invalid_request_error", code=None)
    if status == INVALID_TOKEN:  # Its filter for poisonous prompts.
        return UpstreamRejected(text, status=400, type_="invalid_request_error", code="content_filter")
    return UpstreamError(text)


def told(body: bytes) -> str:
    """The message in an error's body; empty if there is none."""
    try:
        decoded: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    message = decoded.get("message") if isinstance(decoded, Mapping) else None
    return message if isinstance(message, str) else ""
