"""Anthropic, and whatever else speaks Messages at an address of its own."""

from __future__ import annotations

import asyncio
from functools import partial

from farmgate.core.errors import FarmError, UnsupportedParameter, UpstreamInvalidResponse
from farmgate.core.model import Capability, Health, HealthStatus, ModelInfo
from farmgate.core.reply import Reply
from farmgate.core.request import Kind, Request
from farmgate.providers.exchange import ProviderCodec, ask, refusal
from farmgate.providers.provider import ProviderBase
from farmgate.providers.settings import ProviderSettings
from farmgate.providers.transport import Upstream
from farmgate.wire.anthropic.answers import decode_count, decode_whole
from farmgate.wire.anthropic.errors import decode_error
from farmgate.wire.anthropic.models import Page, decode_page
from farmgate.wire.anthropic.requests import betas_of, encode_count, encode_request, version_of
from farmgate.wire.anthropic.stream import StreamReader
from farmgate.wire.anthropic.writing import DEFAULT_MAX_TOKENS

__all__ = ["ANTHROPIC_URL", "AnthropicProvider"]

ANTHROPIC_URL = "https://api.anthropic.com"
BETA = "anthropic-beta"
HEALTH_S = 3.0
MOST_PAGES = 20


class AnthropicProvider(ProviderBase):
    """One server that speaks Messages.

    Options: `maxTokens`, the limit for callers of other dialects who set none (4096; on top of a budget for thinking).
    """

    capabilities = frozenset(
        {
            Capability.CHAT,
            Capability.TOOLS,
            Capability.VISION,
            Capability.FILES,
            Capability.STRUCTURED,
            Capability.REASONING,
        }
    )

    def __init__(self, settings: ProviderSettings) -> None:
        """Raises ValueError for a setting that makes no sense."""
        self.name = settings.name
        self._settings = settings
        self._max_tokens = max_tokens_of(settings)
        headers = {name.lower(): value for name, value in settings.headers.items()}
        self._betas = tuple(name.strip() for name in headers.pop(BETA, "").split(",") if name.strip())
        if settings.api_key:
            headers["x-api-key"] = settings.api_key
        url = (settings.url or ANTHROPIC_URL).rstrip("/").removesuffix("/v1")
        self._upstream = Upstream(url, name=settings.name, headers=headers, timeouts=settings.timeouts)

    async def send(self, request: Request) -> Reply:
        if request.kind is not Kind.CHAT:
            raise UnsupportedParameter(f"{self.name} has no {request.kind} API.", param="model")
        outgoing = encode_request(request, provider=self.name, max_tokens=self._max_tokens)
        return await ask(
            self._upstream,
            "/v1/messages",
            outgoing,
            request=request,
            settings=self._settings,
            codec=codec_of(request, self._settings),
            headers=self._lines(request),
        )

    def _lines(self, request: Request) -> bytes:
        """The version the caller asked for, and beta features: the configured ones and the caller's."""
        lines = f"anthropic-version: {version_of(request.body)}\r\n"
        betas = dict.fromkeys((*self._betas, *betas_of(request.body)))
        if betas:
            lines += f"{BETA}: {','.join(betas)}\r\n"
        return lines.encode("latin-1")

    async def count_tokens(self, request: Request) -> int | None:
        """As Anthropic counts them. Costs nothing there."""
        told = encode_count(request, provider=self.name)
        headers = self._lines(request)
        async with await self._upstream.send(
            "POST", "/v1/messages/count_tokens", body=told.body, headers=headers, deadline=request.deadline
        ) as answer:
            if answer.status != 200:
                raise await refusal(answer, error_reader(request, self.name))
            return decode_count(await answer.whole(self._settings.answer_bytes), provider=self.name)

    async def models(self) -> tuple[ModelInfo, ...]:
        if self._settings.models:
            return tuple(ModelInfo(name=name, provider=self.name) for name in self._settings.models)
        return await self._listed()

    async def _listed(self) -> tuple[ModelInfo, ...]:
        found: dict[str, ModelInfo] = {}
        after = ""
        for _ in range(MOST_PAGES):
            page = await self._page(after)
            found |= {model.id: model.info(self.name) for model in page.data}
            if not page.has_more or not page.last_id or page.last_id == after:
                break
            after = page.last_id
        return tuple(found.values())

    async def _page(self, after: str) -> Page:
        path = "/v1/models?limit=1000" + (f"&after_id={checked(after, self.name)}" if after else "")
        headers = b"anthropic-version: 2023-06-01\r\n"
        async with await self._upstream.send("GET", path, headers=headers) as answer:
            body = await answer.whole(self._settings.answer_bytes)
            if answer.status != 200:
                raise decode_error(answer.status, body, provider=self.name)
        return decode_page(body, provider=self.name)

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


def max_tokens_of(settings: ProviderSettings) -> int:
    """The limit for callers who set none. Raises ValueError."""
    told = settings.options.get("maxTokens", DEFAULT_MAX_TOKENS)
    if not isinstance(told, int) or isinstance(told, bool) or told < 1:
        raise ValueError(f"ai.providers.{settings.name}: maxTokens must be a whole number of tokens, not {told!r}")
    return told


def checked(cursor: str, provider: str) -> str:
    """A cursor as it may stand in an address. Raises UpstreamInvalidResponse."""
    if not cursor.isascii() or not all(sign.isalnum() or sign in "-._~@:" for sign in cursor):
        raise UpstreamInvalidResponse(f"{provider} lists its models in a form we do not know.")
    return cursor


def error_reader(request: Request, provider: str) -> partial[FarmError]:
    return partial(decode_error, provider=provider, model=request.model or "")


def codec_of(request: Request, settings: ProviderSettings) -> ProviderCodec:
    """How the answer to this request is read."""
    name, model = settings.name, request.model or ""
    return ProviderCodec(
        error=error_reader(request, name),
        whole=partial(decode_whole, provider=name, model=model),
        reader=lambda: StreamReader(provider=name, model=model, frame_bytes=settings.frame_bytes),
    )
