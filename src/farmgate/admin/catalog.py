"""Which models there are: a snapshot for routing, renewed in the background and when a name is not known."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from farmgate.core.errors import FarmError
from farmgate.core.model import ModelInfo
from farmgate.core.ports import Clock
from farmgate.flow.route import ProviderView, View
from farmgate.telemetry import log

__all__ = ["Listed", "ModelCatalog", "Source"]

REFRESH_LIMIT_S = 3.0
AGAIN_AFTER_S = 2.0


class Source(Protocol):
    """Who has models."""

    async def models(self) -> tuple[ModelInfo, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One provider as configured. `models` are named in the configuration; `is_open`: others may be asked for.

    `kinds` and `version_joint` are as routing knows them.
    """

    source: Source
    models: tuple[str, ...] = ()
    default_model: str | None = None
    is_open: bool = False
    kinds: frozenset[str] | None = None
    version_joint: str = "-"
    asks: bool = True
    """Whether to ask the provider what it has, for routing; a cloud's list is not fetched just to route."""


class ModelCatalog:
    """The models of every provider. `view()` costs nothing; it is replaced whole."""

    def __init__(
        self,
        providers: Mapping[str, Listed],
        *,
        default_provider: str | None,
        clock: Clock,
        left_out: Iterable[str] = (),
    ) -> None:
        self._providers = dict(providers)
        self._left_out = frozenset(left_out)
        self._default = default_provider
        self._clock = clock
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None
        self._known: dict[str, tuple[ModelInfo, ...]] = {}
        self.silent: dict[str, str] = {}
        """Providers that did not tell what they have when last asked, with the reason."""
        self._view = self._build()

    def view(self) -> View:
        return self._view

    def models(self) -> list[ModelInfo]:
        """Every model known now; configured names come first within their provider."""
        found: dict[tuple[str, str], ModelInfo] = {}
        for name, listed in self._providers.items():
            known = {info.name: info for info in self._known.get(name, ())}
            for model in (*listed.models, *known):
                found.setdefault((name, model), known.get(model) or ModelInfo(name=model, provider=name))
        return list(found.values())

    async def refresh(self, *, at_once: bool = False) -> None:
        """Ask every provider that can tell; at most once every two seconds, once for many askers.

        `at_once`: something has changed, so what was told a moment ago is not enough.
        """
        if at_once and self._asking is not None:
            await asyncio.shield(self._asking)
        if self._asking is None:
            if not at_once and self._clock() - self._asked_at < AGAIN_AFTER_S:
                return
            self._asking = asyncio.create_task(self._ask_all())
            self._asking.add_done_callback(self._asked)
        await asyncio.shield(self._asking)

    def _asked(self, _: asyncio.Task[None]) -> None:
        self._asking = None
        self._asked_at = self._clock()

    async def _ask_all(self) -> None:
        asked = {name: listed for name, listed in self._providers.items() if listed.asks}
        answers = await asyncio.gather(*(self._ask(name, listed.source) for name, listed in asked.items()))
        self._known = {name: answer for name, answer in zip(asked, answers, strict=True) if answer is not None}
        self._view = self._build()

    async def _ask(self, name: str, source: Source) -> tuple[ModelInfo, ...] | None:
        try:
            async with asyncio.timeout(REFRESH_LIMIT_S):
                models = await source.models()
            self.silent.pop(name, None)
            return models
        except (FarmError, TimeoutError) as error:
            # Fail open: what it had before may be there still, and asking it will tell.
            self.silent[name] = str(error) or f"it did not list its models within {REFRESH_LIMIT_S:g} s"
            log.info("models_not_listed", provider=name, reason=self.silent[name])
            return self._known.get(name)

    def _build(self) -> View:
        return View(
            providers={
                name: ProviderView(
                    models=frozenset((*listed.models, *(info.name for info in self._known.get(name, ())))),
                    default_model=listed.default_model,
                    is_open=listed.is_open,
                    kinds=listed.kinds,
                    version_joint=listed.version_joint,
                )
                for name, listed in self._providers.items()
            },
            default_provider=self._default,
            left_out=self._left_out,
        )

    async def close(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()
