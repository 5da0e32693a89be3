"""What Bedrock and SageMaker have in common: a region, an address in it, and who Farmgate is there."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from farmgate.core.errors import FarmError, ModelNotFound
from farmgate.providers.credentials import Credential, CredentialError, aws_credential, aws_region
from farmgate.providers.settings import ProviderSettings
from farmgate.providers.transport import Answer, Upstream

__all__ = ["HEADER", "HEALTH_S", "Amazon", "open_amazon", "segment", "text_option"]

HEALTH_S = 5.0
HEADER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.:/-]{0,255}")
"""A name that can stand in a header."""


@dataclass(frozen=True, slots=True)
class Amazon:
    """One service in one region."""

    upstream: Upstream
    credential: Credential

    async def lines(self, path: str, body: bytes, *, deadline: float | None = None, method: str = "POST") -> bytes:
        """The header lines that prove who asks, for exactly this request."""
        return await self.credential.headers(method=method, path=path, body=body, deadline=deadline)

    async def send(self, path: str, body: bytes, *, headers: bytes = b"", deadline: float | None = None) -> Answer:
        """Ask, signed. The caller closes the answer. Raises FarmError."""
        lines = await self.lines(path, body, deadline=deadline)
        return await self.upstream.send("POST", path, body=body, headers=lines + headers, deadline=deadline)

    async def trouble(self, path: str, body: bytes, *, fine: frozenset[int]) -> str | None:
        """What is wrong, or None where a signed request that asks for nothing is answered with a `fine` status."""
        try:
            async with asyncio.timeout(HEALTH_S), await self.send(path, body) as answer:
                status = answer.status
        except (FarmError, TimeoutError) as error:
            return self._told(error)
        if status in fine:
            return None
        if status in (401, 403):
            return f"{self.upstream.name} refuses the AWS credentials, or they may not invoke this (HTTP {status})."
        return f"{self.upstream.name} answers HTTP {status}."

    async def unreachable(self, path: str) -> str | None:
        """What is wrong, or None where there are credentials and anything but a failure is answered."""
        try:
            async with asyncio.timeout(HEALTH_S):
                lines = await self.lines(path, b"", method="GET")
                async with await self.upstream.send("GET", path, headers=lines) as answer:
                    status = answer.status
        except (FarmError, TimeoutError) as error:
            return self._told(error)
        return f"{self.upstream.name} answers HTTP {status}." if status >= 500 else None

    def _told(self, error: FarmError | TimeoutError) -> str:
        if isinstance(error, FarmError):
            return error.message
        return f"{self.upstream.name} ({self.upstream.address}) did not answer within {HEALTH_S:g} s."

    async def close(self) -> None:
        """End every connection, and what keeps the credentials fresh."""
        await self.credential.close()
        self.upstream.close()


def open_amazon(settings: ProviderSettings, *, service: Literal["bedrock", "sagemaker"], host: str) -> Amazon:
    """`host` is the service's name in front of the region's. Raises ValueError for what cannot work."""
    try:
        region = aws_region(settings)
        url = settings.url or f"https://{host}.{region}.{suffix(region)}"
        credential = aws_credential(settings, service=service, region=region, url=url)
    except CredentialError as error:
        raise ValueError(f"ai.providers.{settings.name}: {error}") from error
    upstream = Upstream(url, name=settings.name, headers=settings.headers, timeouts=settings.timeouts)
    return Amazon(upstream, credential)


def segment(name: str) -> str:
    """A name as one step of a path. Raises ModelNotFound for one that would lead out of it."""
    if name in ("", ".", ".."):
        raise ModelNotFound(f"There is no model {name!r}.", param="model")
    return quote(name, safe="")


def suffix(region: str) -> str:
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def text_option(settings: ProviderSettings, name: str) -> str | None:
    """One of `options` that is a text. Raises ValueError if it is anything else."""
    value = settings.options.get(name)
    if value is None or (isinstance(value, str) and value):
        return value
    raise ValueError(f"ai.providers.{settings.name}: options.{name} has to be a text")
