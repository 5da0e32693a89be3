"""Google's error object, `google.rpc.Status`, as a status's body or in the middle of a stream.

Source: https://cloud.google.com/apis/design/errors
"""

from __future__ import annotations

import re
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

__all__ = ["decode_error", "decode_told_error"]

MESSAGE_LIMIT = 2_000
LONGEST_RETRY_AFTER_S = 300.0
TOO_LONG = re.compile(r"input token count.*(?:exceeds|only supports|is longer)", re.DOTALL | re.IGNORECASE)
SECONDS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")
STATUSES: Mapping[str, int] = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an error object says. `reason` is Google's word for it (`API_KEY_INVALID`)."""

    message: str = ""
    status: str = ""
    code: int | None = None
    reason: str = ""
    retry_after_s: float | None = None


def decode_error(status: int, body: bytes, *, provider: str, model: str = "") -> FarmError:
    """What a status other than 200 means to our caller."""
    return meaning(status, read(body), provider=provider, model=model)


def decode_told_error(body: bytes, *, provider: str, model: str = "") -> FarmError:
    """What an error inside a 200 means: its status is in it."""
    told = read(body)
    status = told.code if told.code is not None and 400 <= told.code < 600 else STATUSES.get(told.status, 500)
    return meaning(status, told, provider=provider, model=model)


def meaning(status: int, told: Told, *, provider: str, model: str) -> FarmError:
    # A wrong key is a bad argument to the Gemini API. Its words may quote the credential: they are not told.
    if status in (401, 403) or told.reason in ("API_KEY_INVALID", "API_KEY_EXPIRED"):
        why = f", {told.reason}" if told.reason.isascii() and told.reason.replace("_", "").isalnum() else ""
        return UpstreamRefusedKey(
            f"{provider} refused the credential Farmgate is configured with (HTTP {status}{why[:60]}). Check "
            f"ai.providers.{provider}: its apiKey, or the roles of the identity it uses."
        )
    text = f"{provider}: {told.message[:MESSAGE_LIMIT]}" if told.message else f"{provider} answered HTTP {status}."
    if status == 429:
        return UpstreamRateLimited(text, retry_after_s=told.retry_after_s)
    if status == 400 and TOO_LONG.search(told.message):
        return ContextLengthExceeded(text)
    if status == 404:
        return ModelNotFound(f"{provider} does not have the model {model[:100]!r}: {text}", param="model")
    if status == 503:
        return Unavailable(text, retry_after_s=told.retry_after_s)
    if status in (408, 499, 504):
        return UpstreamTimeout(text)
    if 400 <= status < 500:
        return UpstreamRejected(text, status=status, type_="invalid_request_error", code=told.status.lower() or None)
    return UpstreamError(text)


def read(body: bytes) -> Told:
    """The error in a body: an object, or the first of a list; empty where there is none."""
    try:
        decoded: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Told()
    if isinstance(decoded, list) and decoded:
        decoded = decoded[0]
    inner = decoded.get("error") if isinstance(decoded, dict) else None
    if isinstance(inner, str):
        return Told(message=inner)
    if not isinstance(inner, dict):
        return Told()
    details = inner.get("details")
    entries = [entry for entry in details if isinstance(entry, dict)] if isinstance(details, list) else []
    code = inner.get("code")
    return Told(
        message=text(inner.get("message")),
        status=text(inner.get("status")),
        code=code if type(code) is int else None,
        reason=next((text(entry.get("reason")) for entry in entries if "reason" in entry), ""),
        retry_after_s=next((seconds(entry["retryDelay"]) for entry in entries if "retryDelay" in entry), None),
    )


def text(value: object) -> str:
    return value if isinstance(value, str) else ""


def seconds(value: object) -> float | None:
    """A `google.protobuf.Duration`: `"34.5s"`."""
    found = SECONDS.fullmatch(value) if isinstance(value, str) else None
    return min(float(found[1]), LONGEST_RETRY_AFTER_S) if found else None
