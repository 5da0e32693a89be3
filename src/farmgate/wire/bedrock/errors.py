"""Bedrock's errors, as a status's body and as exceptions in a stream."""

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

__all__ = ["decode_error", "decode_exception", "told"]

MESSAGE_LIMIT = 2_000
TOO_LONG = (
    "input is too long",
    "prompt is too long",
    "maximum context length",
    "too many input tokens",
    "context window",
)
NO_MODEL = ("model identifier is invalid", "could not resolve the foundation model")
STATUSES: Mapping[str, int] = {
    "internalserverexception": 500,
    "modelstreamerrorexception": 424,
    "modeltimeoutexception": 408,
    "serviceunavailableexception": 503,
    "throttlingexception": 429,
    "validationexception": 400,
}


def decode_error(status: int, body: bytes, *, provider: str, model: str = "") -> FarmError:
    """What a status other than 200 means to our caller.

    403 is about our own credentials and is told without Bedrock's words, which name the account.
    """
    if status in (401, 403):
        return UpstreamRefusedKey(
            f"{provider} refused the AWS credentials Farmgate is configured with (HTTP {status}): they are not valid, "
            "or may not invoke this model. Allow bedrock:InvokeModel and bedrock:InvokeModelWithResponseStream for it."
        )
    message = told(body)
    text = f"{provider}: {message[:MESSAGE_LIMIT]}" if message else f"{provider} answered HTTP {status}."
    if status == 404 or any(words in message.lower() for words in NO_MODEL):
        return ModelNotFound(
            f"{provider} has no model {model!r} in this region: check its id, or use an inference profile's "
            "(`us.`, `eu.`, `global.` in front).",
            param="model",
        )
    if status == 400 and any(words in message.lower() for words in TOO_LONG):
        return ContextLengthExceeded(text)
    match status:
        case 408 | 504:
            return UpstreamTimeout(text)
        case 429:
            return UpstreamRateLimited(text)
        case 503:
            return Unavailable(text)
        case 424:
            return UpstreamError(text)
    if 400 <= status < 500:
        return UpstreamRejected(text, status=status, type_="invalid_request_error", code=None)
    return UpstreamError(text)


def decode_exception(name: str, payload: bytes, *, provider: str, model: str = "") -> FarmError:
    """What an exception inside a stream means; the HTTP status was 200. One without a known name is a failure."""
    return decode_error(STATUSES.get(name.lower(), 500), payload, provider=provider, model=model)


def told(body: bytes) -> str:
    """The message in an error's body; empty if there is none. AWS writes its name small and large."""
    try:
        decoded: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    if not isinstance(decoded, Mapping):
        return ""
    message = decoded.get("message") or decoded.get("Message")
    return message if isinstance(message, str) else ""
