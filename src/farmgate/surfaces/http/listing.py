"""The models there are, each under one name, for whichever dialect's list is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from farmgate.core.errors import ModelNotFound
from farmgate.core.model import ModelInfo
from farmgate.flow.route import written
from farmgate.surfaces.http.exchange import Exchange
from farmgate.wire.strictjson import encode

__all__ = ["VERSIONED", "Models", "name_each", "tell_models"]

VERSIONED = re.compile(r"/v1/models/(?P<name>.+)/versions/(?P<version>[^/@]+)(?P<rest>/.+)?")


class Models(Protocol):
    """Which models there are."""

    def models(self) -> list[ModelInfo]: ...

    async def refresh(self) -> None: ...


class EncodeModel(Protocol):
    """Writes one model, under the id it is called by."""

    def __call__(self, model: ModelInfo, *, id: str) -> Mapping[str, object]: ...


class EncodeModels(Protocol):
    """Writes them all."""

    def __call__(self, models: list[tuple[str, ModelInfo]], /) -> Mapping[str, object]: ...


async def tell_models(exchange: Exchange, models: Models, *, one: EncodeModel, every: EncodeModels) -> None:
    """What is asked for under /v1/models: all models, or one by its id. Raises ModelNotFound."""
    exchange.principal()
    exchange.watch()
    await models.refresh()
    named = name_each(models.models())
    wanted = wanted_in(exchange.path)
    told = one(named_model(wanted, named), id=wanted) if wanted else every(list(named.items()))
    await exchange.answer(200, encode(told))


def name_each(models: list[ModelInfo]) -> dict[str, ModelInfo]:
    """Every model under its plain name, and under `provider/name` where two providers have the same."""
    named: dict[str, ModelInfo] = {}
    for model in models:
        name = model.name if model.name not in named else f"{model.provider}/{model.name}"
        named[name] = model
    return named


def wanted_in(path: str) -> str:
    """The id in an address under /v1/models; empty where all are asked for."""
    addressed = VERSIONED.fullmatch(path)
    if addressed and not addressed["rest"]:
        return f"{addressed['name']}@{addressed['version']}"
    return path.removeprefix("/v1/models").strip("/")


def named_model(wanted: str, named: dict[str, ModelInfo]) -> ModelInfo:
    """One model, by its plain name or with its provider. Raises ModelNotFound."""
    names = written(wanted)
    model = next((named[name] for name in names if name in named), None) or next(
        (model for model in named.values() if f"{model.provider}/{model.name}" in names), None
    )
    if model is None:
        raise ModelNotFound(f"There is no model {wanted[:100]!r}: GET /v1/models lists them.", param="model")
    return model
