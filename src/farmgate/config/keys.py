"""API keys of callers: from the configuration and the key file, kept as SHA-256 only."""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path

from farmgate.config.errors import ConfigError, quoted
from farmgate.config.files import Files
from farmgate.config.nodes import Node, nearest
from farmgate.config.schema import KeyEntry

__all__ = ["ApiKey", "Written", "from_entries", "from_file", "permissions_notice", "unlike"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
HASH = re.compile(r"[0-9a-fA-F]{64}")
MIN_CHARACTERS = 16
EMPTY_HASH = hashlib.sha256(b"").hexdigest()
# `anonymous` is what calls without a key are recorded as.
RESERVED = ("anonymous",)
ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key a caller may present: `sha256` is the lower-case hexadecimal digest of the key's bytes."""

    name: str
    sha256: str
    is_admin: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """A key and where it was written."""

    key: ApiKey
    place: str


def from_entries(
    entries: Iterable[KeyEntry], tree: Node, problems: list[str], *, unset: Container[str | int] = ()
) -> list[Written]:
    """The keys under `keys` but those `unset`; what is wrong with the others goes to `problems`."""
    found = []
    for index, entry in enumerate(entries):
        if index in unset:
            continue
        place = nearest(tree, ("keys", index, "key" if entry.key is not None else "sha256"))[0].place
        secret = entry.key.get_secret_value() if entry.key is not None else None
        if (secret is None) == (entry.sha256 is None):
            problems.append(f"{place}: keys.{index} needs either key or sha256, and only one of them")
        elif wrong := wrong_name(entry.name) or wrong_secret(secret, entry.sha256):
            problems.append(f"{place}: keys.{index} {wrong}")
        else:
            key = ApiKey(name=entry.name, sha256=digest(secret, entry.sha256), is_admin=entry.admin)
            found.append(Written(key, place))
    return found


def from_file(path: Path, files: Files, problems: list[str]) -> list[Written]:
    """The keys of a file with lines `name key` or `name sha256`, and ` admin` behind it; `#` starts a comment line."""
    found = []
    for number, line in enumerate(files.text(path).splitlines(), 1):
        words = line.split()
        place = f"{files.name(path)}:{number}"
        if not words or words[0].startswith("#"):
            continue
        if len(words) not in (2, 3) or words[2:] not in ([], [ADMIN]):
            problems.append(f"{place}: a line is `name key` or `name sha256`, and `admin` behind it for an admin's")
            continue
        name, secret = words[:2]
        is_hash = bool(HASH.fullmatch(secret))
        key, sha256 = (None, secret) if is_hash else (secret, None)
        if wrong := wrong_name(name) or wrong_secret(key, sha256):
            problems.append(f"{place}: the key {wrong}")
        else:
            is_admin = len(words) == 3
            found.append(Written(ApiKey(name=name, sha256=digest(key, sha256), is_admin=is_admin), place))
    return found


def wrong_name(name: str) -> str:
    if name.lower() in RESERVED:
        return f"must have another name: {quoted(name)} is what calls without a key are called"
    if not NAME.fullmatch(name):
        return f"must have a name of up to 64 letters, digits and `. _ @ -`, not {quoted(name)}"
    return ""


def wrong_secret(key: str | None, sha256: str | None) -> str:
    if sha256 is not None:
        if not HASH.fullmatch(sha256):
            return "must have a sha256 of 64 hexadecimal digits: `printf %s KEY | sha256sum` prints it"
        return "is empty: that is the SHA-256 of nothing" if sha256.lower() == EMPTY_HASH else ""
    if not key:
        return "is empty: give it a value, or remove it"
    if not key.isascii() or any(c.isspace() or not c.isprintable() for c in key):
        return "must be visible ASCII characters only, without spaces or line ends"
    if len(key) < MIN_CHARACTERS:
        return f"is shorter than {MIN_CHARACTERS} characters: `openssl rand -hex 24` makes a good one"
    return ""


def digest(key: str | None, sha256: str | None) -> str:
    return hashlib.sha256(key.encode()).hexdigest() if key is not None else str(sha256).lower()


def unlike(keys: Iterable[Written], problems: list[str]) -> None:
    """Two keys of one name, or two names of one key, could not be told apart in usage."""
    names: dict[str, Written] = {}
    hashes: dict[str, Written] = {}
    for written in keys:
        if first := names.get(written.key.name):
            problems.append(
                f"{written.place}: the key name {quoted(written.key.name)} is used twice (first at {first.place})"
            )
        elif first := hashes.get(written.key.sha256):
            problems.append(
                f"{written.place}: the keys {quoted(first.key.name)} and {quoted(written.key.name)} are the same key"
            )
        names.setdefault(written.key.name, written)
        hashes.setdefault(written.key.sha256, written)


def permissions_notice(path: Path, files: Files) -> str | None:
    """What to say about a key file other users may read."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise ConfigError(f"{files.name(path)}: cannot be read: {error.strerror}") from error
    if mode & 0o077:
        return f"{files.name(path)}: other users may read or change the keys in it: run `chmod 600 {files.name(path)}`"
    return None
