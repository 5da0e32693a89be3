"""OpenAI's API: /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/models."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Protocol

from farmgate.core.answer import fold
from farmgate.core.errors import ModelNotFound, UnknownUrl
from farmgate.core.model import ModelInfo
from farmgate.core.ports import Target
from farmgate.core.reply import Event, Reply
from farmgate.core.request import Dialect, Kind, Request
from farmgate.flow.route import written
from farmgate.surfaces.http.asking import Asking, SurfaceCodec
from farmgate.surfaces.http.exchange import Exchange
from farmgate.surfaces.http.front import Endpoint, refuse
from farmgate.wire.openai.answers import encode_answer, encode_embeddings, encode_model, encode_models
from farmgate.wire.openai.errors import encode_error, error_frame
from farmgate.wire.openai.requests import decode_request
from farmgate.wire.openai.stream import StreamWriter
from farmgate.wire.strictjson import encode

__all__ = ["Models", "OpenAISurface", "name_each", "named_model", "wanted_in"]

# Before Python 3.12 a member looked up on its class costs as much as three function calls.
OPENAI = Dialect.OPENAI
EMBEDDING = Kind.EMBEDDING
IDS = {Kind.CHAT: "chatcmpl-", Kind.COMPLETION: "cmpl-", EMBEDDING: "embd-"}


VERSIONED = re.compile(r"/v1/models/(?P<name>.+)/versions/(?P<version>[^/@]+)(?P<rest>/.+)?")


class Models(Protocol):
    """Which models there are."""

    def models(self) -> list[ModelInfo]: ...

    async def refresh(self) -> None: ...


class OpenAISurface:
    """The endpoints. `streaming`: whether streams are answered at all (`ai.features.streaming`)."""

    def __init__(self, target: Target, models: Models, *, streaming: bool = True) -> None:
        self._asking = Asking(target, CODEC, streaming=streaming)
        self._models = models

    async def chat(self, exchange: Exchange) -> None:
        await self._asking.ask(exchange, Kind.CHAT)

    async def completion(self, exchange: Exchange) -> None:
        await self._asking.ask(exchange, Kind.COMPLETION)

    async def embedding(self, exchange: Exchange) -> None:
        await self._asking.ask(exchange, EMBEDDING)

    async def versioned(self, exchange: Exchange, endpoints: Mapping[str, Endpoint]) -> None:
        """POST /v1/models/{id}/versions/{version}/...: what stands behind it, asked of that version of the model."""
        addressed = VERSIONED.fullmatch(exchange.path)
        endpoint = endpoints.get(f"/v1{addressed['rest']}") if addressed and addressed["rest"] else None
        if addressed is None or endpoint is None:
            await refuse(exchange, UnknownUrl(f"There is nothing at {exchange.path[:200]}."))
            return
        exchange.model = f"{addressed['name']}@{addressed['version']}"
        await endpoint(exchange)

    async def models(self, exchange: Exchange) -> None:
        """GET /v1/models, /v1/models/{id} and /v1/models/{id}/versions/{version}; an id may hold slashes."""
        await exchange.run(lambda: self._list(exchange), shape=encode_error, frame=error_frame)

    async def _list(self, exchange: Exchange) -> None:
        exchange.principal()
        exchange.watch()
        await self._models.refresh()
        named = name_each(self._models.models())
        wanted = wanted_in(exchange.path)
        told = encode_model(named_model(wanted, named), id=wanted) if wanted else encode_models(list(named.items()))
        await exchange.answer(200, encode(told))


def writer(request: Request, reply: Reply) -> StreamWriter:
    """Writes a reply as it comes."""
    return StreamWriter(
        id=IDS[request.kind] + request.id,
        kind=request.kind,
        model=reply.model,
        created_unix=int(time.time()),
        show_usage=request.want_usage,
        dropped=reply.dropped,
    )


def whole(request: Request, reply: Reply, events: list[Event]) -> bytes:
    """A whole answer: the provider's own bytes where it gave one in this dialect."""
    if len(events) == 1 and events[0].dialect is OPENAI and not reply.streams:
        return events[0].raw
    answer = fold(events)
    if request.kind is EMBEDDING:
        as_base64 = request.body.fields.get("encoding_format") == "base64"
        return encode(encode_embeddings(answer, model=reply.model, as_base64=as_base64))
    told = encode_answer(
        answer,
        id=IDS[request.kind] + request.id,
        kind=request.kind,
        model=reply.model,
        created_unix=int(time.time()),
        dropped=reply.dropped,
    )
    return encode(told)


CODEC = SurfaceCodec(decode=decode_request, writer=writer, whole=whole, error=encode_error, error_frame=error_frame)


def name_each(models: list[ModelInfo]) -> dict[str, ModelInfo]:
    """Every model under its plain name, and under `provider/name` where two providers have the same."""
    named: dict[str, ModelInfo] = {}
    for model in models:
        name = model.name if model.name not in named else f"{model.provider}/{model.name}"
        named[name] = model
    return named


def wanted_in(path: str) -> str:
    """The id in an address under /v1/models; empty where all are asked for."""
    addressed = VERSIONED.fullmatch(path)
    if addressed and not addressed["rest"]:
        return f"{addressed['name']}@{addressed['version']}"
    return path.removeprefix("/v1/models").strip("/")


def named_model(wanted: str, named: dict[str, ModelInfo]) -> ModelInfo:
    """One model, by its plain name or with its provider. Raises ModelNotFound."""
    names = written(wanted)
    model = next((named[name] for name in names if name in named), None) or next(
        (model for model in named.values() if f"{model.provider}/{model.name}" in names), None
    )
    if model is None:
        raise ModelNotFound(f"There is no model {wanted[:100]!r}: GET /v1/models lists them.", param="model")
    return model
