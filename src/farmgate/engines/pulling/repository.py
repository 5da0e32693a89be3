"""What a repository of the hub holds, as its API tells it: every file with its size and its hash."""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from farmgate.engines.pulling.sources import SourceFailed

__all__ = ["Repository", "RepositoryFile", "read_repository"]

COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*/[A-Za-z0-9_][A-Za-z0-9._-]*")
STEP = re.compile(r"[A-Za-z0-9_(\[][^/\\\x00-\x1f\x7f]{0,250}")
LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .+_-]{0,63}")
MOST_BYTES = 1 << 50


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryFile:
    """`sha256` of large files, `blob_sha1` of small ones: git's own hash of what is in it. Both in hexadecimal."""

    path: str
    size_bytes: int
    sha256: str | None = None
    blob_sha1: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """At one commit. `name`: what it is called now, where it was renamed. `licence`: None where it does not say."""

    name: str
    commit: str
    licence: str | None
    files: tuple[RepositoryFile, ...]


class Lfs(msgspec.Struct):
    sha256: str | None = None
    size: int | None = None


class Sibling(msgspec.Struct):
    rfilename: str
    size: int | None = None
    blob_id: str | None = msgspec.field(default=None, name="blobId")
    lfs: Lfs | None = None


class Told(msgspec.Struct):
    """The part that is used of the answer of `/api/models/{repository}/revision/{revision}?blobs=true`."""

    sha: str
    id: str = ""
    siblings: list[Sibling] = []
    tags: list[str] = []
    card: object = msgspec.field(default=None, name="cardData")


def read_repository(body: bytes, *, asked: str) -> Repository:
    """`asked`: the name it was asked for by. Raises SourceFailed where the answer is no hub's.

    A file whose path leads anywhere else, or whose size is not told, is left out.
    """
    try:
        told = msgspec.json.decode(body, type=Told)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SourceFailed("it answered with something that is not a list of a repository's files") from error
    if not COMMIT.fullmatch(told.sha):
        raise SourceFailed("it does not tell the commit of what it has")
    files = (file_of(sibling) for sibling in told.siblings)
    return Repository(
        name=told.id if NAME.fullmatch(told.id) and ".." not in told.id else asked,
        commit=told.sha,
        licence=licence_of(told),
        files=tuple(file for file in files if file is not None),
    )


def file_of(sibling: Sibling) -> RepositoryFile | None:
    lfs = sibling.lfs
    size = lfs.size if lfs is not None and lfs.size is not None else sibling.size
    if size is None or not 0 <= size <= MOST_BYTES or not is_plain(sibling.rfilename):
        return None
    sha256 = lfs.sha256 if lfs is not None else None
    # What is kept in LFS is in git by a pointer: its blob is that pointer's.
    blob = sibling.blob_id if lfs is None else None
    return RepositoryFile(
        path=sibling.rfilename,
        size_bytes=size,
        sha256=sha256 if sha256 is not None and SHA256.fullmatch(sha256) else None,
        blob_sha1=blob if blob is not None and COMMIT.fullmatch(blob) else None,
    )


def is_plain(path: str) -> bool:
    """Whether a path stays in its folder, and hides nothing."""
    return len(path) <= 1000 and all(STEP.fullmatch(step) and ".." not in step for step in path.split("/"))


def licence_of(told: Told) -> str | None:
    """As the card of the model says it, or its tags."""
    card = told.card if isinstance(told.card, dict) else {}
    said = card.get("license")
    names = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    if names == ["other"] and isinstance(card.get("license_name"), str):
        names = [card["license_name"]]
    names = names or [tag.removeprefix("license:") for tag in told.tags if tag.startswith("license:")]
    plain = [name for name in names if isinstance(name, str) and LICENCE.fullmatch(name)]
    return ", ".join(plain[:3]) or None
