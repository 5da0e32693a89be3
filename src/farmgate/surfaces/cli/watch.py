"""The configuration is read again when one of its files changes; one that cannot be used changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from farmgate.surfaces.cli.out import Out
from farmgate.surfaces.cli.words import path_text

if TYPE_CHECKING:
    from farmgate.config import Config

__all__ = ["Watch"]

Version: TypeAlias = tuple[int, int, int] | None
NEW_FILES = ("farm.config.yaml", "farm.config.yml", "farm.config.toml", "farm.config.json", ".env")


class Watch:
    """Asked often (a few `stat` calls each), gives a new Config when there is one."""

    def __init__(self, config: Config, load: Callable[[], Config], out: Out) -> None:
        self.config = config
        self._load = load
        self._out = out
        self._is_asked = False
        self._seen = self._versions()

    def ask(self) -> None:
        """Read everything again next time, changed or not."""
        self._is_asked = True

    def __call__(self) -> Config | None:
        """The new configuration; None while nothing changed or what changed cannot be used."""
        from farmgate.config import ConfigError

        seen = self._versions()
        asked, self._is_asked = self._is_asked, False
        if seen == self._seen and not asked:
            return None
        changed = [path for path in seen if seen[path] != self._seen.get(path)]
        self._seen = seen
        try:
            config = self._load()
        except ConfigError as error:
            for problem in error.problems:
                self._out.say(f"{self._out.paint('not reloaded:', 'warn')} {problem}")
            self._out.say("the configuration from before stays in use")
            return None
        before, self.config = self.config, config
        self._seen = self._versions()
        if config == before and not asked:
            return None
        self._tell(before, config, changed)
        return config

    def _tell(self, before: Config, config: Config, changed: list[Path]) -> None:
        what = ", ".join(path_text(path) for path in changed) or "configuration"
        self._out.say(f"reloading {what}")
        if (config.server.host, config.server.port) != (before.server.host, before.server.port):
            self._out.say("server.host and server.port: a new address takes effect at the next start")
        if config.home != before.home:
            self._out.say("the data directory: a new one takes effect at the next start")
        for notice in config.notices:
            if notice not in before.notices:
                self._out.say(f"note: {notice}")

    def _versions(self) -> dict[Path, Version]:
        """Each file that was read or would be read if it were there, with what `stat` says of it."""
        folder = self.config.source.parent if self.config.source else Path.cwd()
        environment = self.config.environment
        names = [f".env.{environment}", ".env"]
        if self.config.source is None:
            names += NEW_FILES
        else:
            names.append(f"{self.config.source.stem}.{environment}{self.config.source.suffix}")
        paths = [*self.config.watched, *(folder / name for name in names)]
        return {path: version(path) for path in dict.fromkeys(paths)}


def version(path: Path) -> Version:
    try:
        stat = path.stat()
    except OSError:
        return None
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)
