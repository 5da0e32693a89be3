"""Cohere: chat, embeddings and ranking, through the second version of its API."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from farmgate.core.errors import ModelNotCapable
from farmgate.core.event import Event
from farmgate.core.model import Capability, Health, HealthStatus, ModelInfo
from farmgate.core.reply import Reply
from farmgate.core.request import Request
from farmgate.core.words import Chat, Embed, Rerank
from farmgate.providers.checkup import checked_up
from farmgate.providers.exchange import ProviderCodec, ask, refusal
from farmgate.providers.many import all_of, vectors_event
from farmgate.providers.provider import ProviderBase
from farmgate.providers.settings import ProviderSettings
from farmgate.providers.transport import Upstream
from farmgate.wire.cohere.answers import Listed, decode_chat, decode_embeddings, decode_models, decode_ranking
from farmgate.wire.cohere.errors import decode_error
from farmgate.wire.cohere.requests import INPUT_TYPES, MOST_TEXTS, PATHS, encode_chat, encode_embed, encode_rerank
from farmgate.wire.cohere.stream import StreamReader
from farmgate.wire.losses import Outgoing

__all__ = ["COHERE_URL", "CohereProvider"]

COHERE_URL = "https://api.cohere.com"
MODELS = "/v1/models?page_size=1000"
HEALTH_S = 3.0
AT_ONCE = 8
"""How many of one request's embeddings are asked for at a time: each takes 96 texts."""


class CohereProvider(ProviderBase):
    """One account. Options: `input_type`, what texts are embedded for (`search_document`, unless a caller says it)."""

    capabilities = frozenset(
        {
            Capability.CHAT,
            Capability.EMBEDDING,
            Capability.RERANK,
            Capability.TOOLS,
            Capability.VISION,
            Capability.STRUCTURED,
            Capability.REASONING,
        }
    )

    def __init__(self, settings: ProviderSettings) -> None:
        """Raises ValueError for a setting that makes no sense."""
        self.name = settings.name
        self._settings = settings
        input_type = settings.options.get("input_type", INPUT_TYPES[0])
        if input_type not in INPUT_TYPES:
            raise ValueError(f"ai.providers.{self.name}: options.input_type has to be one of {', '.join(INPUT_TYPES)}")
        self._input_type = str(input_type)
        headers = dict(settings.headers)
        if settings.api_key:
            headers["authorization"] = f"Bearer {settings.api_key}"
        url = (settings.url or COHERE_URL).rstrip("/").removesuffix("/v2")
        self._upstream = Upstream(url, name=settings.name, headers=headers, timeouts=settings.timeouts)

    async def send(self, request: Request) -> Reply:
        words = request.body.ask()
        match words:
            case Chat():
                codec = self._codec(request, partial(decode_chat, provider=self.name))
                return await self._ask(request, encode_chat(request, words, provider=self.name), codec)
            case Embed():
                return await self._embed(request, words)
            case Rerank():
                whole = partial(decode_ranking, documents=len(words.documents), provider=self.name)
                outgoing = encode_rerank(request, words, provider=self.name)
                return await self._ask(request, outgoing, self._codec(request, whole))
            case _:
                raise ModelNotCapable(f"{self.name} has no {request.kind} API: use chat.", param="model")

    async def _ask(self, request: Request, outgoing: Outgoing, codec: ProviderCodec) -> Reply:
        path = PATHS[request.kind]
        return await ask(self._upstream, path, outgoing, request=request, settings=self._settings, codec=codec)

    def _codec(self, request: Request, whole: Callable[[bytes], Event]) -> ProviderCodec:
        name, frame_bytes = self.name, self._settings.frame_bytes
        return ProviderCodec(
            error=partial(decode_error, provider=name, model=request.model or ""),
            whole=whole,
            reader=lambda: StreamReader(provider=name, frame_bytes=frame_bytes),
        )

    async def _embed(self, request: Request, words: Embed) -> Reply:
        bodies = encode_embed(request, words, provider=self.name, input_type=self._input_type)
        sizes = [min(MOST_TEXTS, len(words.inputs) - MOST_TEXTS * at) for at in range(len(bodies))]
        jobs = [partial(self._some, request, body, size) for body, size in zip(bodies, sizes, strict=True)]
        found = await all_of(jobs, at_once=AT_ONCE)
        event = vectors_event([vectors for vectors, _ in found], [tokens for _, tokens in found])
        reply = Reply.whole(event, provider=self.name, model=request.model or "")
        reply.dropped = bodies[0].dropped if bodies else ()
        return reply

    async def _some(
        self, request: Request, outgoing: Outgoing, texts: int
    ) -> tuple[list[tuple[float, ...]], int | None]:
        path = PATHS[request.kind]
        async with await self._upstream.send("POST", path, body=outgoing.body, deadline=request.deadline) as answer:
            if answer.status != 200:
                raise await refusal(answer, partial(decode_error, provider=self.name, model=request.model or ""))
            body = await answer.whole(self._settings.answer_bytes)
        return decode_embeddings(body, texts=texts, provider=self.name)

    async def models(self) -> tuple[ModelInfo, ...]:
        if self._settings.models:
            return self._settings.named
        return tuple(
            ModelInfo(name=listed.name, provider=self.name, context_tokens=listed.context_tokens)
            for listed in await self._listed()
        )

    async def _listed(self) -> list[Listed]:
        async with await self._upstream.send("GET", MODELS) as answer:
            body = await answer.whole(self._settings.answer_bytes)
            if answer.status != 200:
                raise decode_error(answer.status, body, provider=self.name)
        return decode_models(body, provider=self.name)

    async def health(self) -> Health:
        """Whether the key is accepted and models are listed, which costs nothing."""
        return await checked_up(self._look(), self._upstream, within_s=HEALTH_S, undone="list its models")

    async def _look(self) -> Health:
        listed = await self._listed()
        names = self._settings.models or tuple(one.name for one in listed)
        return Health(name=self.name, status=HealthStatus.HEALTHY, models=names)

    async def close(self) -> None:
        self._upstream.close()
