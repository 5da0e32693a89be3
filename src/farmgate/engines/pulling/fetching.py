"""The files of a model are fetched into a folder of their own, several at once, each checked against its hash."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec

from farmgate.core.ports import Progress, Report
from farmgate.engines.gguf import is_gguf
from farmgate.engines.pulling.plan import Origin, Piece, Plan
from farmgate.engines.pulling.sources import CHUNK_BYTES, SourceFailed, matches, size_of, sync
from farmgate.engines.threads import in_daemon_thread

__all__ = ["Fetching", "waiting"]

AT_ONCE = 4
"""Files at a time: a large one fills the line alone, many small ones would wait for each other's beginnings."""
FILES = "files"
PLAN = "plan.json"


class Fetching:
    """One model's files on their way into `folder`. What came is kept there until all of it is there."""

    def __init__(self, plan: Plan, folder: Path, origin: Origin, report: Report) -> None:
        self._plan = plan
        self._folder = folder
        self._origin = origin
        self._report = report
        self._have: dict[str, int] = {}
        is_remote = any("://" in piece.url for piece in plan.pieces)
        self._status = f"{'downloading' if is_remote else 'copying'} from {plan.source}"

    @property
    def files(self) -> Path:
        """The folder that holds them, or the one file."""
        folder = self._folder / FILES
        return folder if self._plan.is_folder else folder / self._plan.pieces[0].path

    @property
    def missing_bytes(self) -> int:
        return self._plan.size_bytes - sum(self._have.values())

    def prepare(self) -> None:
        """Keep what an earlier try left of these very files, and nothing else. Blocking. Raises OSError."""
        folder, plan = self._folder / FILES, self._folder / PLAN
        wanted = {piece.path: marks(piece) for piece in self._plan.pieces}
        left = read_plan(plan)
        for path in tuple(walked(folder)):
            place = path.relative_to(folder).as_posix()
            if place not in wanted or left.get(place) != wanted[place] or wanted[place][1:] == [None, None, None]:
                path.unlink()
        for piece in self._plan.pieces:
            (folder / piece.path).parent.mkdir(parents=True, exist_ok=True)
        draft = plan.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(wanted))
        draft.replace(plan)
        self._have = {piece.path: min(size_of(folder / piece.path), piece.size_bytes) for piece in self._plan.pieces}

    async def run(self) -> None:
        """Raises SourceFailed or OSError. Whatever came is kept then, but for what is not what it should be."""
        several = asyncio.Semaphore(AT_ONCE)

        async def one(piece: Piece) -> None:
            async with several:
                await self._fetch(piece)

        self._tell()
        try:
            async with asyncio.TaskGroup() as group:
                for piece in self._plan.pieces:
                    group.create_task(one(piece))
        except BaseExceptionGroup as failed:
            # The others were ended because of the first: only that one says what was wrong.
            raise first_of(failed) from None

    def clear(self) -> None:
        """Forget it all. Blocking."""
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _fetch(self, piece: Piece) -> None:
        path = self._folder / FILES / piece.path

        def tell(count: int) -> None:
            self._have[piece.path] = min(count, piece.size_bytes)
            self._tell()

        for resumed in (size_of(path) > 0, False):
            await self._origin.bring(piece, path, tell, self._pausing)
            self._have[piece.path] = piece.size_bytes
            if not self.missing_bytes:
                self._report(self._progress("verifying"))
            if await in_daemon_thread(lambda: is_right(path, piece)):
                self._check_kind(path, piece)
                await asyncio.to_thread(sync, path)
                return
            path.unlink(missing_ok=True)
            tell(0)
            if not resumed:
                break
        raise SourceFailed(f"{piece.shown} did not send what it should: its hash is not the expected one")

    def _check_kind(self, path: Path, piece: Piece) -> None:
        if piece.path.endswith(".gguf") and not is_gguf(path):
            path.unlink(missing_ok=True)
            raise SourceFailed(f"{piece.shown} does not begin as GGUF files do: is it the address of a page?")

    def _tell(self) -> None:
        self._report(self._progress(self._status))

    def _pausing(self, seconds: float) -> None:
        self._report(self._progress(waiting(seconds)))

    def _progress(self, status: str) -> Progress:
        total = self._plan.size_bytes
        return Progress(status=status, completed=total - self.missing_bytes, total=total)


def waiting(seconds: float) -> str:
    """A pause, as a status."""
    return f"waiting {seconds:.0f} s before the next try"


def marks(piece: Piece) -> list[int | str | None]:
    """What must be the same for a half file to be worth going on with."""
    return [piece.size_bytes, piece.sha256, piece.blob_sha1, piece.etag]


def read_plan(path: Path) -> dict[str, list[int | str | None]]:
    """Empty where there is none that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, list[int | str | None]])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}


def walked(folder: Path) -> Iterable[Path]:
    for directory, _, names in os.walk(folder):
        for name in names:
            yield Path(directory, name)


def is_right(path: Path, piece: Piece) -> bool:
    """Whether the file is what it should be, as far as anybody said what that is. Blocking: reads it whole."""
    if piece.sha256 is not None:
        return matches(path, size_bytes=piece.size_bytes, sha256=piece.sha256)
    return size_of(path) == piece.size_bytes and (piece.blob_sha1 is None or blob_sha1(path) == piece.blob_sha1)


def blob_sha1(path: Path) -> str:
    """Git's name for what is in the file: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects"""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first
