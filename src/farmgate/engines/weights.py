"""The model store keeps pulled GGUF files in one directory, each beside a note of where it came from."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from farmgate.core.errors import ModelNotFound, Unavailable
from farmgate.core.model import ModelInfo
from farmgate.core.ports import Progress, Report
from farmgate.engines.catalogue import CATALOGUE, Item
from farmgate.engines.filelock import file_lock
from farmgate.engines.folder import folder_context_tokens
from farmgate.engines.gguf import Header, NotGguf, is_gguf, read_header
from farmgate.engines.hub import HUB_URL, Hub
from farmgate.engines.package import Package
from farmgate.engines.sources import Source, SourceFailed, matches, size_of

__all__ = ["ModelStore"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

# Room that is left for everything else on the disk.
SPARE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class _Note:
    """What a sidecar says. Size and time tell whether the file is still the one whose hash was checked."""

    source: str
    sha256: str
    size_bytes: int
    mtime_ns: int
    licence: str
    description: str


@dataclass(slots=True)
class _Pull:
    task: asyncio.Task[Path]
    reports: list[Report] = field(default_factory=list)


class ModelStore:
    """Weights on this machine. `sources` are asked in their order; `hub_url` replaces the hub by a mirror.

    Names that come from elsewhere (a request) go through `known`, which opens pulled and registered files only.
    `path` and `register` open any file: they are for what the operator typed.
    """

    def __init__(
        self,
        directory: Path,
        *,
        sources: Sequence[Source] | None = None,
        hub_url: str = HUB_URL,
        catalogue: Mapping[str, Item] = CATALOGUE,
        free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._directory = directory
        self._sources = tuple(sources) if sources is not None else (Hub(hub_url), Package(sleep=sleep))
        self._catalogue = catalogue
        self._free_bytes = free_bytes
        self._sleep = sleep
        self._registered: dict[str, Path] = {}
        self._pulls: dict[str, _Pull] = {}
        self._headers: dict[Path, tuple[tuple[int, int], Header | None]] = {}

    # What is here

    def models(self) -> tuple[ModelInfo, ...]:
        pulled = {path.stem for path in self._directory.glob("*.gguf")}
        names = sorted(pulled | self._registered.keys())
        return tuple(info for name in names if (info := self._info(name)) is not None)

    def known(self, model: str) -> Path | None:
        """The file of a pulled or registered model. Safe for names that strangers send."""
        path = self._registered.get(model)
        if path is None and NAME.fullmatch(model):
            path = self._directory / f"{model}.gguf"
        return path if path is not None and self._header(path) is not None else None

    def path(self, model: str) -> Path | None:
        """Like `known`; a path to any GGUF file is taken too. For the command line, never for a request."""
        return self.known(model) or _gguf_at(model)

    def source(self, text: str) -> Path | None:
        """Like `path`; the folder of a checkpoint is taken too. For the operator's configuration."""
        return self.path(text) or _checkpoint_at(text)

    def register(self, path: Path) -> str:
        """Let `known` find the file at `path`, by a name made from its own. Raises ModelNotFound for anything else."""
        found = _gguf_at(str(path))
        if found is None:
            raise ModelNotFound(_why_not(path))
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", found.stem).strip("-._")[:90] or "model"
        name, count = stem, 1
        while (taken := self.known(name)) is not None and taken != found:
            count += 1
            name = f"{stem}-{count}"
        self._registered[name] = found
        return name

    def context_tokens(self, path: Path) -> int | None:
        """The context a model was trained for, where its file, or the configuration in its folder, says so."""
        if path.is_dir():
            return folder_context_tokens(path)
        header = self._header(path)
        return header.context_tokens if header is not None else None

    def _info(self, name: str) -> ModelInfo | None:
        path = self.known(name)
        if path is None:
            return None
        stat, header, note = path.stat(), self._header(path), _read_note(path)
        return ModelInfo(
            name=name,
            provider="local",
            size_bytes=stat.st_size,
            description=note.description if note is not None else (header.name if header is not None else None),
            context_tokens=header.context_tokens if header is not None else None,
            created_unix=int(stat.st_mtime),
        )

    def _header(self, path: Path) -> Header | None:
        """None when there is no GGUF file. Read again only when the file has changed."""
        try:
            stat = path.stat()
        except (OSError, ValueError):
            self._headers.pop(path, None)
            return None
        version = (stat.st_size, stat.st_mtime_ns)
        remembered = self._headers.get(path)
        if remembered is None or remembered[0] != version:
            remembered = (version, _header_of(path))
            self._headers[path] = remembered
        return remembered[1]

    # Getting and removing

    async def pull(self, model: str, report: Report) -> Path:
        item = self._catalogue.get(model)
        if item is None:
            raise ModelNotFound(
                f"Farmgate does not know where to get {model!r}: it can pull {', '.join(sorted(self._catalogue))}. "
                "Any GGUF file works too: farmgate run ./model.gguf"
            )
        pull = self._pulls.get(model)
        if pull is None:
            pull = self._begin(item)
        pull.reports.append(report)
        try:
            return await asyncio.shield(pull.task)
        finally:
            pull.reports.remove(report)
            if not pull.reports and not pull.task.done():
                # Whoever asks from now on starts anew instead of joining a pull that is ending.
                self._forget(model, pull)
                pull.task.cancel()
                await asyncio.wait({pull.task})

    def remove(self, model: str) -> bool:
        self._registered.pop(model, None)
        if not NAME.fullmatch(model):
            return False
        path = self._directory / f"{model}.gguf"
        there = path.is_file()
        for leftover in (path, path.with_suffix(".json")):
            leftover.unlink(missing_ok=True)
        if model not in self._pulls:
            path.with_suffix(".part").unlink(missing_ok=True)
            shutil.rmtree(path.with_suffix(".pip"), ignore_errors=True)
        return there

    def _begin(self, item: Item) -> _Pull:
        def report(progress: Progress) -> None:
            for each in tuple(pull.reports):
                each(progress)

        pull = _Pull(asyncio.get_running_loop().create_task(self._pull(item, report)))
        self._pulls[item.name] = pull
        pull.task.add_done_callback(lambda _: self._forget(item.name, pull))
        return pull

    def _forget(self, model: str, pull: _Pull) -> None:
        if self._pulls.get(model) is pull:
            del self._pulls[model]

    async def _pull(self, item: Item, report: Report) -> Path:
        path = self._directory / f"{item.name}.gguf"
        if _noted(path, item):
            return path
        async with AsyncExitStack() as stack:
            try:
                self._directory.mkdir(parents=True, exist_ok=True)
                waiting = Progress(status=f"waiting for another Farmgate that is pulling {item.name}")
                lock = file_lock(self._directory / f".{item.name}.lock", self._sleep, lambda: report(waiting))
                await stack.enter_async_context(lock)
            except OSError as error:
                raise Unavailable(f"{self._directory} cannot be written to: {error.strerror}") from error
            if await self._is_here(path, item, report):
                return path
            return await self._from_any(path, item, report)

    async def _is_here(self, path: Path, item: Item, report: Report) -> bool:
        if _noted(path, item):
            return True
        if size_of(path) != item.size_bytes:
            return False
        report(Progress(status="verifying", total=item.size_bytes))
        if not await asyncio.to_thread(matches, path, size_bytes=item.size_bytes, sha256=item.sha256):
            return False
        _write_note(path, item, "found on this machine")
        return True

    async def _from_any(self, path: Path, item: Item, report: Report) -> Path:
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
                return path
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
                await asyncio.to_thread(_sync, part)
                part.replace(path)
                _write_note(path, item, source.name)
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


def _gguf_at(text: str) -> Path | None:
    try:
        path = Path(text).expanduser()
        usable = path.suffix == ".gguf" and path.is_file() and is_gguf(path)
        return path.resolve() if usable else None
    except (OSError, RuntimeError, ValueError):
        # A name too long, no home directory for `~`, a NUL character: no such file, in other words.
        return None


def _checkpoint_at(text: str) -> Path | None:
    try:
        path = Path(text).expanduser()
        return path.resolve() if (path / "config.json").is_file() else None
    except (OSError, RuntimeError, ValueError):
        return None


def _why_not(path: Path) -> str:
    try:
        is_there, is_file = path.exists(), path.is_file()
    except (OSError, ValueError):
        is_there = is_file = False
    if not is_there:
        return f"There is no file {path}."
    if not is_file:
        return f"{path} is a directory: name the .gguf file in it."
    if path.suffix != ".gguf":
        return f"The name of {path} does not end in .gguf: is it the weights of a model in the GGUF format?"
    return f"{path} does not begin as GGUF files do: it may be damaged, or in another format."


def _header_of(path: Path) -> Header | None:
    try:
        return read_header(path) if path.is_file() else None
    except OSError:
        return None
    except NotGguf:
        # An old or foreign version: the engine may still know it, this parser does not.
        return Header() if is_gguf(path) else None


def _noted(path: Path, item: Item) -> bool:
    note = _read_note(path)
    return note is not None and note.sha256 == item.sha256


def _read_note(path: Path) -> _Note | None:
    """The sidecar's note, if it is about the file as it is now."""
    try:
        note = _Note(**json.loads(path.with_suffix(".json").read_bytes()))
        stat = path.stat()
    except (OSError, TypeError, ValueError):
        return None
    return note if (stat.st_size, stat.st_mtime_ns) == (note.size_bytes, note.mtime_ns) else None


def _write_note(path: Path, item: Item, source: str) -> None:
    stat = path.stat()
    note = _Note(
        source=source,
        sha256=item.sha256,
        size_bytes=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        licence=item.licence,
        description=item.description,
    )
    draft = path.with_suffix(".json.new")
    draft.write_text(json.dumps(asdict(note), indent=2) + "\n")
    draft.replace(path.with_suffix(".json"))


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
