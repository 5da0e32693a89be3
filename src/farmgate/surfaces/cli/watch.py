"""The configuration's files are looked at while a gate runs, and read when nobody is writing them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from farmgate.config import Config, ConfigError

__all__ = ["Watch"]

Version: TypeAlias = tuple[int, int, int] | None
Versions: TypeAlias = Mapping[Path, Version]
NEW_FILES = ("farm.config.yaml", "farm.config.yml", "farm.config.toml", "farm.config.json", ".env")

SETTLE_S = 0.1
"""Files that changed are looked at again after this time, until two looks agree: a writer is at work till then."""
MOST_LOOKS = 10
MOST_READS = 5


class Watch:
    """Fills Source: a look is a few `stat` calls."""

    def __init__(
        self, config: Config, load: Callable[[], Config], *, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._load = load
        self._pause = pause
        self._is_asked = False
        self._seen = versions(paths_of(config))

    def ask(self) -> None:
        """Read everything again at the next look, changed or not."""
        self._is_asked = True

    def look(self) -> tuple[Path, ...] | None:
        """What changed, once nobody writes it any more."""
        asked, self._is_asked = self._is_asked, False
        seen = versions(self._seen)
        if seen == self._seen:
            return () if asked else None
        for _ in range(MOST_LOOKS):
            self._pause(SETTLE_S)
            before, seen = seen, versions(self._seen)
            if seen == before:
                break
        # A file that was changed and changed back was read by nobody in between.
        changed = tuple(path for path in seen if seen[path] != self._seen[path])
        return changed or (() if asked else None)

    def load(self) -> Config:
        """Read it, again where a file changed meanwhile. Raises ConfigError."""
        from farmgate.config import ConfigError

        paths = tuple(self._seen)
        read: Config | ConfigError
        for _ in range(MOST_READS):
            seen = versions(paths)
            try:
                read = self._load()
            except ConfigError as error:
                read = error
            else:
                # Those it had not read before are watched as well, and read again under watch.
                paths = tuple(dict.fromkeys((*paths, *paths_of(read))))
            if versions(paths) == seen:
                break
        self._seen = seen
        if isinstance(read, ConfigError):
            raise read
        return read


def paths_of(config: Config) -> tuple[Path, ...]:
    """Each file that was read or would be read if it were there."""
    folder = config.source.parent if config.source else Path.cwd()
    names = [f".env.{config.environment}", ".env"]
    if config.source is None:
        names += NEW_FILES
    else:
        names.append(f"{config.source.stem}.{config.environment}{config.source.suffix}")
    return tuple(dict.fromkeys((*config.watched, *(folder / name for name in names))))


def versions(paths: Iterable[Path]) -> Versions:
    return {path: version(path) for path in paths}


def version(path: Path) -> Version:
    """What `stat` says of a file; None where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)
