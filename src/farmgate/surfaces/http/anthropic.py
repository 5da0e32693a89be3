"""Anthropic's API: /v1/messages, /v1/messages/count_tokens, and its form of the list of models."""

from __future__ import annotations

from farmgate.core.errors import FarmError, MissingParameter
from farmgate.core.ports import Counting, Target
from farmgate.core.reply import Event, Reply
from farmgate.core.request import Body, Dialect, Kind, Request
from farmgate.surfaces.http.asking import Asking, SurfaceCodec, rename
from farmgate.surfaces.http.exchange import Exchange, answered_by
from farmgate.surfaces.http.openai import Models, name_each, named_model, wanted_in
from farmgate.wire.anthropic.answers import encode_message
from farmgate.wire.anthropic.errors import encode_error, error_frame
from farmgate.wire.anthropic.models import encode_model, encode_models
from farmgate.wire.anthropic.requests import AnthropicBody, decode_count, decode_request
from farmgate.wire.anthropic.streaming import StreamWriter
from farmgate.wire.strictjson import encode

__all__ = ["AnthropicSurface"]

VERSION = b"anthropic-version"
BETA = b"anthropic-beta"
ESTIMATED = (b"x-farmgate-estimated", b"true")


class AnthropicSurface:
    """The endpoints. `streaming`: whether streams are answered at all (`ai.features.streaming`)."""

    def __init__(self, target: Target, models: Models, *, count: Counting, streaming: bool = True) -> None:
        self._asking = Asking(target, CODEC, streaming=streaming)
        self._models = models
        self._count = count

    async def messages(self, exchange: Exchange) -> None:
        name(exchange)
        await self._asking.ask(exchange, Kind.CHAT)

    async def count_tokens(self, exchange: Exchange) -> None:
        """Counted by the provider that would answer, or estimated, which a header tells."""
        name(exchange)
        await exchange.run(lambda: self._tell_count(exchange), shape=encode_error, frame=error_frame)

    async def _tell_count(self, exchange: Exchange) -> None:
        principal = exchange.principal()
        limits = exchange.desk.limits
        body = decode_count(await exchange.body(), json_limits=limits.json, list_limits=limits.lists)
        hear(body, exchange)
        model = exchange.model or body.model
        if not model:
            raise MissingParameter("`model` is required.", param="model")
        request = Request(
            id=exchange.id,
            kind=Kind.CHAT,
            body=body,
            principal=principal,
            deadline=exchange.deadline,
            started=exchange.started,
            model=model,
        )
        try:
            counted = await self._count(request)
        except FarmError as error:
            rename(error, body)
            raise
        headers = answered_by(counted.provider, counted.model)
        told = encode({"input_tokens": counted.tokens})
        await exchange.answer(200, told, (*headers, ESTIMATED) if counted.estimated else headers)

    @staticmethod
    def is_asked(exchange: Exchange) -> bool:
        """Whether a caller of an address that OpenAI's API has too is one of Anthropic's."""
        return exchange.header(VERSION) is not None

    async def models(self, exchange: Exchange) -> None:
        """The same addresses as OpenAI's, for callers who send `anthropic-version`."""
        name(exchange)
        await exchange.run(lambda: self._list(exchange), shape=encode_error, frame=error_frame)

    async def _list(self, exchange: Exchange) -> None:
        exchange.principal()
        exchange.watch()
        await self._models.refresh()
        named = name_each(self._models.models())
        wanted = wanted_in(exchange.path)
        told = encode_model(named_model(wanted, named), id=wanted) if wanted else encode_models(named.items())
        await exchange.answer(200, encode(told))

    async def refuse(self, exchange: Exchange, error: FarmError) -> None:
        """Answer with an error and nothing else."""

        async def work() -> None:
            raise error

        name(exchange)
        await exchange.run(work, shape=encode_error, frame=error_frame)


def name(exchange: Exchange) -> None:
    """Tell the request's id under the name that Anthropic's clients know too."""
    exchange.headers_told = ((b"request-id", exchange.asked_id or exchange.id.encode()),)


def hear(body: Body, exchange: Exchange) -> None:
    """Take what the dialect's headers say."""
    assert isinstance(body, AnthropicBody)
    body.hear(version=exchange.header(VERSION), betas=exchange.header(BETA))


def writer(request: Request, reply: Reply) -> StreamWriter:
    """Writes a reply as it comes."""
    return StreamWriter(id=f"msg_{request.id}", model=reply.model, dropped=reply.dropped)


def whole(request: Request, reply: Reply, events: list[Event]) -> bytes:
    """A whole answer: the provider's own bytes where it gave one in this dialect."""
    if len(events) == 1 and events[0].dialect is Dialect.ANTHROPIC and not reply.streams:
        return events[0].raw
    return encode(encode_message(events, id=f"msg_{request.id}", model=reply.model, dropped=reply.dropped))


CODEC = SurfaceCodec(
    decode=decode_request, writer=writer, whole=whole, error=encode_error, error_frame=error_frame, hear=hear
)
