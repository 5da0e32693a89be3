"""A lock file is held by one process at a time, and by none that has died."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

__all__ = ["file_lock"]

LOOK_EVERY_S = 0.2


@asynccontextmanager
async def file_lock(
    path: Path, sleep: Callable[[float], Awaitable[None]], waiting: Callable[[], object]
) -> AsyncIterator[None]:
    """Hold the lock at `path`; while somebody else does, call `waiting` every 0.2 s. The file stays."""
    with path.open("ab") as file:
        while not _taken(file):
            waiting()
            await sleep(LOOK_EVERY_S)
        # Closing the file gives the lock back.
        yield


def _taken(file: IO[bytes]) -> bool:
    if importlib.util.find_spec("fcntl") is None:
        # Windows: two processes may fetch the same file at once there; the hash still decides.
        return True
    fcntl = importlib.import_module("fcntl")
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
