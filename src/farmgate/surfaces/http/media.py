"""OpenAI's other endpoints: /v1/moderations, /v1/images/generations, /v1/audio/*, /v1/rerank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from farmgate.core.answer import fold
from farmgate.core.errors import FarmError
from farmgate.core.event import Event
from farmgate.core.ports import Target
from farmgate.core.reply import Reply
from farmgate.core.request import Body, Kind, Request
from farmgate.core.words import Rerank
from farmgate.surfaces.http.asking import Asking, SurfaceCodec
from farmgate.surfaces.http.exchange import Exchange
from farmgate.surfaces.http.front import Endpoint
from farmgate.wire.openai.errors import encode_error, error_frame
from farmgate.wire.openai.media import Opaque, decode_transcription
from farmgate.wire.openai.ranking import encode_ranking
from farmgate.wire.openai.requests import decode_request
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.strictjson import JsonLimits, encode

__all__ = ["MediaSurface", "media_routes"]

FORM = b"multipart/form-data"


class RelayWriter:
    """Writes a stream as it comes."""

    def write(self, event: Event) -> bytes:
        return event.raw

    def end(self) -> bytes:
        return b""


def whole(request: Request, reply: Reply, events: list[Event]) -> bytes:
    """A provider's own bytes; only a ranking may have to be written."""
    if all(type(event) is Opaque for event in events):
        return b"".join(event.raw for event in events)
    words = cast("Rerank", request.body.ask())
    with_documents = request.body.fields.get("return_documents") is True
    told = encode_ranking(
        fold(events), words, id=f"rerank-{request.id}", model=reply.model, with_documents=with_documents
    )
    return encode(told)


def silence(_: FarmError) -> bytes:
    """In the middle of a sound nothing can be told: the connection is cut."""
    return b""


CODEC = SurfaceCodec(
    decode=decode_request,
    writer=lambda request, reply: RelayWriter(),
    whole=whole,
    error=encode_error,
    error_frame=error_frame,
)
SOUND = replace(CODEC, error_frame=silence, stream_type=b"")


class MediaSurface:
    """The endpoints. `streaming`: whether streams are answered at all (`ai.features.streaming`)."""

    def __init__(self, target: Target, *, streaming: bool = True) -> None:
        self._target = target
        self._streaming = streaming
        self._asking = Asking(target, CODEC, streaming=streaming)
        # Sound is always sent as it comes: that is no stream a caller asked for.
        self._speaking = Asking(target, SOUND)

    async def moderation(self, exchange: Exchange) -> None:
        await self._asking.ask(exchange, Kind.MODERATION)

    async def image(self, exchange: Exchange) -> None:
        await self._asking.ask(exchange, Kind.IMAGE)

    async def rerank(self, exchange: Exchange) -> None:
        await self._asking.ask(exchange, Kind.RERANK)

    async def speech(self, exchange: Exchange) -> None:
        await self._speaking.ask(exchange, Kind.SPEECH)

    async def transcription(self, exchange: Exchange) -> None:
        """The only body that is a form: its boundary stands in a header."""
        content_type = exchange.header(b"content-type") or b""

        def decode(body: bytes, kind: Kind, *, json_limits: JsonLimits, list_limits: ListLimits) -> Body:
            return decode_transcription(body, content_type)

        codec = replace(CODEC, decode=decode, body_type=FORM)
        await Asking(self._target, codec, streaming=self._streaming).ask(exchange, Kind.TRANSCRIPTION)


def media_routes(media: MediaSurface) -> Mapping[str, Mapping[str, Endpoint]]:
    """Where each is asked for."""
    return {
        "/v1/moderations": {"POST": media.moderation},
        "/v1/images/generations": {"POST": media.image},
        "/v1/audio/speech": {"POST": media.speech},
        "/v1/audio/transcriptions": {"POST": media.transcription},
        "/v1/rerank": {"POST": media.rerank},
    }
