"""What admins see and change under /api/admin: the configuration in effect, and the switches on top of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

from farmgate.config import Config
from farmgate.config.features import features_of
from farmgate.config.reloads import Reload
from farmgate.core.errors import ConfigInvalid, NotFound, UnsupportedParameter
from farmgate.core.identity import Principal
from farmgate.flow.explain import Explanation, Question
from farmgate.surfaces.http.admin_models import (
    ConfigAnswer,
    ConfigRefused,
    FeatureEntry,
    FeaturesAnswer,
    FeaturesRequest,
    LastReload,
    ReloadAnswer,
    SettingEntry,
    moment,
    reload_answer,
)
from farmgate.surfaces.http.care import must_be_admin
from farmgate.surfaces.http.exchange import Exchange
from farmgate.surfaces.http.farm_answers import ErrorObject
from farmgate.surfaces.http.farm_asks import fields_of
from farmgate.surfaces.http.route_models import RouteAnswer, RouteRequest

__all__ = ["Administration", "Admins", "Explain"]

Explain: TypeAlias = Callable[[Question], Explanation]
"""Tells who would be asked now. Raises FarmError as the asking would."""


class Administration(Protocol):
    """Who changes what runs."""

    @property
    def config(self) -> Config:
        """What is in effect."""

    @property
    def loaded_unix(self) -> float: ...

    @property
    def last(self) -> Reload | None:
        """The last reload; None before the first."""

    @property
    def needs_restart(self) -> tuple[str, ...]:
        """Settings that were changed since the start and take effect at the next."""

    async def reload(self) -> Reload: ...

    async def switch(self, features: Mapping[str, bool | None]) -> Reload: ...


class NotServed(NotFound):
    """Nothing is administered here: this gate is not being served."""


class Admins:
    """The endpoints. Each lets in admins only."""

    def __init__(self, administration: Administration | None, explain: Explain | None = None) -> None:
        self._administration = administration
        self._explain = explain

    def _admitted(self, exchange: Exchange, principal: Principal) -> Administration:
        """Raises NotAnAdmin."""
        must_be_admin(exchange, principal)
        if self._administration is None:
            raise NotServed
        return self._administration

    async def config(self, exchange: Exchange, principal: Principal) -> None:
        there = self._admitted(exchange, principal)
        config, last = there.config, there.last
        told = ConfigAnswer(
            generation=config.generation,
            loaded_at=moment(there.loaded_unix),
            environment=config.environment,
            files=tuple(map(str, config.watched)),
            last_reload=LastReload.of(last) if last is not None else None,
            needs_restart=there.needs_restart,
            warnings=config.notices,
            settings=tuple(SettingEntry.of(*setting) for setting in config.origins()),
        )
        await exchange.answer(200, told.json_bytes())

    async def reload(self, exchange: Exchange, principal: Principal) -> None:
        there = self._admitted(exchange, principal)
        exchange.watch()
        reload = await there.reload()
        if reload.problems:
            await refuse_config(exchange, reload)
            return
        told: ReloadAnswer = reload_answer(reload)
        await exchange.answer(200, told.json_bytes())

    async def features(self, exchange: Exchange, principal: Principal) -> None:
        await tell_features(exchange, self._admitted(exchange, principal).config)

    async def switch(self, exchange: Exchange, principal: Principal) -> None:
        there = self._admitted(exchange, principal)
        asked = await fields_of(exchange, FeaturesRequest)
        reload = await there.switch(asked.switches())
        if reload.problems:
            await refuse_config(exchange, reload)
            return
        await tell_features(exchange, reload.config)

    async def route(self, exchange: Exchange, principal: Principal) -> None:
        """Nobody is asked, so a name nobody lists is not looked for either."""
        there = self._admitted(exchange, principal)
        asked = await fields_of(exchange, RouteRequest)
        if self._explain is None:
            raise NotServed
        if asked.stream and not there.config.ai.features.streaming:
            raise UnsupportedParameter("Streaming is switched off here (ai.features.streaming).", param="stream")
        told = RouteAnswer.of(self._explain(asked.question(principal)))
        await exchange.answer(200, told.json_bytes())


async def tell_features(exchange: Exchange, config: Config) -> None:
    entries = {name: FeatureEntry.of(feature) for name, feature in features_of(config).items()}
    told = FeaturesAnswer.model_validate({"generation": config.generation, **entries})
    await exchange.answer(200, told.json_bytes())


async def refuse_config(exchange: Exchange, reload: Reload) -> None:
    """The error as every other, and beside it every problem on its own."""
    error = ConfigInvalid("\n".join((ConfigInvalid.__doc__ or "", *reload.problems)))
    exchange.desk.telemetry.failed(error.code)
    told = ConfigRefused(
        error=ErrorObject.of(error), generation=reload.config.generation, problems=tuple(reload.problems)
    )
    await exchange.answer(error.status, told.json_bytes())
