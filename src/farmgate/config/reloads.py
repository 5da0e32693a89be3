"""How reading the configuration anew ended: what changed, or why the one from before stays in use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from farmgate.config.changes import Change
from farmgate.config.settings import Config

__all__ = ["Ending", "Reload", "Source"]

Ending: TypeAlias = Literal["changed", "unchanged", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload:
    """One reload. `config` is what is in use after it: with `problems`, still the one from before.

    `files` are those whose change set it off, none where somebody asked. `needs_restart` are the changes that are
    read but take effect at the next start. `mends`: what was read before this could not be used.
    """

    at_unix: float
    config: Config
    files: tuple[Path, ...] = ()
    changes: tuple[Change, ...] = ()
    needs_restart: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    mends: bool = False

    @property
    def ending(self) -> Ending:
        if self.problems:
            return "failed"
        return "changed" if self.changes else "unchanged"

    @property
    def is_nothing(self) -> bool:
        """A file changed, but what it says did not; nobody asked, and nobody waits to hear that it is well again."""
        return self.ending == "unchanged" and bool(self.files) and not self.mends


class Source(Protocol):
    """Where the configuration of a running gate is read from. All of it blocks."""

    def look(self) -> tuple[Path, ...] | None:
        """The files that changed since the last look; none but an answer where somebody asked; else None."""

    def load(self) -> Config:
        """Read it anew. Raises ConfigError."""
