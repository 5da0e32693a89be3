"""The words of the admin API, as its callers write and read them."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from pydantic import Field, JsonValue

from farmgate.config.changes import Change, What
from farmgate.config.features import Feature
from farmgate.config.origins import Origin
from farmgate.config.reloads import Ending, Reload
from farmgate.surfaces.http.farm_answers import ErrorObject, Told
from farmgate.surfaces.http.farm_requests import Asked

__all__ = [
    "ConfigAnswer",
    "ConfigRefused",
    "FeatureEntry",
    "FeaturesAnswer",
    "FeaturesRequest",
    "LastReload",
    "ReloadAnswer",
    "SettingEntry",
    "moment",
    "reload_answer",
]


def moment(unix_s: float) -> str:
    """A time as RFC 3339 writes it, in UTC."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(value: object) -> JsonValue:
    """A setting's value in JSON: what JSON has no word for is told as text."""
    told: JsonValue = json.loads(json.dumps(value, default=str))
    return told


class ChangeEntry(Told):
    """One setting that differs, or one provider, model or key that came or went. A secret's values are not told."""

    path: str
    what: What
    before: JsonValue = None
    after: JsonValue = None
    secret: bool | None = None
    text: str = Field(description="The same for people: `path: before → after`.")

    @classmethod
    def of(cls, change: Change) -> ChangeEntry:
        return cls(
            path=change.path,
            what=change.what,
            before=plain(change.before),
            after=plain(change.after),
            secret=change.is_secret or None,
            text=str(change),
        )


class ReloadAnswer(Told):
    """How a reload ended. `needsRestart`: changes that are read but take effect at the next start."""

    generation: str
    changed: tuple[ChangeEntry, ...]
    unchanged: bool
    needs_restart: tuple[str, ...]
    warnings: tuple[str, ...]


def reload_answer(reload: Reload) -> ReloadAnswer:
    return ReloadAnswer(
        generation=reload.config.generation,
        changed=tuple(map(ChangeEntry.of, reload.changes)),
        unchanged=not reload.changes,
        needs_restart=reload.needs_restart,
        warnings=reload.warnings,
    )


class ConfigRefused(Told):
    """A configuration that cannot be used: every problem with its place. `generation` is the one that stays in use."""

    error: ErrorObject
    generation: str
    problems: tuple[str, ...]

    def json_bytes(self) -> bytes:
        # An error has all of its fields, those without a value too.
        return self.model_dump_json(by_alias=True).encode()


class LastReload(Told):
    """How the last reload ended."""

    at: str
    outcome: Ending
    changed: tuple[ChangeEntry, ...]
    problems: tuple[str, ...]

    @classmethod
    def of(cls, reload: Reload) -> LastReload:
        return cls(
            at=moment(reload.at_unix),
            outcome=reload.ending,
            changed=tuple(map(ChangeEntry.of, reload.changes)),
            problems=reload.problems,
        )


class SettingEntry(Told):
    """One setting in effect, masked where it is secret, and who said so."""

    path: str
    value: JsonValue = None
    origin: str

    @classmethod
    def of(cls, path: str, value: object, origin: Origin) -> SettingEntry:
        return cls(path=path, value=plain(value), origin=str(origin))


class ConfigAnswer(Told):
    """What is in effect. `needsRestart`: settings changed since the start that take effect at the next."""

    generation: str
    loaded_at: str
    environment: str
    files: tuple[str, ...]
    last_reload: LastReload | None = None
    needs_restart: tuple[str, ...]
    warnings: tuple[str, ...]
    settings: tuple[SettingEntry, ...]


class FeaturesRequest(Asked):
    """Switches to set until the next start; null takes one back to what the configuration says."""

    streaming: bool | None = None
    caching: bool | None = None
    rate_limiting: bool | None = None
    fallback: bool | None = None

    def switches(self) -> dict[str, bool | None]:
        """What was said, by canonical name."""
        names = type(self).model_fields
        return {names[name].alias or name: getattr(self, name) for name in self.model_fields_set}


class FeatureEntry(Told):
    """One switch. `origin`: the file, variable or request that says so; `note`: why it has no effect."""

    value: bool
    origin: str
    overridden: bool
    note: str | None = None

    @classmethod
    def of(cls, feature: Feature) -> FeatureEntry:
        return cls(value=feature.value, origin=feature.origin, overridden=feature.is_overridden, note=feature.note)


class FeaturesAnswer(Told):
    """Every switch."""

    generation: str
    streaming: FeatureEntry
    caching: FeatureEntry
    rate_limiting: FeatureEntry
    fallback: FeatureEntry
