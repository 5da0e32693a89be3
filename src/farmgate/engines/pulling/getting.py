"""A model is got from where its owner says, whole and checked, into the directory of models."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from farmgate.core.errors import FarmError, InvalidValue, ModelNotFound, Unavailable, UpstreamRefusedKey
from farmgate.core.locator import HubModel, LocalFiles, Locator, WebFile, parse_locator
from farmgate.core.ports import Progress, Report
from farmgate.engines.pulling.fetching import Fetching, waiting
from farmgate.engines.pulling.notes import Note, Noted, read_note, recall, write_note
from farmgate.engines.pulling.plan import Origin, Plan, gigabytes
from farmgate.engines.pulling.shelf import Placed, Shelf
from farmgate.engines.pulling.sources import NotThere, SourceFailed, SourceRefused
from farmgate.engines.pulling.stock import SPARE_BYTES

__all__ = ["Getting"]

OFFLINE = (
    "Without a network: copy the model here and take it by its path, farmgate pull ./model.gguf or ./folder; "
    "HF_ENDPOINT names a mirror of the hub."
)
KEPT = "What came is kept: the same command goes on from there."


class Getting:
    """Whoever calls it holds the lock of the name."""

    def __init__(self, shelf: Shelf, origins: Mapping[type, Origin], free_bytes: Callable[[Path], int]) -> None:
        self._shelf = shelf
        self._origins = origins
        self._free_bytes = free_bytes

    async def get(self, locator: HubModel | WebFile | LocalFiles, name: str, report: Report) -> Path:
        """What an engine is given of it. Raises FarmError: InvalidValue where the name is another model's already."""
        here = self._shelf.find(name)
        note = read_note(here.whole) if here is not None else None
        if here is not None:
            must_be_same(name, recall(here.whole), locator)
        if here is not None and note is not None and is_fixed(locator, note):
            return here.path
        origin = self._origins[type(locator)]
        hint = OFFLINE if isinstance(locator, HubModel) else ""
        try:
            plan = await origin.plan(locator, lambda seconds: report(Progress(status=waiting(seconds))))
            if here is not None and note is not None and has_all(note, plan):
                report(Progress(status=f"{plan.source} is what is here"))
                write_note(here.whole, replace(note, revision=plan.revision))
                return here.path
            fetching = Fetching(plan, self._shelf.part(name), origin, report)
            await asyncio.to_thread(fetching.prepare)
            self._announce(plan, fetching, name, report)
            hint = KEPT
            await fetching.run()
            return await asyncio.to_thread(self._put, name, plan, fetching)
        except SourceFailed as failure:
            raise told(failure, locator, hint, here) from failure
        except OSError as error:
            where = error.filename or self._shelf.directory
            raise Unavailable(f"{where} cannot be written to: {error.strerror or error}. {KEPT}") from error

    def _announce(self, plan: Plan, fetching: Fetching, name: str, report: Report) -> None:
        """What will be fetched, and whether there is room for it. Raises Unavailable."""
        if plan.told:
            report(Progress(status=plan.told))
        free = self._free_bytes(self._shelf.directory)
        count = f"{len(plan.pieces)} files, " if len(plan.pieces) > 1 else ""
        licence = f"licence {plan.licence}" if plan.licence else "its licence is not told"
        what = f"{count}{gigabytes(plan.size_bytes)}, {licence}"
        report(Progress(status=f"{plan.source}: {what}; {gigabytes(free)} of disk are free"))
        needed = fetching.missing_bytes + SPARE_BYTES
        if free < needed:
            raise Unavailable(
                f"{name} needs {gigabytes(needed)} more in {self._shelf.directory}, and {gigabytes(free)} are free. "
                "Delete a model (farmgate ls, farmgate rm), or let FARM_HOME name a directory on another disk."
            )

    def _put(self, name: str, plan: Plan, fetching: Fetching) -> Path:
        """In its place, with a note. Blocking."""
        whole = self._shelf.folder(name) if plan.is_folder else self._shelf.file(name)
        # First the note: killed in between, the same command finds every file and puts them in place.
        write_note(whole, note_on(fetching.files, plan))
        self._shelf.put(name, fetching.files, is_folder=plan.is_folder)
        fetching.clear()
        found = self._shelf.find(name)
        if found is None:
            raise SourceFailed(f"what {plan.source} sent is no model that can be used")
        return found.path


def note_on(whole: Path, plan: Plan) -> Note:
    """What is known of the files as they are now; a new name changes none of it."""
    note = Note(
        source=plan.source,
        licence=plan.licence or "",
        description=plan.description,
        asked=plan.asked,
        revision=plan.revision,
        size_bytes=plan.size_bytes,
    )
    if not plan.is_folder:
        return replace(note, sha256=plan.pieces[0].mark or "", mtime_ns=whole.stat().st_mtime_ns)
    stats = {piece.path: (piece, (whole / piece.path).stat()) for piece in plan.pieces}
    files = {
        place: Noted(size_bytes=stat.st_size, mtime_ns=stat.st_mtime_ns, mark=piece.mark)
        for place, (piece, stat) in stats.items()
    }
    return replace(note, files=files)


def must_be_same(name: str, note: Note | None, locator: Locator) -> None:
    """Raises InvalidValue where what is here by that name is something else than another state of the same model."""
    if note is None:
        raise InvalidValue(
            f"{name} is here already, and was not pulled: delete it (farmgate rm {name}), or choose another name "
            "(--as NAME).",
            param="name",
        )
    if without_revision(note.asked) != without_revision(str(locator)):
        raise InvalidValue(
            f"{name} is here already, from {note.asked or note.source}: delete it (farmgate rm {name}), or choose "
            "another name (--as NAME).",
            param="name",
        )


def without_revision(text: str) -> str:
    try:
        locator = parse_locator(text)
    except InvalidValue:
        return text
    return str(replace(locator, revision=None)) if isinstance(locator, HubModel) else str(locator)


def is_fixed(locator: Locator, note: Note) -> bool:
    """Whether what is here can be nothing else: that commit was asked for, and this is it."""
    return isinstance(locator, HubModel) and locator.revision is not None and locator.revision == note.revision


def has_all(note: Note, plan: Plan) -> bool:
    """Whether the files that were checked are those of the plan."""
    if plan.revision is not None and (plan.revision, plan.asked) == (note.revision, note.asked):
        return True
    if not plan.is_folder:
        return not note.files and bool(note.sha256) and note.sha256 == plan.pieces[0].mark
    marks = {piece.path: piece.mark for piece in plan.pieces}
    return None not in marks.values() and marks == {place: file.mark for place, file in note.files.items()}


def told(failure: SourceFailed, locator: Locator, hint: str, here: Placed | None) -> FarmError:
    """The same as callers and exit codes know it."""
    stays = " What is here stays." if here is not None else ""
    match failure:
        case NotThere():
            return ModelNotFound(f"{sentence(str(failure))}{stays}", param="model")
        case SourceRefused():
            return UpstreamRefusedKey(f"{sentence(str(failure))}{stays}")
    return Unavailable(f"{locator} could not be fetched: {sentence(str(failure))} {hint}".rstrip() + stays)


def sentence(text: str) -> str:
    return text if text.endswith((".", "?")) else f"{text}."
