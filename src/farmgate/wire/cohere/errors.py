"""Cohere's error object, `{"message": "...", "id": "..."}`."""

from __future__ import annotations

from farmgate.core.errors import (
    ContextLengthExceeded,
    FarmError,
    ModelNotFound,
)
from farmgate.wire.failures import by_status, mentions, object_in, refused_key, sentence, text_at

__all__ = ["decode_error"]

TOO_LONG = ("too many tokens", "context length", "context limit", "exceeds the maximum", "exceeds the limit of")
CLIENT_CLOSED = 499
INVALID_TOKEN = 498


def decode_error(status: int, body: bytes, *, provider: str, model: str = "") -> FarmError:
    """What a status other than 200 means to our caller. Refused keys are told without Cohere's words."""
    if status in (401, 403):
        return refused_key(provider, status)
    message = text_at(object_in(body), "message")
    text = sentence(provider, status, message)
    if status == 400 and mentions(message, TOO_LONG) and mentions(message, ("token",)):
        return ContextLengthExceeded(text)
    if status == 404 and mentions(message, ("model",)):
        return ModelNotFound(f"{provider} has no model {model!r}: check its name.", param="model")
    if status == INVALID_TOKEN:  # Its filter for poisonous prompts.
        return by_status(400, text, code="content_filter")
    return by_status(500 if status == CLIENT_CLOSED else status, text)
