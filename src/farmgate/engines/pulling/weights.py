"""The model store keeps pulled models in one directory, each beside a note of where it came from."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from farmgate.core.errors import InvalidValue, ModelNotFound, Unavailable
from farmgate.core.locator import (
    HubModel,
    LocalFiles,
    NamedModel,
    ProviderModel,
    WebFile,
    is_remote,
    parse_locator,
)
from farmgate.core.model import ModelInfo
from farmgate.core.ports import Progress, Report
from farmgate.engines.folder import folder_context_tokens
from farmgate.engines.gguf import is_gguf
from farmgate.engines.pulling.address import Address
from farmgate.engines.pulling.catalogue import CATALOGUE, Item
from farmgate.engines.pulling.filelock import file_lock
from farmgate.engines.pulling.getting import Getting
from farmgate.engines.pulling.hub import Hub
from farmgate.engines.pulling.importing import Importing, why_not
from farmgate.engines.pulling.names import check_name, default_name, is_name
from farmgate.engines.pulling.notes import read_note
from farmgate.engines.pulling.package import Package
from farmgate.engines.pulling.plan import Origin
from farmgate.engines.pulling.pulls import Pulls
from farmgate.engines.pulling.shelf import Headers, Shelf
from farmgate.engines.pulling.shipped import Shipped
from farmgate.engines.pulling.sources import Source
from farmgate.engines.pulling.stock import Stock
from farmgate.engines.shards import weights_bytes

__all__ = ["ModelStore"]


class ModelStore:
    """Weights on this machine. `sources` are asked for what is in the catalogue, in their order.

    Names that come from elsewhere (a request) go through `known` and `pull`: they open pulled and registered files
    only, and get what is in the catalogue. `path`, `source`, `register` and `fetch` open any file and reach any
    address: they are for what the operator wrote.
    """

    def __init__(
        self,
        directory: Path,
        *,
        sources: Sequence[Source] | None = None,
        hub: Hub | None = None,
        address: Address | None = None,
        catalogue: Mapping[str, Item] = CATALOGUE,
        free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        hub = hub if hub is not None else Hub()
        origins: dict[type, Origin] = {
            HubModel: hub,
            WebFile: address if address is not None else Address(),
            LocalFiles: Importing(),
        }
        self._directory = directory
        self._catalogue = catalogue
        self._sleep = sleep
        self._headers = Headers()
        self._shelf = Shelf(directory, self._headers)
        usual = (Shipped(), hub, Package(sleep=sleep))
        self._stock = Stock(directory, sources if sources is not None else usual, free_bytes)
        self._getting = Getting(self._shelf, origins, free_bytes)
        self._registered: dict[str, Path] = {}
        self._pulls = Pulls()

    # What is here

    def models(self) -> tuple[ModelInfo, ...]:
        names = sorted(self._shelf.names() | self._registered.keys())
        return tuple(info for name in names if (info := self._info(name)) is not None)

    def known(self, model: str) -> Path | None:
        """What an engine is given of a pulled or registered model: a GGUF file, or the folder of a checkpoint.

        Safe for names that strangers send.
        """
        path = self._registered.get(model)
        if path is not None:
            return path if self._headers.of(path) is not None else None
        found = self._shelf.find(model)
        return found.path if found is not None else None

    def path(self, model: str) -> Path | None:
        """Like `known`; a path to any GGUF file is taken too. For the command line, never for a request."""
        return self.known(model) or gguf_at(model)

    def source(self, text: str) -> Path | None:
        """Like `path`; the folder of a checkpoint is taken too, and what was pulled from a hub or an address.

        For the operator's configuration.
        """
        if is_remote(text):
            return self._pulled_from(text)
        return self.path(text) or checkpoint_at(text)

    def _pulled_from(self, text: str) -> Path | None:
        try:
            locator = parse_locator(text)
        except InvalidValue:
            return None
        if not isinstance(locator, HubModel | WebFile):
            return None
        found = self.known(default_name(locator))
        if found is not None:
            return found
        for name in sorted(self._shelf.names()):
            placed = self._shelf.find(name)
            note = read_note(placed.whole) if placed is not None else None
            if placed is not None and note is not None and note.asked == str(locator):
                return placed.path
        return None

    def register(self, path: Path) -> str:
        """Let `known` find the file at `path`, by a name made from its own. Raises ModelNotFound for anything else."""
        found = gguf_at(str(path))
        if found is None:
            raise ModelNotFound(why_not(path))
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
        header = self._headers.of(path)
        return header.context_tokens if header is not None else None

    def _info(self, name: str) -> ModelInfo | None:
        path = self.known(name)
        if path is None:
            return None
        placed = self._shelf.find(name) if name not in self._registered else None
        note = read_note(placed.whole) if placed is not None else None
        header = self._headers.of(path) if path.is_file() else None
        try:
            size, changed = weights_bytes(path), path.stat().st_mtime
        except OSError:
            # It goes at this very moment.
            return None
        return ModelInfo(
            name=name,
            provider="local",
            size_bytes=size,
            description=note.description if note is not None else (header.name if header is not None else None),
            context_tokens=self.context_tokens(path),
            created_unix=int(changed),
            source=note.asked or note.source if note is not None else None,
            revision=note.revision if note is not None else None,
            licence=note.licence or None if note is not None else None,
        )

    # Getting and removing

    async def pull(self, model: str, report: Report) -> Path:
        """Get a model of the catalogue. Safe for names that strangers send: nothing is fetched from where they say."""
        item = self._catalogue.get(model)
        if item is None:
            raise ModelNotFound(
                f"Farmgate does not know where to get {model[:200]!r}: it can pull "
                f"{', '.join(sorted(self._catalogue))}. Whoever runs it can pull any other: farmgate pull hf:owner/name"
            )

        async def work(told: Report) -> Path:
            if self._stock.has(item):
                return self._stock.path(item)
            async with self._alone(item.name, told):
                return await self._stock.get(item, told)

        return await self._pulls.share(item.name, item.name, work, report)

    async def fetch(self, source: str, report: Report, *, name: str | None = None) -> str:
        """Get a model from wherever its owner says, and the name it has here: `name`, or one made from the source.

        Raises FarmError: InvalidValue for a source or a name that cannot be used, or a name that is taken.
        """
        locator = parse_locator(source)
        if isinstance(locator, ProviderModel):
            raise InvalidValue(f"{locator.provider} gets its models by itself: not from here.", param="model")
        if isinstance(locator, NamedModel):
            if name is not None:
                raise InvalidValue(f"{locator.name} has its name already.", param="name")
            await self.pull(locator.name, report)
            return locator.name
        if isinstance(locator, LocalFiles):
            locator = LocalFiles(path=absolute(locator.path))
        chosen = check_name(name) if name is not None else default_name(locator)
        if chosen in self._catalogue:
            raise InvalidValue(f"{chosen} is a model Farmgate knows: another name: --as NAME.", param="name")

        async def work(told: Report) -> Path:
            async with self._alone(chosen, told):
                return await self._getting.get(locator, chosen, told)

        await self._pulls.share(chosen, str(locator), work, report)
        return chosen

    def remove(self, model: str) -> bool:
        self._registered.pop(model, None)
        if not is_name(model):
            return False
        there = self._shelf.remove(model)
        if model in self._pulls.running:
            return there
        part = self._directory / f"{model}.part"
        folders = (self._directory / f"{model}.pip", self._shelf.part(model))
        was_begun = part.exists() or any(folder.exists() for folder in folders)
        part.unlink(missing_ok=True)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        return there or was_begun

    @asynccontextmanager
    async def _alone(self, name: str, report: Report) -> AsyncIterator[None]:
        """Hold the lock that keeps other processes from pulling the same. Raises Unavailable."""
        waiting = Progress(status=f"waiting for another Farmgate that is pulling {name}")
        async with AsyncExitStack() as stack:
            try:
                self._directory.mkdir(parents=True, exist_ok=True)
                lock = file_lock(self._directory / f".{name}.lock", self._sleep, lambda: report(waiting))
                await stack.enter_async_context(lock)
            except OSError as error:
                raise Unavailable(f"{self._directory} cannot be written to: {error.strerror}") from error
            yield


def gguf_at(text: str) -> Path | None:
    try:
        path = Path(text).expanduser()
        usable = path.suffix == ".gguf" and path.is_file() and is_gguf(path)
        return path.resolve() if usable else None
    except (OSError, RuntimeError, ValueError):
        # A name too long, no home directory for `~`, a NUL character: no such file, in other words.
        return None


def checkpoint_at(text: str) -> Path | None:
    try:
        path = Path(text).expanduser()
        return path.resolve() if (path / "config.json").is_file() else None
    except (OSError, RuntimeError, ValueError):
        return None


def absolute(text: str) -> str:
    """The same path from anywhere, so that one model has one note."""
    try:
        return str(Path(text).expanduser().absolute())
    except (OSError, RuntimeError, ValueError):
        return text
