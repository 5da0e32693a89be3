"""An engine process is started, becomes ready or not, and is gone when `stop` returns."""

from __future__ import annotations

import asyncio
import signal
from asyncio.subprocess import PIPE, Process, SubprocessStreamProtocol
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from io import BufferedWriter
from pathlib import Path
from typing import TypeVar

from farmgate.engines.child import end_group
from farmgate.engines.engine import Launch, Spec
from farmgate.engines.timing import Sleep, either

__all__ = ["Crash", "EngineDied", "EngineProcess", "died_early", "how_it_ended", "in_time", "tail"]

T = TypeVar("T")
LINE_BYTES = 65536
LOG_TAIL_BYTES = 4096
LOG_TAIL_LINES = 3


class EngineDied(Exception):
    """The process ended or never began; the text says how."""


@dataclass(frozen=True, slots=True)
class Crash:
    """How a process failed, as callers are `told`. `log`: the end of its log, which is for operators alone."""

    told: str
    log: str = ""

    def __str__(self) -> str:
        return f"{self.told} ({self.log})" if self.log else self.told


class Watched(SubprocessStreamProtocol):
    """Tells of the end of the process itself. `Process.wait` may wait for that of its pipes, as Python 3.11 does, and
    whatever the process started holds them open for as long as it likes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=LINE_BYTES, loop=loop)
        self.over = asyncio.Event()

    def process_exited(self) -> None:
        super().process_exited()
        self.over.set()


class EngineProcess:
    """Made by `start`. Whoever has one calls `stop`, also after it died by itself."""

    def __init__(self, process: Process, over: asyncio.Event) -> None:
        self._process = process
        self._over = over

    @classmethod
    async def start(cls, launch: Launch, log: Path) -> EngineProcess:
        """Its errors go to `log`; the log of the process before it becomes `log` + ".1". Raises EngineDied."""
        loop = asyncio.get_running_loop()
        try:
            with _new_log(log) as errors:
                transport, watched = await loop.subprocess_exec(
                    lambda: Watched(loop),
                    *launch.command,
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=errors,
                    env=dict(launch.environment),
                    cwd=log.parent,
                    close_fds=True,
                    # Ctrl-C in the terminal is for the gate, which then ends its engines in order. And so it leads a
                    # group of its own, of all that it starts.
                    start_new_session=True,
                )
        except OSError as error:
            raise EngineDied(f"could not be started: {error}") from error
        process = Process(transport, watched, loop)
        assert process.stdin is not None
        process.stdin.write(launch.key.encode() + b"\n")
        return cls(process, watched.over)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ready(self, address: Callable[[bytes], str | None]) -> str:
        """The first answer of `address` to a line of its output. Raises EngineDied when it ends before that."""
        reading = asyncio.ensure_future(self._read_until(address))
        try:
            if await either(reading, self._over.wait()) and (url := reading.result()) is not None:
                return url
        finally:
            reading.cancel()
        raise EngineDied(how_it_ended(await self._code()))

    async def _read_until(self, address: Callable[[bytes], str | None]) -> str | None:
        assert self._process.stdout is not None
        try:
            while line := await self._process.stdout.readline():
                if (url := address(line)) is not None:
                    return url
        except ValueError:
            raise EngineDied("printed a line without an end instead of its address") from None
        return None

    async def ended(self) -> int:
        """Its exit code, negative for a signal. Reads away what it prints, which would block it otherwise."""
        reading = asyncio.ensure_future(self._read_away())
        try:
            return await self._code()
        finally:
            reading.cancel()

    async def _code(self) -> int:
        await self._over.wait()
        assert self._process.returncode is not None
        return self._process.returncode

    async def _read_away(self) -> None:
        assert self._process.stdout is not None
        while await self._process.stdout.read(65536):
            pass

    async def stop(self, grace_s: float, sleep: Sleep) -> None:
        """SIGTERM, and SIGKILL after `grace_s` or when cancelled; SIGKILL to what it started and left behind."""
        ending = asyncio.ensure_future(self._over.wait())
        try:
            self._signal(signal.SIGTERM)
            if not ending.done():
                await either(ending, sleep(grace_s))
        finally:
            self._signal(signal.SIGKILL)
            await asyncio.wait({ending})
            end_group(self._process.pid)
            if self._process.stdin is not None:
                self._process.stdin.close()

    def _signal(self, number: int) -> None:
        # asyncio reaps it and remembers that: a number that belongs to another process by now is never signalled.
        if self._process.returncode is None:
            try:
                self._process.send_signal(number)
            except ProcessLookupError:
                return


async def in_time(work: Awaitable[T], what: str, *, within_s: float, sleep: Sleep) -> T:
    """What comes of it. Raises EngineDied where that takes longer: it `was not ready within 180 s`."""
    doing = asyncio.ensure_future(work)
    try:
        if not await either(doing, sleep(within_s)):
            raise EngineDied(f"was not {what} within {within_s:g} s")
        return doing.result()
    finally:
        doing.cancel()
        await asyncio.wait({doing})


def how_it_ended(code: int) -> str:
    """In words: `exited with code 1`, `was killed by SIGSEGV`."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = " (the system does that when memory runs out)" if -code == signal.SIGKILL else ""
    return f"was killed by {name}{hint}"


def tail(log: Path) -> str:
    """The end of a log; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
            return file.read(LOG_TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def last_lines(text: str) -> str:
    """The last lines in one, as much as fits an error message."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-LOG_TAIL_LINES:])


def died_early(death: EngineDied, complaint: str | None, log: str, spec: Spec) -> Crash:
    """One that did not come up. `complaint`: what its engine made of the end of its `log`."""
    told = f"{death} at its start"
    if complaint is None:
        return Crash(told, last_lines(log))
    # It names files as they lie here.
    return Crash(f"{told} ({complaint})".replace(str(spec.path), spec.model))


def _new_log(log: Path) -> BufferedWriter:
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_name(log.name + ".1"))
    return log.open("ab")
