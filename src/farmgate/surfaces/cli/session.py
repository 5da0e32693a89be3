"""What every command starts with: the common options, its output, the house and the configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from farmgate.surfaces.cli.out import Out

if TYPE_CHECKING:
    from farmgate.config import Config
    from farmgate.surfaces.cli.house import House

__all__ = ["Begun", "Options", "Session"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of every command; they may stand before or after the verb."""

    config: Path | None = None
    environment: str | None = None
    json: bool = False
    quiet: bool = False

    def then(self, later: Options) -> Options:
        """Both together; `later` wins."""
        return Options(
            config=later.config or self.config,
            environment=later.environment or self.environment,
            json=later.json or self.json,
            quiet=later.quiet or self.quiet,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """One start of the program: what it was called with, when (`time.monotonic`), and how to get a house."""

    arguments: tuple[str, ...]
    started: float
    house: Callable[[], House]
    options: Options = Options()


class Session:
    """One command under way."""

    def __init__(self, begun: Begun, options: Options) -> None:
        self.begun = begun
        self.options = begun.options.then(options)
        self.out = Out(json=self.options.json, quiet=self.options.quiet)

    @cached_property
    def house(self) -> House:
        """Imported on first use: it brings everything with it."""
        return self.begun.house()

    def load(self, *, environment: str | None = None, overrides: Mapping[str, object] | None = None) -> Config:
        """The configuration; --env is stronger than `environment`. Raises ConfigError."""
        from farmgate.config import load

        return load(self.options.config, environment=self.options.environment or environment, overrides=overrides or {})
