"""What a provider's failure means to our caller, where its dialect tells no more than a status and a message."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from farmgate.core.errors import (
    FarmError,
    Unavailable,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRefusedKey,
    UpstreamRejected,
    UpstreamTimeout,
)

__all__ = ["MESSAGE_LIMIT", "by_status", "mentions", "object_in", "refused_key", "sentence", "text_at", "word"]

MESSAGE_LIMIT = 2_000
LONGEST_WORD = 128


def object_in(body: bytes) -> Mapping[str, object]:
    """The object in an error's body; empty where there is none."""
    try:
        decoded: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}


def text_at(told: Mapping[str, object], *names: str) -> str:
    """The first of these fields that is a text; empty if none is."""
    return next((value for name in names if isinstance(value := told.get(name), str) and value), "")


def word(told: object) -> str | None:
    """A provider's own word, if it is one: it is kept in the journal and told to whoever asked."""
    return told if isinstance(told, str) and told.isprintable() and 0 < len(told) <= LONGEST_WORD else None


def mentions(message: str, phrases: Collection[str]) -> bool:
    """Whether a message holds one of these, which are in lower case."""
    small = message.lower()
    return any(phrase in small for phrase in phrases)


def sentence(provider: str, status: int, message: str) -> str:
    """What a provider says, in as many characters as a reader will take."""
    return f"{provider}: {message[:MESSAGE_LIMIT]}" if message else f"{provider} answered HTTP {status}."


def refused_key(provider: str, status: int) -> UpstreamRefusedKey:
    """It is our key that was refused, not our caller's; told without the provider's words, which may quote it."""
    return UpstreamRefusedKey(
        f"{provider} refused the API key Farmgate is configured with (HTTP {status}). "
        f"Check ai.providers.{provider}.apiKey."
    )


def by_status(
    status: int,
    text: str,
    *,
    type_: str = "invalid_request_error",
    code: str | None = None,
    param: str | None = None,
    retry_after_s: float | None = None,
) -> FarmError:
    """What a status means by itself. `type_`, `code` and `param` are told of a request that is wrong."""
    match status:
        case 429:
            return UpstreamRateLimited(text, retry_after_s=retry_after_s)
        case 503:
            return Unavailable(text, retry_after_s=retry_after_s)
        case 408 | 504:
            return UpstreamTimeout(text)
    if 400 <= status < 500:
        kind = word(type_) or "invalid_request_error"
        return UpstreamRejected(text, status=status, type_=kind, code=word(code), param=word(param))
    return UpstreamError(text)
