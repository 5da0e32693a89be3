"""Inference with a model of this machine: tensors go to its engine as they came, and come back as they are."""

from __future__ import annotations

from functools import partial

from farmgate.core.errors import BadRequest, ModelNotFound, UpstreamInvalidResponse
from farmgate.core.reply import Reply
from farmgate.core.request import Request
from farmgate.providers.exchange import refusal
from farmgate.providers.paths import segment
from farmgate.providers.settings import ProviderSettings
from farmgate.providers.transport import Upstream
from farmgate.wire.openai.errors import decode_error
from farmgate.wire.triton.bodies import LENGTH, InferBody, decode_inferred, read_length

__all__ = ["check_version", "describe", "infer", "path_of"]

JSON = b"application/json"
BINARY = b"application/octet-stream"


def path_of(model: str, version: str | None) -> str:
    return f"/v2/models/{segment(model)}" + (f"/versions/{segment(version)}" if version is not None else "")


def check_version(model: str, wanted: str | None, running: str) -> None:
    """Raises ModelNotFound for a version that does not answer."""
    if wanted is not None and wanted != running:
        raise ModelNotFound(
            f"There is no version {wanted[:100]!r} of {model} that answers: {running!r} does.", param="version"
        )


async def infer(upstream: Upstream, request: Request, *, settings: ProviderSettings, headers: bytes) -> Reply:
    """What the engine of the model answers. Raises FarmError."""
    body = request.body
    version, json_bytes = (body.version, body.json_bytes) if isinstance(body, InferBody) else (None, None)
    kind = JSON
    if json_bytes is not None:
        kind, headers = BINARY, headers + LENGTH + b": %d\r\n" % json_bytes
    path = f"{path_of(request.model or '', version)}/infer"
    async with await upstream.send(
        "POST", path, body=body.raw, content_type=kind, headers=headers, deadline=request.deadline
    ) as answer:
        if answer.status != 200:
            # Our engines tell errors in one form, whatever they are asked.
            raise await refusal(answer, partial(decode_error, provider=settings.name))
        told = await answer.whole(settings.answer_bytes)
        length = answer.header(LENGTH)
    try:
        json_bytes = read_length(length.encode() if length else None, len(told))
    except BadRequest as error:
        raise UpstreamInvalidResponse(f"{settings.name} does not say where the JSON of its answer ends.") from error
    event = decode_inferred(told, provider=settings.name, json_bytes=json_bytes)
    reply = Reply.whole(event, provider=settings.name, model=request.model or "")
    if json_bytes is not None:
        reply.content_type = BINARY.decode()
    return reply


async def describe(
    upstream: Upstream, model: str, version: str | None, *, settings: ProviderSettings, headers: bytes, deadline: float
) -> bytes:
    """The model's metadata, as the v2 protocol has it. Raises FarmError."""
    path = path_of(model, version)
    async with await upstream.send("GET", path, headers=headers, deadline=deadline) as answer:
        if answer.status != 200:
            raise await refusal(answer, partial(decode_error, provider=settings.name))
        return await answer.whole(settings.answer_bytes)
