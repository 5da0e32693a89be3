"""Kept responses: in memory or in files, until they are deleted, too old, or in the way of newer ones."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from farmgate.core.errors import Unavailable
from farmgate.core.ports import Clock, KeptResponse

__all__ = ["DiskResponses", "MemoryResponses", "NoResponses"]

ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""What may become the name of a file; an id of a provider that is another is not kept."""
SUFFIX = ".json"
DRAFT = ".draft"


class NoResponses:
    """Keeps nothing."""

    keeps = False

    def keep(self, owner: str, kept: KeptResponse) -> None:
        """It is gone."""

    async def find(self, owner: str, id: str) -> KeptResponse | None:
        return None

    async def find_item(self, owner: str, item_id: str) -> KeptResponse | None:
        return None

    async def forget(self, owner: str, id: str) -> bool:
        return False

    async def tend(self) -> None:
        """There is nothing to let go of."""

    async def close(self) -> None:
        """There is nothing to close."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is known of a kept response without reading it. `owner` is a digest; `size_bytes` counts all of it."""

    owner: str
    id: str
    created_unix: int
    size_bytes: int
    item_ids: tuple[str, ...] = ()


class Index:
    """Which responses there are, the one longest unused first, within bounds of age and of bytes together."""

    def __init__(self, *, keep_s: float, keep_bytes: int, clock: Clock) -> None:
        self._keep_s = keep_s
        self._keep_bytes = keep_bytes
        self._clock = clock
        self._entries: OrderedDict[tuple[str, str], Entry] = OrderedDict()
        self._items: dict[tuple[str, str], str] = {}
        self.size_bytes = 0

    def fits(self, entry: Entry) -> bool:
        """Whether it may be kept at all."""
        return ID.fullmatch(entry.id) is not None and entry.size_bytes <= self._keep_bytes

    def add(self, entry: Entry, *, is_old: bool = False) -> None:
        """`is_old`: it was there before all that were added until now."""
        key = entry.owner, entry.id
        if is_old and key in self._entries:
            return
        self.remove(*key)
        self._entries[key] = entry
        if is_old:
            self._entries.move_to_end(key, last=False)
        self.size_bytes += entry.size_bytes
        for item_id in entry.item_ids:
            self._items[entry.owner, item_id] = entry.id

    def use(self, owner: str, id: str) -> bool:
        """Whether it is there; it counts as used now."""
        entry = self._entries.get((owner, id))
        if entry is None or self.is_over(entry.created_unix):
            return False
        self._entries.move_to_end((owner, id))
        return True

    def holder(self, owner: str, item_id: str) -> str | None:
        return self._items.get((owner, item_id))

    def remove(self, owner: str, id: str) -> bool:
        entry = self._entries.pop((owner, id), None)
        if entry is None:
            return False
        self.size_bytes -= entry.size_bytes
        for item_id in entry.item_ids:
            # The same item may stand in a later response: that one has it now.
            if self._items.get((owner, item_id)) == id:
                del self._items[owner, item_id]
        return not self.is_over(entry.created_unix)

    def overflow(self) -> list[Entry]:
        """Take out what there is no room for, the longest unused first."""
        gone: list[Entry] = []
        while self.size_bytes > self._keep_bytes:
            entry = next(iter(self._entries.values()))
            self.remove(entry.owner, entry.id)
            gone.append(entry)
        return gone

    def overdue(self) -> list[Entry]:
        """Take out what is too old."""
        gone = [entry for entry in self._entries.values() if self.is_over(entry.created_unix)]
        for entry in gone:
            self.remove(entry.owner, entry.id)
        return gone

    def is_over(self, created_unix: int) -> bool:
        """Whether one made then is too old by now."""
        return created_unix + self._keep_s < self._clock()


class MemoryResponses:
    """Keeps responses for as long as the process lives."""

    keeps = True

    def __init__(self, *, keep_s: float, keep_bytes: int, clock: Clock) -> None:
        """`clock` gives Unix time."""
        self._index = Index(keep_s=keep_s, keep_bytes=keep_bytes, clock=clock)
        self._kept: dict[tuple[str, str], KeptResponse] = {}

    def keep(self, owner: str, kept: KeptResponse) -> None:
        entry = entry_of(owner, kept)
        if self._index.fits(entry):
            self._index.add(entry)
            self._kept[owner, kept.id] = kept
            self._let_go(self._index.overflow())

    async def tend(self) -> None:
        """Let go of what is too old. Called now and then."""
        self._let_go(self._index.overdue())

    def _let_go(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self._kept.pop((entry.owner, entry.id), None)

    async def find(self, owner: str, id: str) -> KeptResponse | None:
        return self._kept.get((owner, id)) if self._index.use(owner, id) else None

    async def find_item(self, owner: str, item_id: str) -> KeptResponse | None:
        holder = self._index.holder(owner, item_id)
        return None if holder is None else await self.find(owner, holder)

    async def forget(self, owner: str, id: str) -> bool:
        self._kept.pop((owner, id), None)
        return self._index.remove(owner, id)

    async def close(self) -> None:
        """Everything is gone."""


class Record(msgspec.Struct):
    """One file."""

    id: str
    previous_id: str | None
    provider: str | None
    created_unix: int
    item_ids: tuple[str, ...]
    response: msgspec.Raw
    items: msgspec.Raw


class RecordHead(msgspec.Struct):
    """What the index wants of a file."""

    id: str
    created_unix: int
    item_ids: tuple[str, ...]


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Record).decode
decode_head = msgspec.json.Decoder(RecordHead).decode


class DiskResponses:
    """Keeps each response in a file of its own, in a directory for each owner, readable by nobody else.

    One thread does all that touches the disk, in order; a response that is not written yet is found in memory.
    `failed` is told what could not be written.
    """

    keeps = True

    def __init__(
        self,
        directory: Path,
        *,
        keep_s: float,
        keep_bytes: int,
        clock: Clock,
        failed: Callable[[OSError], None] = lambda _: None,
    ) -> None:
        """`clock` gives Unix time."""
        self._directory = directory
        self._index = Index(keep_s=keep_s, keep_bytes=keep_bytes, clock=clock)
        self._failed = failed
        self._unwritten: dict[tuple[str, str], KeptResponse] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="responses")
        self._there: Future[list[Entry]] | None = self._thread.submit(scan, directory)

    def keep(self, owner: str, kept: KeptResponse) -> None:
        folder = folder_of(owner)
        entry = entry_of(folder, kept)
        if not self._index.fits(entry):
            return
        self._index.add(entry)
        key = folder, kept.id
        self._unwritten[key] = kept
        loop = asyncio.get_running_loop()

        def written(done: Future[None]) -> None:
            loop.call_soon_threadsafe(self._written, key, kept, done.exception())

        self._thread.submit(write, self._directory / folder, kept).add_done_callback(written)
        self._delete(self._index.overflow())

    def _written(self, key: tuple[str, str], kept: KeptResponse, error: BaseException | None) -> None:
        if self._unwritten.get(key) is kept:
            del self._unwritten[key]
        if isinstance(error, OSError):
            # Fail open: the answer was given; only its copy is lost.
            self._index.remove(*key)
            self._failed(error)

    async def tend(self) -> None:
        """Delete what is too old. Called now and then."""
        await self._know()
        self._delete(self._index.overdue())

    def _delete(self, entries: Iterable[Entry]) -> None:
        loop = asyncio.get_running_loop()

        def deleted(done: Future[None]) -> None:
            if isinstance(error := done.exception(), OSError):
                loop.call_soon_threadsafe(self._failed, error)

        for entry in entries:
            self._unwritten.pop((entry.owner, entry.id), None)
            self._thread.submit(unlink, self._path(entry.owner, entry.id)).add_done_callback(deleted)

    def _path(self, folder: str, id: str) -> Path:
        return self._directory / folder / f"{id}{SUFFIX}"

    async def _know(self) -> None:
        """What an earlier process left is in the index once its files were looked at."""
        there = self._there
        if there is None:
            return
        found = await asyncio.wrap_future(there)
        if self._there is there:
            self._there = None
            for entry in reversed(found):
                self._index.add(entry, is_old=True)
            self._delete(self._index.overflow())

    async def find(self, owner: str, id: str) -> KeptResponse | None:
        if not ID.fullmatch(id):
            return None
        await self._know()
        folder = folder_of(owner)
        if self._index.use(folder, id):
            return self._unwritten.get((folder, id)) or await self._read(folder, id)
        # Another gate with the same data directory may have written it meanwhile.
        found = await self._read(folder, id)
        if found is None or self._index.is_over(found.created_unix):
            return None
        self._index.add(entry_of(folder, found))
        return found

    async def _read(self, folder: str, id: str) -> KeptResponse | None:
        return await asyncio.wrap_future(self._thread.submit(read, self._path(folder, id)))

    async def find_item(self, owner: str, item_id: str) -> KeptResponse | None:
        await self._know()
        holder = self._index.holder(folder_of(owner), item_id)
        return None if holder is None else await self.find(owner, holder)

    async def forget(self, owner: str, id: str) -> bool:
        if await self.find(owner, id) is None:
            return False
        folder = folder_of(owner)
        self._index.remove(folder, id)
        self._unwritten.pop((folder, id), None)
        try:
            await asyncio.wrap_future(self._thread.submit(unlink, self._path(folder, id)))
        except OSError as error:
            self._failed(error)
            raise Unavailable("The response could not be deleted: its file cannot be removed.") from error
        return True

    async def close(self) -> None:
        """Write what is left."""
        await asyncio.to_thread(self._thread.shutdown)


def entry_of(owner: str, kept: KeptResponse) -> Entry:
    size = len(kept.response) + len(kept.items) + 64 * len(kept.item_ids) + 512
    return Entry(owner=owner, id=kept.id, created_unix=kept.created_unix, size_bytes=size, item_ids=kept.item_ids)


def folder_of(owner: str) -> str:
    """A directory's name for an owner, whose own name may hold anything."""
    return hashlib.sha256(owner.encode(errors="surrogatepass")).hexdigest()[:32]


# --------------------------------------------------------------------------------------------- in the thread


def scan(directory: Path) -> list[Entry]:
    """The responses in a directory, the one written first first. Drafts a crash left are deleted."""
    found: list[tuple[float, Entry]] = []
    for path in directory.glob("*/*"):
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            if path.suffix == DRAFT:
                path.unlink()
            elif path.suffix == SUFFIX:
                status = path.stat()
                head = decode_head(path.read_bytes())
                entry = Entry(
                    owner=path.parent.name,
                    id=path.stem,
                    created_unix=head.created_unix,
                    size_bytes=status.st_size,
                    item_ids=head.item_ids,
                )
                found.append((status.st_mtime, entry))
    return [entry for _, entry in sorted(found, key=lambda one: one[0])]


def write(folder: Path, kept: KeptResponse) -> None:
    """Put a file in its place, whole. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    record = Record(
        id=kept.id,
        previous_id=kept.previous_id,
        provider=kept.provider,
        created_unix=kept.created_unix,
        item_ids=kept.item_ids,
        response=msgspec.Raw(kept.response),
        items=msgspec.Raw(kept.items),
    )
    draft = folder / f"{kept.id}.{os.urandom(4).hex()}{DRAFT}"
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(encode(record))
        draft.replace(folder / f"{kept.id}{SUFFIX}")
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def read(path: Path) -> KeptResponse | None:
    """A kept response; None where there is none that can be read."""
    try:
        record = decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return KeptResponse(
        id=record.id,
        previous_id=record.previous_id,
        provider=record.provider,
        created_unix=record.created_unix,
        item_ids=record.item_ids,
        response=bytes(record.response),
        items=bytes(record.items),
    )


def unlink(path: Path) -> None:
    """Delete a file; one that is gone already is as good. Raises OSError."""
    path.unlink(missing_ok=True)
