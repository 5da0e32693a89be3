"""What a pull will get: every file of a model, with what each must be, worked out before the first byte."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from farmgate.core.locator import Locator

__all__ = ["Origin", "Piece", "Plan", "gigabytes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One file. `path`: below the model's folder. `url` is where it is fetched, `shown` how that may be told.

    `sha256` and `blob_sha1` (git's hash of what is in it) are in hexadecimal, `etag` is the server's own word.
    """

    path: str
    url: str
    shown: str
    size_bytes: int
    sha256: str | None = None
    blob_sha1: str | None = None
    etag: str | None = None

    @property
    def mark(self) -> str | None:
        """Tells this file from every other that may be at the same place later; None where nothing does."""
        return self.sha256 or self.blob_sha1 or self.etag


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`asked`: the locator as it is written. `source`: where the files are, as people read it.

    `told`: what was chosen of several; empty where there was no choice. A model that is no folder has one piece.
    """

    asked: str
    source: str
    pieces: tuple[Piece, ...]
    is_folder: bool
    description: str
    licence: str | None = None
    revision: str | None = None
    told: str = ""

    @property
    def size_bytes(self) -> int:
        return sum(piece.size_bytes for piece in self.pieces)


class Origin(Protocol):
    """Where models of one kind of locator come from."""

    async def plan(self, locator: Locator, pausing: Callable[[float], object]) -> Plan:
        """`pausing` hears for how many seconds nothing is done. Raises SourceFailed."""

    async def bring(
        self, piece: Piece, into: Path, tell: Callable[[int], object], pausing: Callable[[float], object]
    ) -> None:
        """Write the file whole to `into`, going on from what is there where that can be done.

        `tell` hears how many bytes are there, `pausing` for how many seconds nothing is done. Raises SourceFailed or
        OSError; what came is kept.
        """


def gigabytes(count: int) -> str:
    """Bytes for people, in powers of 1000 as disks and downloads count."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
