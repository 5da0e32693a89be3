"""Fakes for the engines' tests: time that stands still, an engine made of Python, GGUF files made of a few bytes."""

from __future__ import annotations

import asyncio
import hashlib
import os
import struct
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from farmgate.core.ports import Progress, Purpose, Report
from farmgate.engines.engine import Launch, Spec
from farmgate.engines.llamacpp import LlamaCpp
from farmgate.engines.pulling.catalogue import HubFile, Item, Wheel
from farmgate.engines.pulling.sources import SourceFailed
from farmgate.engines.states import State
from farmgate.engines.supervisor import Supervisor

FAKE_ENGINE = Path(__file__).with_name("fake_engine.py")


class FakeTime:
    """A clock and its sleep: nobody wakes before `advance` says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self._came = asyncio.Event()

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        waiting = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, waiting))
        self._came.set()
        try:
            await waiting
        finally:
            self._sleepers = [each for each in self._sleepers if each[1] is not waiting]

    async def until_asleep(self, seconds: float) -> None:
        """Returns once somebody sleeps for this long from now."""
        async with asyncio.timeout(20):
            while all(abs(due - self.now - seconds) > 1e-6 for due, _ in self._sleepers):
                self._came.clear()
                await self._came.wait()

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for due, waiting in self._sleepers:
            if due <= self.now and not waiting.done():
                waiting.set_result(None)


class FakeEngine:
    """Starts fake_engine.py in the given modes, one after the other; the last one stays."""

    name = "fake"
    runs_on = frozenset({"cpu"})
    gpu_bytes = 0
    purposes = frozenset({Purpose.GENERATE, Purpose.EMBED})

    def __init__(self, *modes: str) -> None:
        self._modes = list(modes or ("serves",))
        self.launched: list[Launch] = []
        self.specs: list[Spec] = []
        self.missing_text: str | None = None

    def missing(self) -> str | None:
        return self.missing_text

    def runs_here(self, environment: Mapping[str, str]) -> frozenset[str]:
        return self.runs_on

    def gpu_counts(self, spec: Spec) -> tuple[int, ...]:
        return (1,)

    def launch(self, spec: Spec, *, key: str, environment: Mapping[str, str]) -> Launch:
        mode = self._modes.pop(0) if len(self._modes) > 1 else self._modes[0]
        command = (sys.executable, "-P", str(FAKE_ENGINE), mode, str(os.getpid()))
        launch = Launch(command=command, key=key, environment=environment)
        self.launched.append(launch)
        self.specs.append(spec)
        return launch

    def address(self, line: bytes) -> str | None:
        return LlamaCpp().address(line)

    def complaint(self, log: str) -> str | None:
        return LlamaCpp().complaint(log)


class FakeSource:
    """Writes given bytes, or fails with a given reason."""

    def __init__(self, outcome: bytes | str, *, name: str = "a fake source", scratch: int = 0) -> None:
        self.name = name
        self.calls = 0
        self.gate: asyncio.Event | None = None
        self._outcome = outcome
        self._scratch = scratch

    def offers(self, item: Item) -> bool:
        return True

    def scratch_bytes(self, item: Item) -> int:
        return self._scratch

    async def fetch(self, item: Item, into: Path, report: Report) -> None:
        self.calls += 1
        report(Progress(status="fetching", completed=0, total=item.size_bytes))
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self._outcome, str):
            raise SourceFailed(self._outcome)
        into.write_bytes(self._outcome)


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def gguf(context: int = 4096, *, filler: int = 0) -> bytes:
    """The head of a GGUF file and `filler` bytes after it."""
    pairs = [
        text("general.architecture") + struct.pack("<I", 8) + text("llama"),
        text("general.languages") + struct.pack("<IIQ", 9, 8, 2) + text("en") + text("de"),
        text("general.sizes") + struct.pack("<IIQ3H", 9, 2, 3, 1, 2, 3),
        text("general.name") + struct.pack("<I", 8) + text("Tiny"),
        text("llama.rope.freq_base") + struct.pack("<If", 6, 1e5),
        text("llama.context_length") + struct.pack("<II", 4, context),
        text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 1) + text("a"),
    ]
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + b"".join(pairs)
    return head + bytes(index % 251 for index in range(filler))


def item(content: bytes, *, name: str = "starter", wheel: Wheel | None = None) -> Item:
    return Item(
        name=name,
        description="a test model",
        licence="Apache-2.0",
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        hub=HubFile(repository="farm/tiny", revision="abc", file="tiny model.gguf"),
        wheel=wheel,
    )


async def becomes(supervisor: Supervisor, state: State) -> None:
    async with asyncio.timeout(20):
        while supervisor.state is not state:
            await supervisor._changed.wait()


async def until(fact: Callable[[], bool]) -> None:
    """Lets the event loop turn until the fact holds."""
    async with asyncio.timeout(20):
        while not fact():
            await asyncio.sleep(0)


def ignore(_: Progress) -> None:
    return
