"""A model of the catalogue comes from the first source that has the very file: its hash is known beforehand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from farmgate.core.errors import Unavailable
from farmgate.core.ports import Progress, Report
from farmgate.engines.pulling.catalogue import Item
from farmgate.engines.pulling.notes import Note, read_note, write_note
from farmgate.engines.pulling.sources import Source, SourceFailed, matches, size_of, sync

__all__ = ["SPARE_BYTES", "Stock"]

SPARE_BYTES = 64 * 1024 * 1024
"""Room that is left for everything else on the disk."""


class Stock:
    """Gets items of the catalogue into a directory. `sources` are asked in their order."""

    def __init__(self, directory: Path, sources: Sequence[Source], free_bytes: Callable[[Path], int]) -> None:
        self._directory = directory
        self._sources = tuple(sources)
        self._free_bytes = free_bytes

    def path(self, item: Item) -> Path:
        return self._directory / f"{item.name}.gguf"

    def has(self, item: Item) -> bool:
        """Whether it was checked and has not changed since."""
        note = read_note(self.path(item))
        return note is not None and note.sha256 == item.sha256

    async def get(self, item: Item, report: Report) -> Path:
        """Raises Unavailable, which names what was tried."""
        path = self.path(item)
        if not self.has(item) and not await self._is_right(path, item, report):
            await self._from_any(path, item, report)
        return path

    async def _is_right(self, path: Path, item: Item, report: Report) -> bool:
        if size_of(path) != item.size_bytes:
            return False
        report(Progress(status="verifying", total=item.size_bytes))
        if not await asyncio.to_thread(matches, path, size_bytes=item.size_bytes, sha256=item.sha256):
            return False
        note(path, item, "found on this machine")
        return True

    async def _from_any(self, path: Path, item: Item, report: Report) -> None:
        tried: list[str] = []
        for source in self._sources:
            if not source.offers(item):
                continue
            try:
                await self._from(source, path, item, report)
            except SourceFailed as failure:
                tried.append(f"{source.name}: {failure}")
            except OSError as error:
                tried.append(f"{source.name}: {error.filename or path}: {error.strerror or error}")
            else:
                return
        raise Unavailable(
            f"{item.name} could not be fetched. Tried "
            + "; ".join(tried or ["nothing: no source has it"])
            + ". Put a GGUF file anywhere on this machine and use it: farmgate run ./model.gguf"
        )

    async def _from(self, source: Source, path: Path, item: Item, report: Report) -> None:
        part = path.with_suffix(".part")
        for resumed in (size_of(part) > 0, False):
            self._require_space(source, part, item)
            await source.fetch(item, part, report)
            report(Progress(status="verifying", completed=item.size_bytes, total=item.size_bytes))
            if await asyncio.to_thread(matches, part, size_bytes=item.size_bytes, sha256=item.sha256):
                await asyncio.to_thread(sync, part)
                part.replace(path)
                note(path, item, source.name)
                return
            part.unlink(missing_ok=True)
            if not resumed:
                break
        raise SourceFailed("the SHA-256 of the file it sent is not the expected one")

    def _require_space(self, source: Source, part: Path, item: Item) -> None:
        needed = item.size_bytes - min(size_of(part), item.size_bytes) + source.scratch_bytes(item) + SPARE_BYTES
        free = self._free_bytes(self._directory)
        if free < needed:
            raise SourceFailed(f"it needs {needed >> 20} MiB free in {self._directory} and {free >> 20} MiB are free")


def note(path: Path, item: Item, source: str) -> None:
    stat = path.stat()
    write_note(
        path,
        Note(
            source=source,
            sha256=item.sha256,
            size_bytes=stat.st_size,
            mtime_ns=stat.st_mtime_ns,
            licence=item.licence,
            description=item.description,
            asked=item.name,
            revision=item.hub.revision if item.hub is not None else None,
        ),
    )
