"""OpenAI and everything that speaks its dialect. What differs between them is a row in registry.py."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import cached_property, lru_cache, partial

from farmgate.core.errors import (
    ContextLengthExceeded,
    FarmError,
    UnsupportedParameter,
    UpstreamUnreachable,
)
from farmgate.core.model import EngineLoad, Health, HealthStatus, ModelInfo
from farmgate.core.reply import Reply
from farmgate.core.request import Kind, Request
from farmgate.providers.checkup import checked_up
from farmgate.providers.exchange import ProviderCodec, ask
from farmgate.providers.provider import SAID_IN, ProviderBase
from farmgate.providers.registry import Row
from farmgate.providers.settings import ProviderSettings
from farmgate.providers.transport import Upstream
from farmgate.wire.engine_load import decode_load
from farmgate.wire.openai.answers import decode_whole
from farmgate.wire.openai.errors import decode_error
from farmgate.wire.openai.media import ANSWER_TYPES, MEDIA, Opaque, OpaqueReader, read_json
from farmgate.wire.openai.models import decode_models
from farmgate.wire.openai.naming import NamingReader, name_whole
from farmgate.wire.openai.quirks import PLAIN, Quirks
from farmgate.wire.openai.requests import NOTHING, encode_request
from farmgate.wire.openai.stream import StreamReader
from farmgate.wire.responses.answers import decode_whole as decode_whole_response
from farmgate.wire.responses.requests import ResponsesBody
from farmgate.wire.responses.requests import encode_request as encode_response_request
from farmgate.wire.responses.stream import StreamReader as ResponseReader

__all__ = ["OpenAIProvider", "send"]

PATHS = {
    Kind.CHAT: "/chat/completions",
    Kind.COMPLETION: "/completions",
    Kind.EMBEDDING: "/embeddings",
    Kind.RERANK: "/rerank",
    Kind.MODERATION: "/moderations",
    Kind.IMAGE: "/images/generations",
    Kind.SPEECH: "/audio/speech",
    Kind.TRANSCRIPTION: "/audio/transcriptions",
}
HEALTH_S = 3.0
LOAD_S = 1.0
LOAD_BYTES = 4 << 20


class OpenAIProvider(ProviderBase):
    """One server that speaks OpenAI."""

    def __init__(self, settings: ProviderSettings, row: Row) -> None:
        self.name = settings.name
        self.capabilities = row.capabilities
        self._row = row
        self._quirks = row.quirks_at(settings.url)
        self._settings = settings
        self._has_responses = has_responses(settings, row)
        headers = dict(settings.headers)
        if settings.api_key:
            headers["authorization"] = f"Bearer {settings.api_key}"
        self._headers = headers
        self._upstream = Upstream(
            settings.url or row.url, name=settings.name, headers=headers, timeouts=settings.timeouts
        )

    async def send(self, request: Request) -> Reply:
        row = self._row
        try:
            if self._has_responses and isinstance(request.body, ResponsesBody):
                return await send_response(self._upstream, request, request.body, settings=self._settings)
            return await send(
                self._upstream, request, settings=self._settings, asks_usage=row.asks_usage, quirks=self._quirks
            )
        except UpstreamUnreachable as error:
            raise self._with_advice(error) from error

    async def models(self) -> tuple[ModelInfo, ...]:
        named = self._settings.models
        if named and not self._row.tells:
            return self._settings.named
        listed = {info.name: info for info in await self._listed()}
        return tuple(listed.get(name) or ModelInfo(name=name, provider=self.name) for name in named or listed)

    async def _listed(self) -> tuple[ModelInfo, ...]:
        try:
            sent = await self._upstream.send("GET", "/models")
        except UpstreamUnreachable as error:
            raise self._with_advice(error) from error
        async with sent as answer:
            body = await answer.whole(self._settings.answer_bytes)
            if answer.status == 404 and not self._row.lists_models:
                return ()
            if answer.status != 200:
                raise decode_error(answer.status, body, provider=self.name)
        return decode_models(body, provider=self.name, day=time.strftime("%Y-%m-%d", time.gmtime()))

    def _with_advice(self, error: UpstreamUnreachable) -> UpstreamUnreachable:
        is_cloud = not self._row.is_local and self._settings.url is None
        advice = "See that this machine is online." if is_cloud else "See that it runs and that its url is right."
        return UpstreamUnreachable(f"{error.message} {advice}")

    async def health(self) -> Health:
        return await checked_up(self._look(), self._upstream, within_s=HEALTH_S, undone="list its models")

    async def _look(self) -> Health:
        models = await self._listed()
        names = self._settings.models or tuple(model.name for model in models)
        return Health(name=self.name, status=HealthStatus.HEALTHY, models=names)

    async def engine_load(self) -> EngineLoad | None:
        path = self._row.load_path
        if path is None:
            return None
        deadline = asyncio.get_running_loop().time() + LOAD_S
        async with await self._root.send("GET", path, deadline=deadline) as answer:
            body = await answer.whole(LOAD_BYTES)
        return decode_load(body) if answer.status == 200 else None

    @cached_property
    def _root(self) -> Upstream:
        """The same server, without the path of its API."""
        url = (self._settings.url or self._row.url).rstrip("/").removesuffix("/v1")
        return Upstream(url, name=self.name, headers=self._headers, timeouts=self._settings.timeouts)

    async def close(self) -> None:
        self._upstream.close()
        if "_root" in vars(self):
            self._root.close()


def has_responses(settings: ProviderSettings, row: Row) -> bool:
    """Whether it is asked for responses in their own dialect. Option: `responses`, true or false.

    A server at another address than the row's mostly speaks chat only, whatever it is called.
    """
    wanted = settings.options.get("responses")
    if isinstance(wanted, bool):
        return wanted
    return row.has_responses and settings.url in (None, row.url)


async def send(
    upstream: Upstream,
    request: Request,
    *,
    settings: ProviderSettings,
    asks_usage: bool,
    quirks: Quirks = PLAIN,
    ours: Mapping[str, object] = NOTHING,
    prefix: str = "",
    query: str = "",
    headers: bytes = b"",
    named: str | None = None,
) -> Reply:
    """Ask a server that speaks OpenAI. The Reply's close frees or ends the connection. Raises FarmError.

    `asks_usage`: it knows `stream_options`; `quirks`: where it differs from OpenAI; `ours` as `encode_request` has it;
    `prefix` is put before the dialect's paths, `query` behind them; `named`: what answers are to call the model,
    where that is not what the server calls it.
    """
    outgoing = encode_request(request, provider=settings.name, ask_usage=asks_usage, quirks=quirks, ours=ours)
    path = prefix + PATHS[request.kind] + query
    codec = codec_of(request, settings, named)
    return await ask(upstream, path, outgoing, request=request, settings=settings, codec=codec, headers=headers)


async def send_response(
    upstream: Upstream, request: Request, body: ResponsesBody, *, settings: ProviderSettings
) -> Reply:
    """Ask a server for a response in its own dialect: the caller's bytes out, its frames back as they are."""
    name = settings.name
    outgoing = encode_response_request(request, body, provider=name)
    codec = ProviderCodec(
        error=partial(decode_error, provider=name),
        whole=partial(decode_whole_response, provider=name),
        reader=lambda: ResponseReader(provider=name, frame_bytes=settings.frame_bytes),
    )
    return await ask(upstream, "/responses", outgoing, request=request, settings=settings, codec=codec)


def codec_of(request: Request, settings: ProviderSettings, named: str | None) -> ProviderCodec:
    """How the answer to this request is read."""
    one_choice = request.body.fields.get("n") in (None, 1)
    return codec(request.kind, settings.name, settings.frame_bytes, request.want_usage, one_choice, named)


@lru_cache(maxsize=256)
def codec(
    kind: Kind, name: str, frame_bytes: int, show_usage: bool, one_choice: bool, named: str | None
) -> ProviderCodec:
    """Kept: there are few, and making one costs as much as routing a request."""
    error = partial(refused, kind, name)
    if kind in MEDIA:
        types = ANSWER_TYPES.get(kind, ("application/json",))
        return ProviderCodec(
            error=error,
            whole=partial(read_json, provider=name) if kind not in ANSWER_TYPES else Opaque,
            reader=lambda: OpaqueReader(name),
            stream_type=types if kind is Kind.SPEECH else "text/event-stream",
            whole_type=types,
        )
    whole = partial(decode_whole, kind=kind, provider=name)
    reader = partial(StreamReader, provider=name, show_usage=show_usage, frame_bytes=frame_bytes, one_choice=one_choice)
    if named is None:
        return ProviderCodec(error=error, whole=whole, reader=reader)
    return ProviderCodec(
        error=error,
        whole=lambda body: name_whole(whole(body), named),
        reader=lambda: NamingReader(reader(), named),
    )


def refused(kind: Kind, provider: str, status: int, body: bytes) -> FarmError:
    """What a status other than 200 means; where it is about the input, the field that holds it is named."""
    error = decode_error(status, body, provider=provider)
    if isinstance(error, ContextLengthExceeded | UnsupportedParameter) and error.param is None:
        error.param = SAID_IN.get(kind)
    return error
