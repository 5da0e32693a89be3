"""What lies in the directory of models: GGUF files, and folders with a checkpoint or a model in several files."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from farmgate.engines.gguf import Header, NotGguf, is_gguf, read_header
from farmgate.engines.pulling.names import is_name
from farmgate.engines.pulling.notes import note_of
from farmgate.engines.shards import shard_in, shards_of

__all__ = ["Headers", "Placed", "Shelf"]


class Headers:
    """The heads of GGUF files, read again only when a file has changed."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, int], Header | None]] = {}

    def of(self, path: Path) -> Header | None:
        """None when there is no GGUF file."""
        try:
            stat = path.stat()
        except (OSError, ValueError):
            self._known.pop(path, None)
            return None
        version = (stat.st_size, stat.st_mtime_ns)
        remembered = self._known.get(path)
        if remembered is None or remembered[0] != version:
            remembered = (version, header_of(path))
            self._known[path] = remembered
        return remembered[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A model on the shelf. `path`: what an engine is given. `whole`: the file, or the folder, that is all of it."""

    path: Path
    whole: Path


class Shelf:
    """One directory. A name never leads out of it, and what is being fetched has a name that no model can have."""

    def __init__(self, directory: Path, headers: Headers) -> None:
        self.directory = directory
        self._headers = headers

    def names(self) -> set[str]:
        try:
            entries = list(self.directory.iterdir())
        except OSError:
            return set()
        names = {entry.name.removesuffix(".gguf") if entry.suffix == ".gguf" else entry.name for entry in entries}
        return {name for name in names if self.find(name) is not None}

    def find(self, name: str) -> Placed | None:
        """A model by its name. Safe for names that strangers send."""
        if not is_name(name):
            return None
        file = self.file(name)
        if self._headers.of(file) is not None:
            return Placed(path=file, whole=file)
        folder = self.folder(name)
        path = self._in(folder)
        return Placed(path=path, whole=folder) if path is not None else None

    def file(self, name: str) -> Path:
        return self.directory / f"{name}.gguf"

    def folder(self, name: str) -> Path:
        return self.directory / name

    def part(self, name: str) -> Path:
        """The folder in which a model is fetched."""
        return self.directory / f".{name}.part"

    def _in(self, folder: Path) -> Path | None:
        """What an engine is given of a folder; None unless there is a whole model in it, which can be read."""
        try:
            return self._looked_for(folder)
        except OSError:
            return None

    def _looked_for(self, folder: Path) -> Path | None:
        """The same. Raises OSError."""
        if folder.is_symlink() or not folder.is_dir():
            return None
        if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
            return folder
        firsts = [path for path in folder.glob("*-00001-of-*.gguf") if shard_in(path.name) is not None]
        if len(firsts) != 1 or self._headers.of(firsts[0]) is None:
            return None
        return firsts[0] if all(path.is_file() for path in shards_of(firsts[0])) else None

    def put(self, name: str, files: Path, *, is_folder: bool) -> Path:
        """Put what was fetched, a file or a folder, in the place of what has this name. Raises OSError."""
        file, folder, aside = self.file(name), self.folder(name), self._aside(name)
        if not is_folder:
            files.replace(file)
            self._away(folder, aside)
            return file
        shutil.rmtree(aside, ignore_errors=True)
        if folder.exists():
            # Whoever looks now finds no model; whoever has it open keeps it.
            folder.rename(aside)
        files.rename(folder)
        file.unlink(missing_ok=True)
        shutil.rmtree(aside, ignore_errors=True)
        return folder

    def remove(self, name: str) -> bool:
        """Delete a model. False when there is none by that name. Raises OSError."""
        found = self.find(name)
        if found is None:
            return False
        if found.whole.is_dir():
            self._away(found.whole, self._aside(name))
        else:
            found.whole.unlink(missing_ok=True)
        note_of(found.whole).unlink(missing_ok=True)
        return True

    def _aside(self, name: str) -> Path:
        return self.directory / f".{name}.old"

    def _away(self, folder: Path, aside: Path) -> None:
        """In one step first: half a folder is never seen."""
        shutil.rmtree(aside, ignore_errors=True)
        if folder.is_dir() and not folder.is_symlink():
            folder.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)


def header_of(path: Path) -> Header | None:
    try:
        return read_header(path) if path.is_file() else None
    except OSError:
        return None
    except NotGguf:
        # An old or foreign version: the engine may still know it, this parser does not.
        return Header() if is_gguf(path) else None
