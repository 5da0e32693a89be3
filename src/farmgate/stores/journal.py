"""The journal: one line when a call begins, one when it ends, in append-only segments that survive `kill -9`.

What was written outlives the process, because the kernel holds it (power loss is not covered). A segment belongs to the
process that holds its lock; a call that a dead process left open is LOST.
"""

from __future__ import annotations

import mmap
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from farmgate.core.usage import Call, Outcome

__all__ = ["FileJournal", "MemoryJournal", "read_calls"]

PREFIX = "calls-"
SUFFIX = ".jsonl"
NAME_LETTERS = 256
LINE_BYTES = 64 << 10


class Began(msgspec.Struct, tag_field="e", tag="b", omit_defaults=True):
    """A call is about to be made."""

    i: str
    k: str
    n: str
    p: str
    m: str
    t: float
    s: bool = False
    r: str | None = None


class Ended(msgspec.Struct, tag_field="e", tag="e", omit_defaults=True):
    """A call has ended."""

    i: str
    o: str
    c: str | None = None
    pt: int = 0
    ct: int = 0
    ca: int = 0
    es: bool = False
    f: float | None = None
    d: float | None = None
    cw: int = 0


encoder = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Began | Ended).decode
OUTCOMES = {outcome.value: outcome for outcome in Outcome}


def begin_line(call: Call) -> bytes:
    began = round(call.began_unix, 3)
    # The model is as the caller wrote it: a record must not be as long as its request may be.
    model = call.model[:NAME_LETTERS]
    return encode(Began(call.id, call.key_name, call.kind, call.provider, model, began, call.stream, call.asked_id))


def end_line(call: Call) -> bytes:
    first = None if call.first_token_ms is None else round(call.first_token_ms, 2)
    took = None if call.duration_ms is None else round(call.duration_ms, 2)
    record = Ended(
        call.id,
        call.outcome,
        call.code,
        call.prompt_tokens,
        call.completion_tokens,
        call.cached_tokens,
        call.estimated,
        first,
        took,
        call.cache_write_tokens,
    )
    return encode(record)


def encode(record: Began | Ended) -> bytes:
    """One line. Never raises: half a character, which JSON cannot hold, becomes a question mark."""
    try:
        return encoder(record) + b"\n"
    except UnicodeEncodeError:
        for name in record.__struct_fields__:
            value = getattr(record, name)
            if isinstance(value, str):
                setattr(record, name, value.encode(errors="replace").decode())
        return encoder(record) + b"\n"


class FileJournal:
    """A journal in a directory. One writer per process; `failed` is told each record that could not be written."""

    def __init__(
        self,
        directory: Path,
        *,
        segment_bytes: int = 64 << 20,
        keep_segments: int = 16,
        failed: Callable[[OSError], None] = lambda _: None,
    ) -> None:
        self._directory = directory
        self._keep = keep_segments
        self._segment_bytes = segment_bytes
        self._failed = failed
        # A process id alone comes back: in a container every gate has the same.
        self._owner = f"{os.getpid()}.{os.urandom(4).hex()}"
        directory.mkdir(parents=True, exist_ok=True)
        self._segment = Segment(directory, self._owner, segment_bytes)

    def began(self, call: Call) -> None:
        self._append(begin_line(call))

    def ended(self, call: Call) -> None:
        self._append(end_line(call))

    def _append(self, line: bytes) -> None:
        # Fail open: an answer is worth more than its record, and the failure is counted and shown.
        try:
            if not self._segment.append(line):
                self._rotate()
                self._segment.append(line)
                self._remove_old()
        except OSError as error:
            self._failed(error)

    def _rotate(self) -> None:
        full, self._segment = self._segment, Segment(self._directory, self._owner, self._segment_bytes)
        full.close()

    def _remove_old(self) -> None:
        for old in segments(self._directory)[: -self._keep]:
            # Another gate may still write to its own.
            if not is_locked(old):
                old.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the segment; an empty one is removed. Records that come later are told to `failed`."""
        self._segment.close()


class Segment:
    """One file, written through memory: a record costs a copy, no system call, and outlives the process all the same.

    The file grows in steps whose blocks are really there, so that a full disk is an OSError here and not a SIGBUS
    later. What is not written yet reads as NUL bytes.
    """

    STEP = 1 << 20

    def __init__(self, directory: Path, owner: str, most_bytes: int) -> None:
        self._path = directory / f"{PREFIX}{time.time_ns():020d}-{owner}{SUFFIX}"
        self._most = most_bytes
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
        self._file = os.open(self._path, flags, 0o600)
        lock(self._file)
        self._end = 0
        self._size = 0
        self._memory: mmap.mmap | None = None

    def append(self, line: bytes) -> bool:
        """Write one record; False when the segment is full. Raises OSError when the disk is."""
        begin, end = self._end, self._end + len(line)
        if end > self._size:
            if begin and end > self._most:
                return False
            self._grow(end)
        assert self._memory is not None
        self._memory[begin:end] = line
        self._end = end
        return True

    def _grow(self, least: int) -> None:
        size = max(min(self._size + self.STEP, self._most), least)
        reserve(self._file, self._size, size - self._size)
        wider = mmap.mmap(self._file, size)
        if self._memory is not None:
            self._memory.close()
        self._memory = wider
        self._size = size

    def close(self) -> None:
        """Cut off what was not written. Nothing can be appended afterwards."""
        if self._file < 0:
            return
        if self._memory is not None:
            self._memory.close()
            self._memory = None
        file, end = self._file, self._end
        self._file, self._end, self._size = -1, 0, 0
        os.ftruncate(file, end)
        os.close(file)
        if not end:
            self._path.unlink(missing_ok=True)


def reserve(file: int, offset: int, length: int) -> None:
    """Make blocks of a file exist. Raises OSError when the disk is full."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, offset, length)
    else:
        end = offset + length
        while offset < end:  # A disk that is nearly full takes less than it was given.
            offset += os.pwrite(file, bytes(end - offset), offset)


class MemoryJournal:
    """A journal that keeps the latest calls in memory."""

    def __init__(self, *, keep: int = 1000) -> None:
        self.calls: deque[Call] = deque(maxlen=keep)

    def began(self, call: Call) -> None:
        self.calls.append(call)

    def ended(self, call: Call) -> None:
        """The call was kept when it began."""


def segments(directory: Path) -> list[Path]:
    """The segments, oldest first."""
    return sorted(directory.glob(f"{PREFIX}*{SUFFIX}"))


def read_calls(directory: Path) -> Iterator[Call]:
    """Every call on record: the ended ones in the order they ended, then those that did not end.

    A line cut short by a crash is passed over. Only open calls are held in memory.
    """
    running: dict[str, tuple[Call, Path]] = {}
    alive = {owner(path) for path in segments(directory) if is_locked(path)}
    for path in segments(directory):
        for line in lines(path):
            call = note(running, line, path)
            if call is not None:
                yield call
    for call, path in running.values():
        call.outcome = Outcome.OPEN if owner(path) in alive else Outcome.LOST
        yield call


def lines(path: Path) -> Iterator[bytes]:
    """The lines that have an end, without those longer than any of ours. None if the segment is gone by now."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        is_rest = False
        while piece := file.readline(LINE_BYTES):
            is_end = piece.endswith(b"\n")
            if is_end and not is_rest:
                yield piece
            is_rest = not is_end


def owner(path: Path) -> str:
    """Which journal wrote a segment."""
    return path.stem.rpartition("-")[2]


def note(running: dict[str, tuple[Call, Path]], line: bytes, path: Path) -> Call | None:
    """What one line says: a call that began is kept in `running`, one that ended is given back."""
    try:
        record = decode(line.strip(b"\0"))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if isinstance(record, Began):
        call = Call(
            id=record.i,
            asked_id=record.r,
            key_name=record.k,
            kind=record.n,
            provider=record.p,
            model=record.m,
            stream=record.s,
            began_unix=record.t,
        )
        running[call.id] = (call, path)
        return None
    if record.i not in running:
        return None
    call, _ = running.pop(record.i)
    call.outcome = OUTCOMES.get(record.o, Outcome.ERROR)
    call.code = record.c
    call.prompt_tokens, call.completion_tokens, call.cached_tokens = record.pt, record.ct, record.ca
    call.cache_write_tokens = record.cw
    call.estimated = record.es
    call.first_token_ms, call.duration_ms = record.f, record.d
    return call


def lock(file: int) -> None:
    """Mark a segment as written by a living process. Where there are no locks, every open call reads as LOST."""
    try:
        import fcntl
    except ImportError:
        return
    # The only other one to hold it is somebody who looks whether it is held, for a moment.
    fcntl.flock(file, fcntl.LOCK_EX)


def is_locked(path: Path) -> bool:
    """Whether a living process writes this segment."""
    try:
        import fcntl
    except ImportError:
        return False
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        return False
