"""OpenAI and everything that speaks its dialect. What differs between them is a row in registry.py."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import msgspec

from farmgate.core.errors import (
    ContextLengthExceeded,
    FarmError,
    UnsupportedParameter,
    UpstreamError,
    UpstreamInvalidResponse,
)
from farmgate.core.model import Capability, Health, HealthStatus, ModelInfo
from farmgate.core.reply import Emit, Event, Reply
from farmgate.core.request import Kind, Request
from farmgate.providers.provider import SAID_IN, ProviderBase
from farmgate.providers.registry import Row
from farmgate.providers.settings import ProviderSettings
from farmgate.providers.transport import Answer, Upstream
from farmgate.wire.openai.answers import decode_whole
from farmgate.wire.openai.errors import decode_error
from farmgate.wire.openai.requests import encode_request
from farmgate.wire.openai.stream import StreamReader

__all__ = ["OpenAIProvider", "send"]

PATHS = {Kind.CHAT: "/chat/completions", Kind.COMPLETION: "/completions", Kind.EMBEDDING: "/embeddings"}
NEEDS = {
    Kind.CHAT: Capability.CHAT,
    Kind.COMPLETION: Capability.COMPLETION,
    Kind.EMBEDDING: Capability.EMBEDDING,
}
ERROR_BYTES = 1 << 20
HEALTH_S = 3.0


class ModelEntry(msgspec.Struct):
    """One model as a provider lists it."""

    id: str
    created: object = None
    context_length: object = None
    max_model_len: object = None


class ModelList(msgspec.Struct):
    """A provider's list of models."""

    data: list[ModelEntry]


class OpenAIProvider(ProviderBase):
    """One server that speaks OpenAI."""

    def __init__(self, settings: ProviderSettings, row: Row) -> None:
        self.name = settings.name
        self.capabilities = row.capabilities
        self._row = row
        self._settings = settings
        headers = dict(settings.headers)
        if settings.api_key:
            headers["authorization"] = f"Bearer {settings.api_key}"
        self._upstream = Upstream(
            settings.url or row.url, name=settings.name, headers=headers, timeouts=settings.timeouts
        )

    async def send(self, request: Request) -> Reply:
        if NEEDS[request.kind] not in self.capabilities:
            raise UnsupportedParameter(f"{self.name} has no {request.kind} API.", param="model")
        return await send(self._upstream, request, settings=self._settings, asks_usage=self._row.asks_usage)

    async def models(self) -> tuple[ModelInfo, ...]:
        if self._settings.models:
            return tuple(ModelInfo(name=name, provider=self.name) for name in self._settings.models)
        return await self._listed()

    async def _listed(self) -> tuple[ModelInfo, ...]:
        async with await self._upstream.send("GET", "/models") as answer:
            body = await answer.whole(self._settings.answer_bytes)
            if answer.status != 200:
                raise decode_error(answer.status, body, provider=self.name)
        try:
            # Together lists its models without an object around them.
            listed = msgspec.json.decode(body, type=ModelList | list[ModelEntry])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UpstreamInvalidResponse(f"{self.name} lists its models in a form we do not know.") from error
        return tuple(
            ModelInfo(
                name=entry.id,
                provider=self.name,
                context_tokens=whole_number(entry.context_length) or whole_number(entry.max_model_len),
                created_unix=whole_number(entry.created) or 0,
            )
            for entry in (listed if isinstance(listed, list) else listed.data)
        )

    async def health(self) -> Health:
        try:
            async with asyncio.timeout(HEALTH_S):
                models = await self._listed()
        except FarmError as error:
            return Health(name=self.name, status=HealthStatus.UNHEALTHY, detail=error.message)
        except TimeoutError:
            detail = f"{self.name} ({self._upstream.address}) did not list its models within {HEALTH_S:g} s."
            return Health(name=self.name, status=HealthStatus.UNHEALTHY, detail=detail)
        names = self._settings.models or tuple(model.name for model in models)
        return Health(name=self.name, status=HealthStatus.HEALTHY, models=names)

    async def close(self) -> None:
        self._upstream.close()


def whole_number(value: object) -> int | None:
    """The value if it is a number a model's list may hold."""
    return value if type(value) is int and 0 <= value < 1 << 53 else None


async def send(
    upstream: Upstream,
    request: Request,
    *,
    settings: ProviderSettings,
    asks_usage: bool,
    prefix: str = "",
    headers: bytes = b"",
) -> Reply:
    """Ask a server that speaks OpenAI. The Reply's close frees or ends the connection. Raises FarmError.

    `asks_usage`: it knows `stream_options`; `prefix` is put before the dialect's paths.
    """
    body = encode_request(request, ask_usage=asks_usage)
    path = prefix + PATHS[request.kind]
    answer = await upstream.send("POST", path, body=body, headers=headers, deadline=request.deadline)
    try:
        if answer.status != 200:
            raise await refusal(answer, provider=settings.name, kind=request.kind)
        kind = answer.headers.get("content-type", "").lower()
        encoding = answer.headers.get("content-encoding", "identity")
        if encoding not in ("identity", ""):
            raise UpstreamInvalidResponse(f"{settings.name} compressed its answer, which it was asked not to.")
        if kind.startswith("application/json"):
            whole = decode_whole(await answer.whole(settings.answer_bytes), kind=request.kind, provider=settings.name)
            answer.close()
            return Reply.whole(whole, provider=settings.name, model=request.model or "")
        if request.stream and kind.startswith("text/event-stream"):
            return stream(answer, request, settings)
        raise UpstreamInvalidResponse(f"{settings.name} answered with {kind[:80] or 'no content type'}.")
    except BaseException:
        answer.close()
        raise


async def refusal(answer: Answer, *, provider: str, kind: Kind) -> FarmError:
    """What an answer other than 200 means."""
    try:
        body = await answer.whole(ERROR_BYTES)
    except FarmError:
        body = b""
    error = decode_error(answer.status, body, provider=provider)
    if isinstance(error, ContextLengthExceeded | UnsupportedParameter) and error.param is None:
        error.param = SAID_IN[kind]
    after = answer.headers.get("retry-after", "")
    if after.isdecimal():
        error.retry_after_s = min(float(after), 300.0)
    return error


def stream(answer: Answer, request: Request, settings: ProviderSettings) -> Reply:
    """The events of a stream that has begun."""
    reader = StreamReader(
        provider=settings.name,
        show_usage=request.want_usage,
        frame_bytes=settings.frame_bytes,
        one_choice=request.body.fields.get("n") in (None, 1),
    )

    async def following() -> Event | None:
        while not reader.is_done:
            data = await answer.read()
            if data is None:
                break
            event = reader.feed(data)
            if event is not None:
                return event
        reader.end()
        if reader.is_done:
            await answer.drain()
        return None

    async def pour(emit: Emit) -> None:
        def sink(data: bytes) -> Awaitable[None] | None:
            event = reader.feed(data)
            if reader.is_done:
                answer.hurry()
            return None if event is None else emit(event)

        try:
            await answer.pour(sink)
        except UpstreamError:
            # An answer that is whole stays so, whatever its connection does afterwards.
            if not reader.is_done:
                raise
        reader.end()

    return Reply(following, provider=settings.name, model=request.model or "", close=answer.close, pour=pour)
