"""Triton's error object, `{"error": "..."}`, as a status's body or as an event of a stream."""

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

__all__ = ["decode_error", "error_of"]

MESSAGE_LIMIT = 2_000
TOO_LONG = (
    "exceeds maximum input length",
    "exceed max input length",
    "maximum context length",
    "longer than the maximum",
)
NO_MODEL = ("unknown model", "is not found", "has no available versions", "failed to find model")
FULL = ("exceeds maximum queue size", "queue is full")


def decode_error(status: int, body: bytes, *, provider: str, model: str = "") -> FarmError:
    """What a status other than 200 means to our caller."""
    if status in (401, 403):
        return UpstreamRefusedKey(
            f"{provider} refused access (HTTP {status}). Check ai.providers.{provider}.apiKey and headers."
        )
    return error_of(status, told(body), provider=provider, model=model)


def error_of(status: int, message: str, *, provider: str, model: str = "") -> FarmError:
    """What a message means that came under that status, or under 200 in the middle of a stream (as 500)."""
    text = f"{provider}: {message[:MESSAGE_LIMIT]}" if message else f"{provider} answered HTTP {status}."
    small = message.lower()
    if any(words in small for words in TOO_LONG):
        return ContextLengthExceeded(text)
    if status in (400, 404) and any(words in small for words in NO_MODEL):
        return ModelNotFound(f"{provider} does not have the model {model!r}, or not that version of it.", param="model")
    if status == 503 or any(words in small for words in FULL):
        return Unavailable(text)
    match status:
        case 429:
            return UpstreamRateLimited(text)
        case 408 | 504:
            return UpstreamTimeout(text)
    if 400 <= status < 500:
        return UpstreamRejected(text, status=status, type_="invalid_request_error", code=None)
    return UpstreamError(text)


def told(body: bytes) -> str:
    """The message in an error's body; empty if there is none."""
    try:
        decoded: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    message = decoded.get("error") if isinstance(decoded, Mapping) else None
    return message if isinstance(message, str) else ""
