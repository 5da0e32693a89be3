"""Ollama's error object, `{"error": "..."}`, as a status's body or as a line of a stream."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from farmgate.core.errors import (
    ContextLengthExceeded,
    FarmError,
    ModelNotFound,
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamRefusedKey,
)
from farmgate.wire.failures import MESSAGE_LIMIT, by_status, object_in, sentence, text_at

__all__ = ["decode_error", "decode_error_line", "decode_pull_error"]

CLIENT_CLOSED = 499
TOO_LONG = ("exceeds the context length", "exceeds maximum context length", "exceed context")
NOTHING_TO_PULL = ("file does not exist", "not found")


def decode_error(status: int, body: bytes | Mapping[str, object], *, provider: str, model: str = "") -> FarmError:
    """What a status other than 200 means to our caller."""
    if status in (401, 403):
        # Ollama itself asks for no key: a proxy in front of it does, or its cloud. Neither concerns the caller.
        return UpstreamRefusedKey(
            f"{provider} refused access (HTTP {status}). Check ai.providers.{provider}.apiKey, or run `ollama signin`."
        )
    message = told(body)
    text = sentence(provider, status, message)
    if any(words in message for words in TOO_LONG):
        return ContextLengthExceeded(text)
    if status == 404:
        return not_found(message, provider=provider, model=model)
    if status == 503:
        text = f"{text} Its queue is full or it is still starting: try again shortly."
    return by_status(500 if status == CLIENT_CLOSED else status, text)


def not_found(message: str, *, provider: str, model: str) -> FarmError:
    if message and model:
        return ModelNotFound(
            f"{provider} does not have the model {model!r}: get it with `farmgate pull {model}` or "
            f"`ollama pull {model}`.",
            param="model",
        )
    return UpstreamInvalidResponse(f"{provider} answered HTTP 404: is it an Ollama server that answers there?")


def decode_error_line(line: bytes, *, provider: str, model: str = "") -> FarmError:
    """What an error inside a stream means. The HTTP status was 200; some lines bring the one that was meant."""
    decoded: object = msgspec.json.decode(line)
    fields: Mapping[str, object] = decoded if isinstance(decoded, Mapping) else {}
    status = fields.get("status", fields.get("status_code"))
    known = status if isinstance(status, int) and 400 <= status < 600 else 500
    return decode_error(known, fields, provider=provider, model=model)


def decode_pull_error(line: bytes, *, provider: str, model: str) -> FarmError:
    """What an error inside a pull means."""
    decoded: object = msgspec.json.decode(line)
    message = told(decoded if isinstance(decoded, Mapping) else {})
    if any(words in message for words in NOTHING_TO_PULL):
        return ModelNotFound(f"Ollama's library has no model {model!r}: check its name.", param="model")
    return UpstreamError(f"{provider} could not pull {model!r}: {message[:MESSAGE_LIMIT] or 'it does not say why'}.")


def told(body: bytes | Mapping[str, object]) -> str:
    """The message in an error object; empty if there is none."""
    decoded = object_in(body) if isinstance(body, bytes) else body
    inner = decoded.get("error")
    return text_at(inner, "message") if isinstance(inner, Mapping) else text_at(decoded, "error")
