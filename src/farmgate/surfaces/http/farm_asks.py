"""The asks of Farmgate's own API: chat, generate and embed, answered whole or piece by piece."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from farmgate.core.answer import Answer, fold, gather
from farmgate.core.errors import FarmError, ModelNotCapable, UnsupportedParameter, UpstreamInvalidResponse
from farmgate.core.event import Event, Finish, FinishReason, Usage
from farmgate.core.identity import Principal
from farmgate.core.ports import Target
from farmgate.core.reply import Reply
from farmgate.core.request import Kind, Request, Typed
from farmgate.core.words import Ask, Embed
from farmgate.surfaces.http.asking import rename
from farmgate.surfaces.http.exchange import Exchange
from farmgate.surfaces.http.farm_answers import EmbedAnswer, Piece, TextAnswer, UsageAnswer
from farmgate.surfaces.http.farm_reading import chat_words, embed_words, generate_words, prompt_words, read
from farmgate.surfaces.http.farm_requests import (
    Asked,
    AskRequest,
    ChatRequest,
    EmbedRequest,
    GenerateRequest,
    SampledRequest,
)
from farmgate.surfaces.http.once import IDEMPOTENCY_KEY, claim_once
from farmgate.surfaces.http.priority import is_batch
from farmgate.surfaces.http.told import served_by
from farmgate.wire.farm import content_frame, response_text
from farmgate.wire.sse import DONE, frame
from farmgate.wire.strictjson import decode_object

__all__ = ["Asks", "fields_of"]

AskedT = TypeVar("AskedT", bound=Asked)


class Asks:
    """The endpoints. `streaming`: whether streams are answered at all (`ai.features.streaming`)."""

    def __init__(self, target: Target, *, streaming: bool) -> None:
        self._target = target
        self._streaming = streaming

    async def chat(self, exchange: Exchange, principal: Principal) -> None:
        asked = await asked_of(exchange, principal, ChatRequest)
        await self._text(exchange, principal, asked, Kind.CHAT, chat_words(asked))

    async def chat_stream(self, exchange: Exchange, principal: Principal) -> None:
        asked = await asked_of(exchange, principal, ChatRequest)
        await self._text(exchange, principal, asked, Kind.CHAT, chat_words(asked), streams=True)

    async def generate(self, exchange: Exchange, principal: Principal) -> None:
        await self._prompt(exchange, principal)

    async def generate_stream(self, exchange: Exchange, principal: Principal) -> None:
        await self._prompt(exchange, principal, streams=True)

    async def _prompt(self, exchange: Exchange, principal: Principal, *, streams: bool = False) -> None:
        """A prompt is one turn of a chat, so that every model that chats answers it; who only completes, completes."""
        asked = await asked_of(exchange, principal, GenerateRequest)
        try:
            await self._text(exchange, principal, asked, Kind.CHAT, prompt_words(asked), streams=streams)
        except ModelNotCapable:
            await self._text(exchange, principal, asked, Kind.COMPLETION, generate_words(asked), streams=streams)

    async def embed(self, exchange: Exchange, principal: Principal) -> None:
        asked = await asked_of(exchange, principal, EmbedRequest)
        request = request_of(exchange, principal, asked, Kind.EMBEDDING, embed_words(asked), stream=False)
        await self._answer(exchange, request)

    async def _text(
        self,
        exchange: Exchange,
        principal: Principal,
        asked: SampledRequest,
        kind: Kind,
        words: Ask,
        *,
        streams: bool = False,
    ) -> None:
        stream = streams or asked.stream is True
        if stream and not self._streaming:
            raise UnsupportedParameter("Streaming is switched off here (ai.features.streaming).", param="stream")
        request = request_of(exchange, principal, asked, kind, words, stream=stream)
        await self._answer(exchange, request)

    async def _answer(self, exchange: Exchange, request: Request) -> None:
        if request.stream:
            exchange.keep_alive()
        try:
            async with await self._target.send(request) as reply:
                if request.stream:
                    pieces = Pieces(reply.dropped)
                    await exchange.stream(reply, pieces.write, pieces.end)
                    return
                told = whole(request, reply, fold(await gather(reply)))
        except FarmError as error:
            rename(error, request.body)
            raise
        await exchange.answer(200, told.json_bytes(), served_by(reply, exchange.started))


async def fields_of(exchange: Exchange, model: type[AskedT]) -> AskedT:
    """The body as that model. Raises what makes it unreadable."""
    return fields_in(await exchange.body(), exchange, model)


async def asked_of(exchange: Exchange, principal: Principal, model: type[AskedT]) -> AskedT:
    """The same, of a request that may have been answered before. Raises Replayed then."""
    raw = await exchange.body()
    if exchange.header(IDEMPOTENCY_KEY) is not None:
        claim_once(exchange, principal, raw)
    return fields_in(raw, exchange, model)


def fields_in(raw: bytes, exchange: Exchange, model: type[AskedT]) -> AskedT:
    limits = exchange.desk.limits
    return read(model, decode_object(raw, limits.json), limits.lists)


@dataclass(frozen=True, slots=True)
class FarmBody(Typed):
    """Words, and how their caller spelled them."""

    asked: AskRequest = field(default_factory=AskRequest)

    def own_name(self, param: str) -> str:
        return self.asked.own_name(param)


def request_of(
    exchange: Exchange, principal: Principal, asked: AskRequest, kind: Kind, words: Ask, *, stream: bool
) -> Request:
    """The request that sets out on its way."""
    return Request(
        id=exchange.id,
        kind=kind,
        body=FarmBody(words, asked=asked),
        principal=principal,
        deadline=exchange.deadline,
        started=exchange.started,
        asked_id=exchange.asked_id.decode() if exchange.asked_id else None,
        model=asked.model,
        provider=asked.provider,
        stream=stream,
        is_batch=is_batch(exchange),
    )


class Pieces:
    """Writes one stream. `dropped`: what of the request the provider could not be told."""

    def __init__(self, dropped: tuple[str, ...]) -> None:
        self._dropped = dropped
        self._finish: FinishReason | None = None
        self._usage: Usage | None = None

    def write(self, event: Event) -> bytes:
        """What an event says, as frames of this API."""
        parts = event.parts
        self._usage = event.usage or self._usage
        for part in parts:
            if isinstance(part, Finish) and part.choice == 0:
                self._finish = part.reason
        return content_frame(parts)

    def end(self) -> bytes:
        """Why the answer ended and what it took, then the sign that it is whole."""
        usage = UsageAnswer.of(self._usage, self._dropped)
        last = Piece(content="", finish_reason=self._finish or FinishReason.STOP, usage=usage)
        return frame(last.json_bytes()) + DONE


def whole(request: Request, reply: Reply, answer: Answer) -> TextAnswer | EmbedAnswer:
    """A whole answer. Raises UpstreamInvalidResponse when vectors are missing."""
    usage = UsageAnswer.of(answer.usage, reply.dropped)
    words = request.body.ask()
    if not isinstance(words, Embed):
        first = answer.choices.get(0)
        return TextAnswer(
            response=response_text(answer),
            model=reply.model,
            provider=reply.provider,
            usage=usage,
            finish_reason=(first.finish if first else None) or FinishReason.STOP,
        )
    if sorted(answer.vectors) != list(range(len(words.inputs))):
        raise UpstreamInvalidResponse(
            f"{reply.provider} gave {len(answer.vectors)} embeddings for {len(words.inputs)} inputs."
        )
    return EmbedAnswer.model_construct(
        # Not validated: a thousand vectors hold a million numbers, and they were typed where they were read.
        embeddings=tuple(answer.vectors[index] for index in range(len(words.inputs))),
        model=reply.model,
        provider=reply.provider,
        usage=usage,
    )
