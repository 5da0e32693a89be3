"""Features are switched in the configuration or, until the next start, on top of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from farmgate.config.notices import NOT_BUILT
from farmgate.config.origins import Origin
from farmgate.config.schema import Features
from farmgate.config.settings import Config

__all__ = ["SWITCHED", "Feature", "features_of", "switched"]

SWITCHED = "PATCH /api/admin/features"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One switch: what it is, who said so, and why it has no effect where it has none."""

    value: bool
    origin: str
    is_overridden: bool
    note: str | None = None


def switched(config: Config, overrides: Mapping[str, bool]) -> Config:
    """The configuration with these features (canonical names) instead of its own."""
    if not overrides:
        return config
    by_name = {field.alias or name: name for name, field in Features.model_fields.items()}
    features = config.ai.features.model_copy(update={by_name[name]: value for name, value in overrides.items()})
    notices = [not_built(name) for name, value in overrides.items() if value and name in notes()]
    settings = tuple(
        replace(setting, value=overrides[name], origin=Origin(SWITCHED))
        if (name := setting.path.removeprefix("ai.features.")) in overrides and name != setting.path
        else setting
        for setting in config.settings
    )
    return replace(
        config,
        ai=config.ai.model_copy(update={"features": features}),
        notices=(*config.notices, *notices),
        settings=settings,
    )


def notes() -> Mapping[str, str]:
    """Why a feature has no effect, by its canonical name."""
    return {name: f"not built yet: {effect}" for name, effect in NOT_BUILT.values()}


def not_built(name: str) -> str:
    return f"{SWITCHED}: ai.features.{name} is {notes()[name]}"


def features_of(config: Config) -> dict[str, Feature]:
    """Every switch by its canonical name."""
    found = {}
    for name, field in Features.model_fields.items():
        canonical = field.alias or name
        value: bool = getattr(config.ai.features, name)
        origin = str(config.origin(f"ai.features.{canonical}"))
        found[canonical] = Feature(
            value=value,
            origin=origin,
            is_overridden=origin == SWITCHED,
            note=notes().get(canonical) if value else None,
        )
    return found
