"""A model that lies elsewhere on this machine is copied: its own file or folder may change or go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from farmgate.core.locator import LocalFiles, Locator
from farmgate.engines.gguf import is_gguf
from farmgate.engines.pulling.choosing import checkpoint
from farmgate.engines.pulling.plan import Piece, Plan
from farmgate.engines.pulling.repository import Repository, RepositoryFile
from farmgate.engines.pulling.sources import CHUNK_BYTES, NotThere, Stop
from farmgate.engines.shards import shards_of
from farmgate.engines.threads import in_daemon_thread

__all__ = ["Importing", "why_not"]

POOLING = "1_Pooling/config.json"


class Importing:
    """Files of this machine."""

    async def plan(self, locator: Locator, pausing: Callable[[float], object]) -> Plan:
        assert isinstance(locator, LocalFiles)
        return await asyncio.to_thread(planned, locator.path)

    async def bring(
        self, piece: Piece, into: Path, tell: Callable[[int], object], pausing: Callable[[float], object]
    ) -> None:
        loop = asyncio.get_running_loop()
        stop = Stop()

        def copy() -> None:
            done = 0
            with Path(piece.url).open("rb") as source, into.open("wb") as file:
                while chunk := source.read(CHUNK_BYTES):
                    stop.guard(lambda chunk=chunk: file.write(chunk))  # type: ignore[misc]
                    done += len(chunk)
                    loop.call_soon_threadsafe(tell, done)

        try:
            await in_daemon_thread(copy)
        finally:
            stop.set()


def planned(text: str) -> Plan:
    """Raises NotThere for what is no model."""
    try:
        path = Path(text).expanduser().absolute()
        is_folder = path.is_dir()
    except (OSError, RuntimeError, ValueError):
        raise NotThere(f"there is no file {text[:200]!r}") from None
    if is_folder:
        try:
            pieces = in_folder(path)
        except OSError as error:
            raise NotThere(f"{path} cannot be read: {error.strerror}") from error
    elif path.suffix == ".gguf" and path.is_file() and is_gguf(path):
        pieces = tuple(piece_of(file, file.name) for file in shards_of(path))
    else:
        raise NotThere(why_not(path))
    asked = str(path)
    return Plan(
        asked=asked,
        source=asked,
        pieces=pieces,
        is_folder=is_folder or len(pieces) > 1,
        description=f"copied from {path.name}",
    )


def in_folder(folder: Path) -> tuple[Piece, ...]:
    """The files of a checkpoint, the same as would be taken from the hub."""
    names = [path.relative_to(folder).as_posix() for path in (*folder.iterdir(), folder / POOLING) if path.is_file()]
    if "config.json" not in names and any(name.endswith(".gguf") for name in names):
        raise NotThere(why_not(folder))
    files = tuple(RepositoryFile(path=name, size_bytes=(folder / name).stat().st_size) for name in sorted(names))
    here = Repository(name=str(folder), commit="", licence=None, files=files)
    return tuple(piece_of(folder / file.path, file.path) for file in checkpoint(here))


def piece_of(path: Path, place: str) -> Piece:
    try:
        size = path.stat().st_size
    except OSError:
        raise NotThere(f"{path} is not there: every file of the model is needed") from None
    return Piece(path=place, url=str(path), shown=str(path), size_bytes=size)


def why_not(path: Path) -> str:
    """Why there is no GGUF file at a path, in one sentence."""
    try:
        is_there, is_file = path.exists(), path.is_file()
        if is_file:
            path.open("rb").close()
    except PermissionError as error:
        return f"{path} cannot be read: {error.strerror}."
    except (OSError, ValueError):
        is_there = is_file = False
    if not is_there:
        return f"There is no file {path}."
    if not is_file:
        return f"{path} is a directory: name the .gguf file in it."
    if path.suffix != ".gguf":
        return f"The name of {path} does not end in .gguf: is it the weights of a model in the GGUF format?"
    return f"{path} does not begin as GGUF files do: it may be damaged, or in another format."
