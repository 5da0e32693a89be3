"""A source brings the bytes of a model; it is believed only as far as the hash goes."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from farmgate.core.ports import Report
from farmgate.engines.pulling.catalogue import Item

__all__ = [
    "CHUNK_BYTES",
    "NotThere",
    "Source",
    "SourceFailed",
    "SourceRefused",
    "Stop",
    "matches",
    "size_of",
    "sync",
]

CHUNK_BYTES = 256 * 1024
T = TypeVar("T")


class SourceFailed(Exception):
    """This source cannot bring the model; the text says why in one line."""


class NotThere(SourceFailed):
    """It has no such model, or none that can be used."""


class SourceRefused(SourceFailed):
    """It wants to know who asks, or does not let them."""


class Source(Protocol):
    """Where a model may come from."""

    @property
    def name(self) -> str:
        """As the person who pulls should read it."""

    def offers(self, item: Item) -> bool: ...

    def scratch_bytes(self, item: Item) -> int:
        """Disk space it needs besides the file itself."""

    async def fetch(self, item: Item, into: Path, report: Report) -> None:
        """Write the whole file to `into`, going on from what an earlier try left there where it can.

        Raises SourceFailed or OSError. What it wrote is kept then, for the next try.
        """


class Stop:
    """Ends a thread's work from outside: after `set`, `guard` raises and nothing more is written."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._set = threading.Event()

    def set(self) -> None:
        with self._lock:
            self._set.set()

    def guard(self, act: Callable[[], object]) -> None:
        with self._lock:
            if self._set.is_set():
                raise SourceFailed("stopped")
            act()

    def wait(self, seconds: float) -> None:
        """Do nothing for so long. Raises SourceFailed as soon as it is set."""
        if self._set.wait(seconds):
            raise SourceFailed("stopped")


def size_of(path: Path) -> int:
    """0 where there is no file."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def matches(path: Path, *, size_bytes: int, sha256: str) -> bool:
    """Whether the file is exactly the one with this hash. Reads it whole (about 0.2 s for 100 MB)."""
    if size_of(path) != size_bytes:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def sync(path: Path) -> None:
    """Have the file's bytes on the disk before it gets the name by which it is trusted. Blocking."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
