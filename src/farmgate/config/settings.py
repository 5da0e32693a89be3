"""The one frozen Config everything is built from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from farmgate.config.origins import Origin, Setting

if TYPE_CHECKING:
    from farmgate.config.environment import Environment
    from farmgate.config.keys import ApiKey
    from farmgate.config.schema import Ai, Journal, LocalModel, Log, Responses, Server

__all__ = ["Config"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """What the files, variables and flags say together. Two are equal when they say the same, wherever they say it.

    `home` is the data directory (it may not exist yet). `watched` are all files that were read: read again when
    one of them changes. `silent` are configuration files without a word in them. `provider_places` tells where each
    provider is written. `left_out` has providers that cannot be used, with the reason. `notices` are for the person
    who starts Farmgate.
    """

    environment: str
    home: Path
    server: Server
    keys: tuple[ApiKey, ...]
    ai: Ai
    journal: Journal
    responses: Responses
    log: Log
    models: Mapping[str, LocalModel] = field(default_factory=dict)
    source: Path | None = field(default=None, compare=False)
    watched: tuple[Path, ...] = field(default=(), compare=False)
    silent: tuple[Path, ...] = field(default=(), compare=False)
    notices: tuple[str, ...] = field(default=(), compare=False)
    left_out: Mapping[str, str] = field(default_factory=dict, compare=False)
    provider_places: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    variables: Environment | None = field(default=None, compare=False, repr=False)
    settings: tuple[Setting, ...] = field(default=(), compare=False, repr=False)

    @cached_property
    def generation(self) -> str:
        """A short name for all that is in effect; see `generation_of`. Takes 10 ms the first time."""
        from farmgate.config.changes import generation_of

        return generation_of(self)

    def variable(self, name: str) -> str | None:
        """An environment variable as it was at loading, `.env` files included; None when empty or not set."""
        found = self.variables.get(name) if self.variables else None
        return found.value.strip() or None if found else None

    def origins(self) -> Iterator[tuple[str, object, Origin]]:
        """Every setting: its dotted path, its value masked where it is secret, and who said so."""
        return ((setting.path, setting.value, setting.origin) for setting in self.settings)

    def origin(self, path: str) -> Origin:
        """Who said the setting at a dotted path, in camelCase or snake_case. Raises KeyError for an unknown path."""
        if setting := self._by_path.get(path) or self._by_path.get(folded(path)):
            return setting.origin
        raise KeyError(f"there is no setting {path}")

    @cached_property
    def _by_path(self) -> Mapping[str, Setting]:
        loose = {folded(setting.path): setting for setting in self.settings}
        return {**loose, **{setting.path: setting for setting in self.settings}}


def folded(path: str) -> str:
    return path.replace("_", "").lower()
