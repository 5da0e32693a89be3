"""What differs between two configurations in effect, and which of it waits for a restart. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

from farmgate.config.origins import Setting
from farmgate.config.settings import Config

__all__ = ["Change", "What", "differences", "generation_of", "needs_restart"]

What: TypeAlias = Literal["added", "removed", "changed"]
MOST_SHOWN = 120

AT_RESTART = (
    "home",
    "server.host",
    "server.port",
    "server.drain.*",
    "server.limits.headerBytes",
    "server.limits.headerTimeoutS",
    "server.limits.clientStallS",
    "journal.*",
    "responses.*",
    "ai.providers.*.autoStart",
    "ai.providers.*.autoPull",
)
"""The socket, the server's parser, and what lies in the data directory are opened once, at the start; `farmgate dev`
starts and pulls only then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One setting, or one entry of providers, models or keys, that differs. A secret has neither before nor after."""

    path: str
    what: What
    before: object = None
    after: object = None
    is_secret: bool = False

    def __str__(self) -> str:
        if self.what != "changed":
            return f"{self.path}: {self.what}"
        if self.is_secret:
            return f"{self.path}: changed (secret)"
        return f"{self.path}: {text_of(self.before)} → {text_of(self.after)}"


def text_of(value: object) -> str:
    """A value on one line, of bounded length."""
    if value is None:
        return "none"
    text = value if isinstance(value, str) and value.isprintable() else json.dumps(value, default=str)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def differences(before: Config, after: Config) -> tuple[Change, ...]:
    """What differs, in the order of the settings. An entry that came or went is one change, not one per setting."""
    old, new = by_path(before), by_path(after)
    entries_before, entries_after = entries_of(before), entries_of(after)
    found: dict[str, Change] = {}
    for path in dict.fromkeys((*new, *old)):
        entry = entry_of(path, entries_before | entries_after)
        if entry is not None and (entry in entries_before) != (entry in entries_after):
            found[entry] = Change(path=entry, what="added" if entry in entries_after else "removed")
        elif change := difference(path, old.get(path), new.get(path)):
            found[path] = change
    return tuple(found.values())


def by_path(config: Config) -> dict[str, Setting]:
    return {setting.path: setting for setting in config.settings}


def entries_of(config: Config) -> set[str]:
    """Everything with a name of its own that can come and go whole."""
    return {
        *(f"ai.providers.{name}" for name in config.ai.providers),
        *(f"ai.models.{name}" for name in config.ai.models),
        *(f"models.{name}" for name in config.models),
        *(f"keys.{key.name}" for key in config.keys),
    }


def entry_of(path: str, entries: Iterable[str]) -> str | None:
    """The entry a setting belongs to. Names hold dots: the longest one that fits is meant."""
    fitting = [entry for entry in entries if path == entry or path.startswith(f"{entry}.")]
    return max(fitting, key=len, default=None)


def difference(path: str, old: Setting | None, new: Setting | None) -> Change | None:
    if old is None or new is None:
        assert old or new
        return Change(path=path, what="added" if old is None else "removed")
    is_secret = old.is_secret or new.is_secret
    if (old.digest, new.digest) != (None, None):
        same = old.digest == new.digest
    else:
        same = old.value == new.value and isinstance(old.value, bool) == isinstance(new.value, bool)
    if same:
        return None
    if is_secret:
        return Change(path=path, what="changed", is_secret=True)
    return Change(path=path, what="changed", before=old.value, after=new.value)


def needs_restart(changes: Iterable[Change]) -> tuple[str, ...]:
    """The paths among them that take effect at the next start."""
    return tuple(
        change.path
        for change in changes
        if change.what == "changed" and any(fnmatchcase(change.path, pattern) for pattern in AT_RESTART)
    )


def generation_of(config: Config) -> str:
    """A short name for what is in effect: the same wherever the same is, secrets included.

    It is shown to whoever asks for readiness. A weak secret must not be guessed from it by trying, so secrets go in
    through a slow hash.
    """
    shown, secrets = hashlib.sha256(), []
    for path, setting in sorted(by_path(config).items()):
        value = None if setting.is_secret else setting.value
        shown.update(json.dumps([path, value], default=str, sort_keys=True).encode())
        secrets.append(setting.digest or "")
    slow = hashlib.scrypt("".join(secrets).encode(), salt=shown.digest(), n=4096, r=8, p=1)
    return slow.hex()[:12]


def waiting(started: Config, now: Config) -> Iterator[str]:
    """What has changed since the start and still waits for a restart."""
    yield from needs_restart(differences(started, now))
