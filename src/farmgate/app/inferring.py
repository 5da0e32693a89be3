"""The models of this machine as the v2 protocol shows them: by the name that callers have for them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace

from farmgate.core.errors import FarmError, ModelNotCapable, ModelNotFound
from farmgate.core.model import Served
from farmgate.core.ports import Lender
from farmgate.core.request import Kind
from farmgate.flow.plan import plan
from farmgate.flow.route import Candidate, Catalog, shown
from farmgate.providers.inference import check_version
from farmgate.providers.local import LocalProvider
from farmgate.providers.provider import Provider

__all__ = ["Inferring"]


class Inferring:
    """Fills the surface's Inference. Nothing is started but by `describe`."""

    def __init__(self, catalog: Catalog, providers: Mapping[str, Provider], lender: Lender) -> None:
        self._catalog = catalog
        self._providers = providers
        self._lender = lender

    async def served(self, name: str, version: str | None) -> Served:
        """The model by that name. Raises ModelNotFound, also for a version that does not answer; ModelNotCapable."""
        candidate, _ = await self._find(name)
        served = self._lender.served(candidate.model)
        if not served.infers:
            raise ModelNotCapable(f"{name} takes no tensors: {served.engine} is for text.", param="model")
        check_version(name, version, served.version)
        return replace(served, name=name)

    async def describe(self, name: str, version: str | None, *, deadline: float) -> bytes:
        """Its metadata. Raises FarmError."""
        candidate, provider = await self._find(name)
        return await provider.describe(candidate.model, version, deadline=deadline)

    def all(self) -> tuple[Served, ...]:
        """Every model of this machine that takes tensors."""
        found: list[Served] = []
        for info in self._lender.models():
            # One whose engine is not installed cannot be asked.
            with contextlib.suppress(FarmError):
                found.append(self._lender.served(info.name))
        return tuple(served for served in found if served.infers)

    async def _find(self, name: str) -> tuple[Candidate, LocalProvider]:
        try:
            candidate = plan(name, None, self._catalog.view(), Kind.INFER).first
        except ModelNotFound:
            # It may have been declared a moment ago.
            await self._catalog.refresh()
            candidate = plan(name, None, self._catalog.view(), Kind.INFER).first
        provider = self._providers[candidate.provider]
        if not isinstance(provider, LocalProvider):
            raise ModelNotCapable(f"{shown(name)} is no model of this machine that takes tensors.", param="model")
        return candidate, provider
