"""A note beside each pulled model tells where it came from, and what its files were when they were checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

__all__ = ["Note", "Noted", "note_of", "read_note", "recall", "write_note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """One file: size and time tell whether it is still the one whose hash was checked. `mark`: that hash."""

    size_bytes: int
    mtime_ns: int
    mark: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a note says. `files`: by their place in the model's folder; a model of one file has its facts at the top.

    `asked`: what was pulled, as it was written. `source`: who had it. `revision`: the commit.
    """

    source: str
    licence: str
    description: str
    sha256: str = ""
    size_bytes: int = 0
    mtime_ns: int = 0
    asked: str = ""
    revision: str | None = None
    files: dict[str, Noted] = field(default_factory=dict)

    def is_about(self, path: Path) -> bool:
        """Whether it is about the file, or the folder, as it is now."""
        try:
            if not self.files:
                return as_now(path) == (self.size_bytes, self.mtime_ns)
            return all(as_now(path / place) == (file.size_bytes, file.mtime_ns) for place, file in self.files.items())
        except (OSError, ValueError):
            return False


def as_now(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def note_of(path: Path) -> Path:
    """Where the note of a model is: beside its file or folder."""
    return path.with_name(f"{path.name.removesuffix('.gguf')}.json")


def recall(path: Path) -> Note | None:
    """The note of a file or folder, whatever has become of that since."""
    try:
        return msgspec.json.decode(note_of(path).read_bytes(), type=Note)
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError):
        return None


def read_note(path: Path) -> Note | None:
    """The note of a file or folder, if it is about what is there now."""
    note = recall(path)
    return note if note is not None and note.is_about(path) else None


def write_note(path: Path, note: Note) -> None:
    """Put the note in place whole. Raises OSError."""
    place = note_of(path)
    draft = place.with_name(f"{place.name}.new")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(note), indent=2) + b"\n")
    draft.replace(place)
