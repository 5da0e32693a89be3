"""The error object of KServe's v2 protocol, `{"error": "..."}`: read from Triton, written for our callers."""

from __future__ import annotations

from farmgate.core.errors import (
    ContextLengthExceeded,
    FarmError,
    ModelNotFound,
    UpstreamRefusedKey,
)
from farmgate.wire.failures import by_status, mentions, object_in, sentence, text_at
from farmgate.wire.strictjson import encode

__all__ = ["decode_error", "encode_error", "error_of"]

TOO_LONG = (
    "exceeds maximum input length",
    "exceed max input length",
    "maximum context length",
    "longer than the maximum",
)
NO_MODEL = ("unknown model", "is not found", "has no available versions", "failed to find model")
FULL = ("exceeds maximum queue size", "queue is full")


def encode_error(error: FarmError) -> bytes:
    """The error as a body; the status says the rest."""
    return encode({"error": error.message})


def decode_error(status: int, body: bytes, *, provider: str, model: str = "") -> FarmError:
    """What a status other than 200 means to our caller."""
    if status in (401, 403):
        return UpstreamRefusedKey(
            f"{provider} refused access (HTTP {status}). Check ai.providers.{provider}.apiKey and headers."
        )
    return error_of(status, text_at(object_in(body), "error"), provider=provider, model=model)


def error_of(status: int, message: str, *, provider: str, model: str = "") -> FarmError:
    """What a message means that came under that status, or under 200 in the middle of a stream (as 500)."""
    text = sentence(provider, status, message)
    if mentions(message, TOO_LONG):
        return ContextLengthExceeded(text)
    if status in (400, 404) and mentions(message, NO_MODEL):
        return ModelNotFound(f"{provider} does not have the model {model!r}, or not that version of it.", param="model")
    return by_status(503 if mentions(message, FULL) else status, text)
