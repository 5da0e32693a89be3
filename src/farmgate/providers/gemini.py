"""The Gemini API of Google AI Studio, with an API key. Google Cloud's models are vertex.py's."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from farmgate.core.errors import ModelNotCapable
from farmgate.core.event import Event
from farmgate.core.model import Capability, Health, HealthStatus, ModelInfo
from farmgate.core.reply import Reply
from farmgate.core.request import Kind, Request
from farmgate.core.words import Chat, Embed
from farmgate.providers.checkup import checked_up
from farmgate.providers.exchange import ProviderCodec, ask, refusal
from farmgate.providers.many import Texts, batched, embed
from farmgate.providers.paths import segment
from farmgate.providers.provider import ProviderBase
from farmgate.providers.settings import ProviderSettings
from farmgate.providers.transport import Upstream
from farmgate.wire.gemini.answers import decode_whole
from farmgate.wire.gemini.counting import decode_count, encode_count
from farmgate.wire.gemini.embeddings import decode_batch, encode_batch, task_of
from farmgate.wire.gemini.errors import decode_error
from farmgate.wire.gemini.flavors import GEMINI_API
from farmgate.wire.gemini.models import Page, decode_models
from farmgate.wire.gemini.requests import chat_path, encode_request, quoted
from farmgate.wire.gemini.stream import StreamReader
from farmgate.wire.losses import Losses, Outgoing

__all__ = ["CAPABILITIES", "GeminiProvider", "chat_codec", "fixed_fields", "whole_codec"]

GEMINI_URL = "https://generativelanguage.googleapis.com/v1beta"
CAPABILITIES = frozenset(
    {
        Capability.CHAT,
        Capability.EMBEDDING,
        Capability.TOOLS,
        Capability.VISION,
        Capability.AUDIO,
        Capability.FILES,
        Capability.STRUCTURED,
        Capability.REASONING,
    }
)
HEALTH_S = 3.0
MOST_PAGES = 20
MOST_TEXTS = 100
"""That one batchEmbedContents takes."""


class GeminiProvider(ProviderBase):
    """The Gemini API.

    Options: `safetySettings`, as its API writes them, go with every chat.
    """

    capabilities = CAPABILITIES

    def __init__(self, settings: ProviderSettings) -> None:
        """Raises ValueError for a setting that makes no sense."""
        self.name = settings.name
        self._settings = settings
        self._fixed = fixed_fields(settings)
        headers = dict(settings.headers)
        if settings.api_key:
            headers["x-goog-api-key"] = settings.api_key
        self._upstream = Upstream(
            settings.url or GEMINI_URL, name=settings.name, headers=headers, timeouts=settings.timeouts
        )

    async def send(self, request: Request) -> Reply:
        match request.kind:
            case Kind.CHAT:
                return await self._chat(request)
            case Kind.EMBEDDING:
                return await self._embed(request)
            case _:
                raise ModelNotCapable(f"{self.name} has no {request.kind} API.", param="model")

    async def _chat(self, request: Request) -> Reply:
        outgoing = encode_request(request, provider=self.name, flavor=GEMINI_API, fixed=self._fixed)
        path = chat_path(path_of(request.model or ""), stream=request.stream)
        codec = chat_codec(request, self._settings)
        return await ask(self._upstream, path, outgoing, request=request, settings=self._settings, codec=codec)

    async def _embed(self, request: Request) -> Reply:
        words = request.body.ask()
        assert isinstance(words, Embed)
        losses = Losses(self.name)
        task = task_of(words, losses)
        path = path_of(request.model or "")

        async def one(texts: Texts) -> Event:
            part = Embed(inputs=texts, dimensions=words.dimensions)
            body = encode_batch(part, model=resource_of(request.model or ""), task=task)
            codec = whole_codec(self._settings, request, partial(decode_batch, inputs=len(texts), provider=self.name))
            reply = await ask(
                self._upstream,
                f"{path}:batchEmbedContents",
                Outgoing(body=body),
                request=request,
                settings=self._settings,
                codec=codec,
            )
            with reply:
                assert reply.event is not None
                return reply.event

        event = await embed(batched(words.inputs, MOST_TEXTS), one)
        reply = Reply.whole(event, provider=self.name, model=request.model or "")
        reply.dropped = losses.dropped
        return reply

    async def count_tokens(self, request: Request) -> int:
        """As Google counts them. Costs nothing there."""
        model = request.model or ""
        body = encode_count(request, provider=self.name, flavor=GEMINI_API, resource=resource_of(model))
        path = f"{path_of(model)}:countTokens"
        async with await self._upstream.send("POST", path, body=body, deadline=request.deadline) as answer:
            if answer.status != 200:
                raise await refusal(answer, partial(decode_error, provider=self.name, model=model))
            return decode_count(await answer.whole(self._settings.answer_bytes), provider=self.name)

    async def models(self) -> tuple[ModelInfo, ...]:
        """Those of the settings, each with what the API knows of it; without any, all the API has."""
        listed = await self._listed()
        if not self._settings.models:
            return listed
        known = {model.name: model for model in listed}
        return tuple(known.get(name, ModelInfo(name=name, provider=self.name)) for name in self._settings.models)

    async def _listed(self) -> tuple[ModelInfo, ...]:
        found: list[ModelInfo] = []
        page = await self._page("")
        found += page.models
        for _ in range(MOST_PAGES - 1):
            if page.next is None:
                break
            page = await self._page(f"&pageToken={quoted(page.next)}")
            found += page.models
        return tuple(found)

    async def _page(self, more: str) -> Page:
        async with await self._upstream.send("GET", f"/models?pageSize=1000{more}") as answer:
            if answer.status != 200:
                raise await refusal(answer, partial(decode_error, provider=self.name))
            return decode_models(await answer.whole(self._settings.answer_bytes), provider=self.name)

    async def health(self) -> Health:
        return await checked_up(self._look(), self._upstream, within_s=HEALTH_S, undone="list its models")

    async def _look(self) -> Health:
        models = await self.models()
        return Health(name=self.name, status=HealthStatus.HEALTHY, models=tuple(model.name for model in models))

    async def close(self) -> None:
        self._upstream.close()


def resource_of(model: str) -> str:
    """A model's resource name: `models/gemini-2.5-flash`."""
    return model if model.startswith("models/") else f"models/{model}"


def path_of(model: str) -> str:
    """A model's path. Raises ModelNotFound."""
    return f"/models/{segment(model.removeprefix('models/'))}"


def fixed_fields(settings: ProviderSettings) -> Mapping[str, object]:
    """What the operator has sent along with every chat. Raises ValueError."""
    safety = settings.options.get("safetySettings")
    if safety is None:
        return {}
    if not isinstance(safety, list | tuple) or not all(isinstance(one, Mapping) for one in safety):
        raise ValueError(f"ai.providers.{settings.name}: safetySettings must be a list of {{category, threshold}}")
    return {"safetySettings": [dict(one) for one in safety]}


def chat_codec(request: Request, settings: ProviderSettings) -> ProviderCodec:
    """How the answer to a chat is read."""
    name, model = settings.name, request.model or ""
    words = request.body.ask()
    choices = words.sampling.count if isinstance(words, Chat) else 1
    return ProviderCodec(
        error=partial(decode_error, provider=name, model=model),
        whole=partial(decode_whole, provider=name, model=model, request_id=request.id),
        reader=lambda: StreamReader(
            provider=name, model=model, request_id=request.id, choices=choices, frame_bytes=settings.frame_bytes
        ),
    )


def whole_codec(settings: ProviderSettings, request: Request, whole: partial[Event]) -> ProviderCodec:
    """How an answer that never streams is read."""
    name, model = settings.name, request.model or ""
    error = partial(decode_error, provider=name, model=model)
    return ProviderCodec(error=error, whole=whole, reader=lambda: StreamReader(provider=name, model=model))
