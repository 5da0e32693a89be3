"""Anthropic's API: /v1/messages, /v1/messages/count_tokens, and its form of the list of models."""

from __future__ import annotations

from farmgate.core.errors import FarmError, MissingParameter
from farmgate.core.event import Event
from farmgate.core.ports import Counting, Target
from farmgate.core.reply import Reply
from farmgate.core.request import Body, Dialect, Kind, Request
from farmgate.surfaces.http.asking import Asking, SurfaceCodec
from farmgate.surfaces.http.counting import tell_count
from farmgate.surfaces.http.exchange import Exchange
from farmgate.surfaces.http.front import refuse
from farmgate.surfaces.http.listing import Models, tell_models
from farmgate.wire.anthropic.answers import encode_message
from farmgate.wire.anthropic.errors import encode_error, error_frame
from farmgate.wire.anthropic.models import encode_model, encode_models
from farmgate.wire.anthropic.requests import AnthropicBody, decode_count, decode_request
from farmgate.wire.anthropic.streaming import StreamWriter
from farmgate.wire.strictjson import encode

__all__ = ["AnthropicSurface"]

VERSION = b"anthropic-version"
BETA = b"anthropic-beta"


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
        if not exchange.model and not body.model:
            raise MissingParameter("`model` is required.", param="model")
        await tell_count(exchange, principal, body, self._count, told=lambda tokens: {"input_tokens": tokens})

    @staticmethod
    def is_asked(exchange: Exchange) -> bool:
        """Whether a caller of an address that OpenAI's API has too is one of Anthropic's."""
        return exchange.header(VERSION) is not None

    async def models(self, exchange: Exchange) -> None:
        """The same addresses as OpenAI's, for callers who send `anthropic-version`."""
        name(exchange)

        async def tell() -> None:
            await tell_models(exchange, self._models, one=encode_model, every=encode_models)

        await exchange.run(tell, shape=encode_error, frame=error_frame)

    async def refuse(self, exchange: Exchange, error: FarmError) -> None:
        """Answer with an error and nothing else."""
        name(exchange)
        await refuse(exchange, error, shape=encode_error)


def name(exchange: Exchange) -> None:
    """Tell the request's id under the name that Anthropic's clients know too."""
    exchange.headers_told = ((b"request-id", exchange.asked_id or exchange.id.encode()),)


def hear(body: Body, exchange: Exchange) -> None:
    """Take what the dialect's headers say."""
    assert isinstance(body, AnthropicBody)
    body.hear(version=exchange.header(VERSION), betas=exchange.header_list(BETA))


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
