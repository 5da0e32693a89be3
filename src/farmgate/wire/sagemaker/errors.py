"""SageMaker's errors, and those of the container behind it that it passes on."""

from __future__ import annotations

import re

import msgspec

from farmgate.core.errors import (
    FarmError,
    ModelNotFound,
    Unavailable,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRefusedKey,
    UpstreamRejected,
)
from farmgate.wire.openai.errors import decode_error as decode_container_error

__all__ = ["decode_error", "decode_exception"]

MESSAGE_LIMIT = 2_000
ACCOUNT = re.compile(r"\b\d{12}\b")
MODEL_ERROR = 424


class Told(msgspec.Struct, rename="pascal"):
    """An error's body. `original_*`: what the container answered."""

    message: str | None = None
    original_status_code: int | None = None
    original_message: str | None = None


class ToldSmall(msgspec.Struct):
    """Some errors write their message small."""

    message: str | None = None


def decode_error(status: int, body: bytes, *, provider: str, model: str = "") -> FarmError:
    """What a status other than 200 means to our caller. The account's number is told to nobody."""
    if status in (401, 403):
        return UpstreamRefusedKey(
            f"{provider} refused the AWS credentials Farmgate is configured with (HTTP {status}): they are not valid, "
            "or may not invoke this endpoint. Allow sagemaker:InvokeEndpoint and "
            "sagemaker:InvokeEndpointWithResponseStream for it."
        )
    told = told_in(body)
    if status == MODEL_ERROR and told.original_status_code is not None:
        return container_error(told, provider=provider)
    message = ACCOUNT.sub("...", told.message or "")
    if status == 400 and message.startswith("Endpoint ") and "not found" in message:
        return ModelNotFound(f"{provider} has no endpoint {model!r} in this region: check its name.", param="model")
    text = f"{provider}: {message[:MESSAGE_LIMIT]}" if message else f"{provider} answered HTTP {status}."
    match status:
        case 429:
            return UpstreamRateLimited(text)
        case 503:
            return Unavailable(text)
        case _ if status == MODEL_ERROR or status >= 500:
            return UpstreamError(text)
    return UpstreamRejected(text, status=status, type_="invalid_request_error", code=None)


def container_error(told: Told, *, provider: str) -> FarmError:
    """What the container's own error means."""
    status = told.original_status_code
    if status is None or not 400 <= status < 600 or status in (401, 403):
        status = 500
    original = (told.original_message or "").encode(errors="replace")
    return decode_container_error(status, original, provider=provider)


def decode_exception(name: str, payload: bytes, *, provider: str) -> FarmError:
    """What an exception inside a stream means: ModelStreamError, InternalStreamFailure."""
    message = ACCOUNT.sub("...", told_in(payload).message or "")
    return UpstreamError(f"{provider}'s stream broke ({name[:80]}): {message[:MESSAGE_LIMIT] or 'it does not say why'}")


def told_in(body: bytes) -> Told:
    """What an error's body tells; nothing where it is none."""
    try:
        told = msgspec.json.decode(body, type=Told)
        return told if told.message else Told(message=msgspec.json.decode(body, type=ToldSmall).message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Told()
