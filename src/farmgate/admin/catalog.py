"""Which models there are and what is known of each: a snapshot for routing, renewed in the background and when a name
is not known.

What the operator states of a model beats what its provider lists, which beats what is published.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from farmgate.admin.prices import Beside, first_of
from farmgate.core.errors import FarmError
from farmgate.core.model import Facts, ModelInfo
from farmgate.core.ports import Clock
from farmgate.flow.plan import plan
from farmgate.flow.route import ProviderView, View
from farmgate.flow.routes import Route
from farmgate.telemetry import log

__all__ = ["Listed", "ModelCatalog", "Source"]

REFRESH_LIMIT_S = 3.0
AGAIN_AFTER_S = 2.0
NEAR_AGAIN_AFTER_S = 0.05
LEARN_AFTER_S = 3600.0
LEARN_AGAIN_AFTER_S = 60.0


class Source(Protocol):
    """Who has models."""

    async def models(self) -> tuple[ModelInfo, ...]: ...

    async def learn(self) -> None:
        """Find out what `models` tells from then on beyond names, where that takes time of its own."""


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
    is_near: bool = False
    """Whether what it has is looked up on this machine, without asking anybody."""
    tells: bool = False
    """Whether more can be learnt of its models than routing needs: from a list that was not fetched to route, or by
    asking for each."""


class ModelCatalog:
    """The models of every provider. `view()` costs nothing; it is replaced whole."""

    def __init__(
        self,
        providers: Mapping[str, Listed],
        *,
        default_provider: str | None,
        clock: Clock,
        beside: Beside | None = None,
        wall_clock: Clock = time.time,
        left_out: Iterable[str] = (),
        configured: Iterable[str] = (),
        routes: Mapping[str, Route] | None = None,
        falls_back: bool = True,
        region: str | None = None,
    ) -> None:
        """`beside`: what is known of models from others than their providers; `wall_clock` is in seconds since 1970."""
        self._providers = dict(providers)
        self._left_out = frozenset(left_out)
        self._configured = frozenset(configured)
        self._routes = routes or {}
        self._falls_back = falls_back
        self._region = region
        self._default = default_provider
        self._clock = clock
        self._beside = beside or Beside()
        self._wall_clock = wall_clock
        self._asked_at = self._near_asked_at = float("-inf")
        self._learn_at: dict[str, float] = {}
        self._asking: asyncio.Task[None] | None = None
        self._learning: asyncio.Task[None] | None = None
        self._known: dict[str, tuple[ModelInfo, ...]] = {}
        self._told: dict[str, Mapping[str, ModelInfo]] = {}
        self.silent: dict[str, str] = {}
        """Providers that did not tell what they have when last asked, with the reason."""
        self._view = self._build()

    def view(self) -> View:
        return self._view

    def models(self) -> list[ModelInfo]:
        """Every model known now; configured names come first within their provider."""
        found: dict[tuple[str, str], ModelInfo] = {}
        for name, listed in self._providers.items():
            infos = self._listed(name)
            for model in (*listed.models, *(info.name for info in self._known.get(name, ()))):
                info = infos.get(model) or ModelInfo(name=model, provider=name)
                said = self._beside.said(name, model)
                found[name, model] = with_facts(info, first_of(said, info, self.published(name, model)))
        return [*self._named(found), *found.values()]

    def _named(self, found: Mapping[tuple[str, str], ModelInfo]) -> Iterator[ModelInfo]:
        """The names operators gave, each with what is known of its first target. What has a `*` is no name."""
        for name in self._routes:
            if "*" in name:
                continue
            try:
                first = plan(name, None, self._view).first
            except FarmError:
                continue
            info = found.get((first.provider, first.model)) or ModelInfo(name=name, provider=first.provider)
            yield replace(info, name=name, description=f"stands for {first.key}")

    def published(self, provider: str, model: str) -> Facts:
        found = self._beside.published(provider, model, at_unix=self._wall_clock())
        stated = self._beside.said(provider, model).price
        return found if stated is None else replace(found, price=stated)

    def _listed(self, provider: str) -> Mapping[str, ModelInfo]:
        return {**self._told.get(provider, {}), **{info.name: info for info in self._known.get(provider, ())}}

    async def refresh(self, *, at_once: bool = False, near: bool = False) -> None:
        """Ask every provider that can tell; at most once every two seconds, once for many askers. What is on this
        machine is looked at sooner: somebody may have pulled it a moment ago, and asks for it now.

        `at_once`: something has changed, so what was told a moment ago is not enough. `near`: on this machine alone.
        """
        if at_once and self._asking is not None:
            await asyncio.shield(self._asking)
        if self._asking is None:
            now = self._clock()
            near_only = near or (not at_once and now - self._asked_at < AGAIN_AFTER_S)
            if near_only and not at_once and now - self._near_asked_at < NEAR_AGAIN_AFTER_S:
                return
            self._asking = asyncio.create_task(self._ask_all(near_only=near_only))
            self._asking.add_done_callback(partial(self._asked, near_only=near_only))
        await asyncio.shield(self._asking)

    async def learn(self) -> None:
        """Find out what models can and cost, where routing did not need to know: from a list that is fetched for this
        alone at most once an hour."""
        self.learn_soon()
        if self._learning is not None:
            await asyncio.shield(self._learning)

    def learn_soon(self) -> None:
        """`learn`, without waiting for it."""
        now = self._clock()
        due = [name for name, one in self._providers.items() if one.tells and self._learn_at.get(name, now) <= now]
        if self._learning is None and due:
            self._learning = asyncio.create_task(self._learn_of(due))
            self._learning.add_done_callback(self._learnt)

    async def _learn_of(self, names: list[str]) -> None:
        await asyncio.gather(*map(self._learn_from, names))
        self._view = self._build()

    async def _learn_from(self, name: str) -> None:
        listed = self._providers[name]
        answer = await self._ask(name, listed.source, learn=True)
        if answer is None:
            again_s = LEARN_AGAIN_AFTER_S
        elif listed.asks:
            self._known[name] = answer
            again_s = AGAIN_AFTER_S
        else:
            self._told[name] = {info.name: info for info in answer}
            again_s = LEARN_AFTER_S
        self._learn_at[name] = self._clock() + again_s

    def _learnt(self, _: asyncio.Task[None]) -> None:
        self._learning = None

    def _asked(self, _: asyncio.Task[None], *, near_only: bool) -> None:
        self._asking = None
        self._near_asked_at = self._clock()
        if not near_only:
            self._asked_at = self._near_asked_at

    async def _ask_all(self, *, near_only: bool) -> None:
        asked = {name: one for name, one in self._providers.items() if one.asks and (one.is_near or not near_only)}
        answers = await asyncio.gather(*(self._ask(name, listed.source) for name, listed in asked.items()))
        known = {name: answer for name, answer in zip(asked, answers, strict=True) if answer is not None}
        self._known = {**self._known, **known} if near_only else known
        self._view = self._build()

    async def _ask(self, name: str, source: Source, *, learn: bool = False) -> tuple[ModelInfo, ...] | None:
        try:
            async with asyncio.timeout(REFRESH_LIMIT_S):
                if learn:
                    await source.learn()
                models = await source.models()
        except (FarmError, TimeoutError) as error:
            # Fail open: what it had before may be there still, and asking it will tell.
            reason = str(error) or f"it did not list its models within {REFRESH_LIMIT_S:g} s"
            if not learn:
                self.silent[name] = reason
            log.info("models_not_listed", provider=name, reason=reason)
            return self._known.get(name)
        self.silent.pop(name, None)
        return models

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
            facts=self._facts(),
            left_out=self._left_out,
            configured=self._configured,
            routes=self._routes,
            falls_back=self._falls_back,
            region=self._region,
        )

    def _facts(self) -> dict[tuple[str, str], Facts]:
        """What providers and the operator say of models, where it limits what can be asked of them."""
        found: dict[tuple[str, str], Facts] = {}
        for name, listed in self._providers.items():
            infos = self._listed(name)
            stated = (model for provider, model in self._beside.stated if provider in (None, name))
            for model in {*listed.models, *infos, *stated}:
                facts = first_of(self._beside.said(name, model), infos.get(model, Facts()))
                if facts.context_tokens or facts.lacks:
                    found[name, model] = facts
        return found

    async def close(self) -> None:
        """Stop asking."""
        for task in (self._asking, self._learning):
            if task is not None:
                task.cancel()


def with_facts(info: ModelInfo, facts: Facts) -> ModelInfo:
    return replace(
        info,
        context_tokens=facts.context_tokens,
        max_output_tokens=facts.max_output_tokens,
        capabilities=facts.capabilities,
        lacks=facts.lacks,
        price=facts.price,
    )
