"""OpenAI's API: /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/models."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Mapping

from farmgate.core.answer import fold
from farmgate.core.errors import UnknownUrl
from farmgate.core.event import Event
from farmgate.core.ports import Target
from farmgate.core.reply import Reply
from farmgate.core.request import Dialect, Kind, Request
from farmgate.surfaces.http.asking import Asking, SurfaceCodec
from farmgate.surfaces.http.exchange import Exchange
from farmgate.surfaces.http.front import Endpoint, refuse
from farmgate.surfaces.http.listing import VERSIONED, Models, tell_models
from farmgate.wire.openai.answers import encode_answer, encode_embeddings, encode_model, encode_models
from farmgate.wire.openai.errors import encode_error, error_frame
from farmgate.wire.openai.requests import decode_request
from farmgate.wire.openai.stream import StreamWriter
from farmgate.wire.strictjson import encode

__all__ = ["OpenAISurface"]

# Before Python 3.12 a member looked up on its class costs as much as three function calls.
OPENAI = Dialect.OPENAI
EMBEDDING = Kind.EMBEDDING
IDS = {Kind.CHAT: "chatcmpl-", Kind.COMPLETION: "cmpl-", EMBEDDING: "embd-"}


class OpenAISurface:
    """The endpoints. `streaming`: whether streams are answered at all (`ai.features.streaming`)."""

    def __init__(self, target: Target, models: Models, *, streaming: bool = True) -> None:
        self._asking = Asking(target, CODEC, streaming=streaming)
        self._models = models

    def chat(self, exchange: Exchange) -> Awaitable[None]:
        return self._asking.ask(exchange, Kind.CHAT)

    def completion(self, exchange: Exchange) -> Awaitable[None]:
        return self._asking.ask(exchange, Kind.COMPLETION)

    def embedding(self, exchange: Exchange) -> Awaitable[None]:
        return self._asking.ask(exchange, EMBEDDING)

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

        async def tell() -> None:
            await tell_models(exchange, self._models, one=encode_model, every=encode_models)

        await exchange.run(tell, shape=encode_error, frame=error_frame)


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
