"""OpenAI's error object, written for our callers and read from providers in all the shapes they send."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from farmgate.core.errors import (
    ContextLengthExceeded,
    FarmError,
    ModelFailed,
    UnsupportedParameter,
    UpstreamRejected,
)
from farmgate.wire.failures import by_status, refused_key, sentence, word
from farmgate.wire.sse import frame
from farmgate.wire.strictjson import encode

__all__ = ["decode_error", "decode_told_error", "encode_error", "error_frame", "error_object", "is_flat_error"]

# In the words of OpenAI, vLLM, SGLang, TGI and llama.cpp, which has a status of its own for each.
TOO_LONG = re.compile(
    r"exceeds? the (available |model's )?(context|maximum context)|maximum context length|longer than the (model's )?"
    r"context|is too large to process|context size has been exceeded|tokens \+ `max_new_tokens`",
    re.IGNORECASE,
)
# What llama.cpp's server says of a request with status 500.
UNSUPPORTED = re.compile(r"(image|audio|video) input is not supported|^Unsupported tool type|: Unsupported tool type")
MISTAKEN = re.compile(r"^(Failed to parse (messages|tools|input)|Unknown reasoning format)")


def error_object(error: FarmError) -> dict[str, object]:
    """`{"error": {"message", "type", "param", "code"}}`."""
    return {"error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code}}


def encode_error(error: FarmError) -> bytes:
    """The error as a JSON body."""
    return encode(error_object(error))


def error_frame(error: FarmError) -> bytes:
    """The error as the last frame of a stream; no `[DONE]` follows it."""
    return frame(encode_error(error))


def decode_error(status: int, body: bytes | Mapping[str, object], *, provider: str) -> FarmError:
    """What a provider's error means to our caller.

    401 and 403 are about our own credential and are told without the provider's words, which may quote the key.
    """
    if status in (401, 403):
        return refused_key(provider, status)
    message, type_, code, param = told(body)
    text = sentence(provider, status, message)
    if status in (400, 413, 422, 500) and (code == "context_length_exceeded" or TOO_LONG.search(message)):
        return ContextLengthExceeded(text, param=param)
    if status >= 500 and code == ModelFailed.code:
        return ModelFailed(text)
    if status == 500 and UNSUPPORTED.search(message):
        return UnsupportedParameter(text, param=param)
    if status == 500 and MISTAKEN.search(message):
        return UpstreamRejected(text, status=400, type_="invalid_request_error", code=code, param=param)
    meant = 500 if status == 503 else status  # Most of its servers say so of any failure.
    return by_status(meant, text, type_=type_ or "invalid_request_error", code=code, param=param)


def decode_told_error(body: bytes, *, provider: str) -> FarmError:
    """What an error means that came under HTTP 200 or in the middle of a stream: its status is its `code`, if any."""
    decoded = msgspec.json.decode(body)
    inner = decoded.get("error") if isinstance(decoded, dict) else None
    inner = inner if isinstance(inner, dict) else decoded
    status = inner.get("code", inner.get("status")) if isinstance(inner, dict) else None
    if isinstance(status, str) and status.isdecimal() and len(status) == 3:
        status = int(status)
    known = status if isinstance(status, int) and 400 <= status < 600 else 500
    return decode_error(known, decoded, provider=provider)


def is_flat_error(body: bytes) -> bool:
    """Whether an object that is no answer is an error without the `error` around it, as some engines send it."""
    decoded = msgspec.json.decode(body)
    if not isinstance(decoded, dict) or not isinstance(decoded.get("message"), str):
        return False
    return decoded.get("object") == "error" or "code" in decoded or "type" in decoded


def told(body: bytes | Mapping[str, object]) -> tuple[str, str | None, str | None, str | None]:
    """Message, type, code and param from `{"error": {...}}`, `{"error": "..."}` or a flat object; or from nothing."""
    if isinstance(body, bytes):
        try:
            decoded: object = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return "", None, None, None
    else:
        decoded = body
    if not isinstance(decoded, Mapping):
        return "", None, None, None
    inner = decoded.get("error", decoded)
    if isinstance(inner, str):
        return inner, word(decoded.get("error_type")), None, None
    if not isinstance(inner, Mapping):
        return "", None, None, None
    message = inner.get("message") or inner.get("detail") or ""
    return (
        message if isinstance(message, str) else "",
        word(inner.get("type")),
        # llama.cpp and vLLM repeat the HTTP status here as a number; a caller's `code` is always a word.
        word(inner.get("code")),
        word(inner.get("param")),
    )
