"""Azure OpenAI and Azure AI Foundry: OpenAI's dialect at an address of one's own, the deployment for a model.

Source: https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle
"""

from __future__ import annotations

import re

from farmgate.core.errors import ModelNotCapable, ModelNotFound
from farmgate.core.model import Capability, Health, HealthStatus, ModelInfo
from farmgate.core.reply import Reply
from farmgate.core.request import Kind, Request
from farmgate.providers.checkup import checked_up
from farmgate.providers.credentials import azure_credential
from farmgate.providers.exchange import refusal
from farmgate.providers.openai import send
from farmgate.providers.provider import ProviderBase
from farmgate.providers.registry import ROWS
from farmgate.providers.settings import ProviderSettings
from farmgate.providers.transport import Upstream
from farmgate.wire.openai.errors import decode_error

__all__ = ["AzureProvider"]

KINDS = frozenset({Kind.CHAT, Kind.COMPLETION, Kind.EMBEDDING})
DATED = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
UNDATED = ("v1", "latest", "preview")
DEPLOYMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
HEALTH_S = 5.0


class AzureProvider(ProviderBase):
    """One Azure resource.

    `url`: `https://NAME.openai.azure.com` or `https://NAME.services.ai.azure.com`, with or without `/openai/v1`.
    Options: `apiVersion`: a date, for the API with a path for each deployment; without one the v1 API is spoken
    (`preview` with what is not finished in it). `credential`: see credentials/azure.py, where there is no `apiKey`.
    """

    capabilities = frozenset(
        {
            Capability.CHAT,
            Capability.COMPLETION,
            Capability.EMBEDDING,
            Capability.TOOLS,
            Capability.VISION,
            Capability.AUDIO,
            Capability.STRUCTURED,
            Capability.REASONING,
        }
    )

    def __init__(self, settings: ProviderSettings) -> None:
        """Raises ValueError or CredentialError for a setting that makes no sense."""
        self.name = settings.name
        self._settings = settings
        self._version = version_of(settings)
        self._credential = azure_credential(settings)
        self._upstream = Upstream(
            base_of(settings), name=settings.name, headers=settings.headers, timeouts=settings.timeouts
        )

    async def send(self, request: Request) -> Reply:
        if request.kind not in KINDS:
            raise ModelNotCapable(f"{self.name} has no {request.kind} API here.", param="model")
        # A token is not bound to a path or a body.
        lines = await self._credential.headers(method="POST", path="", body=b"", deadline=request.deadline)
        return await send(
            self._upstream,
            request,
            settings=self._settings,
            asks_usage=True,
            quirks=ROWS["openai"].quirks,
            prefix=self._prefix(request.model or ""),
            query=self._query,
            headers=lines,
        )

    @property
    def _is_dated(self) -> bool:
        return DATED.fullmatch(self._version) is not None

    @property
    def _query(self) -> str:
        return "" if self._version in ("", "v1") else f"?api-version={self._version}"

    def _prefix(self, deployment: str) -> str:
        """What stands in front of the dialect's paths."""
        if not self._is_dated:
            return "/openai/v1"
        if not DEPLOYMENT.fullmatch(deployment):
            raise ModelNotFound(f"{self.name} has no deployment {deployment[:100]!r}.", param="model")
        return f"/openai/deployments/{deployment}"

    async def models(self) -> tuple[ModelInfo, ...]:
        """The deployments of the settings: Azure lists them to those who administer the resource only."""
        named = self._settings.models or ((self._settings.default_model,) if self._settings.default_model else ())
        return tuple(ModelInfo(name=name, provider=self.name) for name in named)

    async def health(self) -> Health:
        """Whether the resource answers and takes the credential; its deployments are not asked."""
        return await checked_up(self._look(), self._upstream, within_s=HEALTH_S)

    async def _look(self) -> Health:
        await self._knock()
        models = await self.models()
        advice = None if models else f"Name its deployments in ai.providers.{self.name}.models."
        names = tuple(model.name for model in models)
        return Health(name=self.name, status=HealthStatus.HEALTHY, models=names, detail=advice)

    async def _knock(self) -> None:
        path = ("/openai/models" if self._is_dated else "/openai/v1/models") + self._query
        lines = await self._credential.headers(method="GET", path=path, body=b"")
        async with await self._upstream.send("GET", path, headers=lines) as answer:
            if answer.status != 200:
                raise await refusal(answer, lambda status, body: decode_error(status, body, provider=self.name))

    async def close(self) -> None:
        await self._credential.close()
        self._upstream.close()


def version_of(settings: ProviderSettings) -> str:
    """`options.apiVersion`; empty for the v1 API. Raises ValueError."""
    told = settings.options.get("apiVersion")
    if told is None:
        return ""
    # YAML reads a bare 2024-10-21 as a date.
    version = str(told)
    if version not in UNDATED and not DATED.fullmatch(version):
        raise ValueError(
            f"ai.providers.{settings.name}: apiVersion is a date such as 2024-10-21, or left out for the v1 API, "
            f"not {version[:40]!r}"
        )
    return version


def base_of(settings: ProviderSettings) -> str:
    """The resource's address without the path of an API. Raises ValueError."""
    if not settings.url:
        raise ValueError(
            f"ai.providers.{settings.name}: set url to the resource's endpoint, such as "
            "https://NAME.openai.azure.com or https://NAME.services.ai.azure.com"
        )
    base = settings.url.rstrip("/")
    for ending in ("/openai/v1", "/openai"):
        base = base.removesuffix(ending)
    return base.rstrip("/")
