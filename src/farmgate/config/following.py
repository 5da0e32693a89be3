"""A configuration that was read while a gate runs may be a file caught in the middle of being written. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from farmgate.config.errors import ConfigError
from farmgate.config.files import EXTENSIONS
from farmgate.config.settings import Config

__all__ = ["check_following"]


def check_following(before: Config, after: Config) -> None:
    """Raises ConfigError where `after` says less than `before` because a file is empty or gone.

    At a start no file at all is fine. Under a running gate it is an editor that has not finished, or a mistake: a
    configuration that falls back to its defaults would let everybody in, or nobody.
    """
    problems = [*empty(after), *gone(before, after)]
    if problems:
        raise ConfigError(*problems)


def empty(after: Config) -> Iterator[str]:
    for path in after.silent:
        yield f"{path.name}: is empty: write the configuration into it, or start anew without it"


def gone(before: Config, after: Config) -> Iterator[str]:
    """One file of a configuration may take the place of another in the same directory; none may just go."""
    for path in before.watched:
        if not is_configuration(path, before) or path in after.watched:
            continue
        if not any(beside.parent == path.parent and beside.stem == path.stem for beside in after.watched):
            yield f"{path.name}: is gone: put it back, or start anew without it"


def is_configuration(path: Path, config: Config) -> bool:
    """Whether it is the file with the settings or the overlay beside it."""
    if config.source is None or path.parent != config.source.parent or path.suffix[1:] not in EXTENSIONS:
        return False
    return path == config.source or path.name.startswith(f"{config.source.stem}.")
