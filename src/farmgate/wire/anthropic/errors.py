"""Anthropic's error object: written for our callers, read from providers as a status's body or within a stream.

Source: https://platform.claude.com/docs/en/api/errors
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
from farmgate.wire.strictjson import encode

__all__ = ["decode_error", "decode_told_error", "encode_error", "error_frame"]

MESSAGE_LIMIT = 2_000
STATUSES: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
TYPES: Mapping[int, str] = {status: name for name, status in STATUSES.items()} | {503: "overloaded_error"}
TOO_LONG = ("prompt is too long", "exceed context limit", "exceeds the context window")
NO_CREDIT = "credit balance is too low"


def encode_error(error: FarmError) -> bytes:
    """The error as a JSON body. This shape has no place for the field that is wrong, so that the message names it."""
    message = error.message
    if error.param is not None and f"`{error.param}`" not in message:
        message = f"{error.param}: {message}"
    told = {"type": type_of(error), "message": message, "details": {"error_code": error.code}}
    return encode({"type": "error", "error": told, "request_id": error.request_id})


def error_frame(error: FarmError) -> bytes:
    """The error as the last event of a stream; no `message_stop` follows it."""
    return b"event: error\ndata: " + encode_error(error) + b"\n\n"


def type_of(error: FarmError) -> str:
    if isinstance(error, UpstreamRejected) and error.type in STATUSES:
        return error.type
    known = TYPES.get(error.status)
    return known or ("invalid_request_error" if error.status < 500 else "api_error")


def decode_error(status: int, body: bytes, *, provider: str, model: str = "") -> FarmError:
    """What a status other than 200 means to our caller.

    401 and 403 are about our own credential and are told without the provider's words, which may quote the key.
    """
    return meaning(status, told(body), provider=provider, model=model)


def decode_told_error(body: bytes, *, provider: str, model: str = "") -> FarmError:
    """What an error means that came under HTTP 200 or within a stream: its type stands for the status."""
    error = told(body)
    return meaning(STATUSES.get(error.type or "", 500), error, provider=provider, model=model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an error object says. `code`: of its details, which clients go by (`thread_not_found`)."""

    message: str = ""
    type: str | None = None
    code: str | None = None


def meaning(status: int, error: Told, *, provider: str, model: str) -> FarmError:
    message = error.message
    if status in (401, 403):
        return UpstreamRefusedKey(
            f"{provider} refused the API key Farmgate is configured with (HTTP {status}). "
            f"Check ai.providers.{provider}.apiKey."
        )
    if status == 402 or NO_CREDIT in message:
        return UpstreamRefusedKey(f"{provider} does not serve this account: look at its billing.")
    text = f"{provider}: {message[:MESSAGE_LIMIT]}" if message else f"{provider} answered HTTP {status}."
    if any(words in message for words in TOO_LONG):
        return ContextLengthExceeded(text, param="messages")
    if status == 404 and message.startswith("model"):
        return ModelNotFound(f"{provider} has no model {model[:100]!r}.", param="model")
    match status:
        case 429:
            return UpstreamRateLimited(text)
        case 503 | 529:
            return Unavailable(text)
        case 408 | 504:
            return UpstreamTimeout(text)
    if 400 <= status < 500:
        return UpstreamRejected(text, status=status, type_=error.type or "invalid_request_error", code=error.code)
    return UpstreamError(text)


def told(body: bytes) -> Told:
    """What `{"type": "error", "error": {...}}` says, with or without what is around it; or nothing."""
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Told()
    inner = decoded.get("error", decoded) if isinstance(decoded, dict) else None
    if isinstance(inner, str):
        return Told(message=inner)
    if not isinstance(inner, dict):
        return Told()
    details = inner.get("details")
    code = details.get("error_code") if isinstance(details, dict) else None
    return Told(message=text(inner.get("message")) or "", type=text(inner.get("type")), code=text(code))


def text(value: object) -> str | None:
    return value if isinstance(value, str) else None
