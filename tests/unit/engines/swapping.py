"""A machine with one model in two versions, for the tests of what takes over from what."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from tests.unit.engines.fakes import FakeEngine, FakeTime, gguf

from farmgate.engines.declared import Declared
from farmgate.engines.devices import Devices
from farmgate.engines.lifecycle import Engines
from farmgate.engines.pulling.weights import ModelStore
from farmgate.engines.supervisor import Supervisor
from farmgate.engines.surroundings import unasked
from farmgate.engines.versions import Options

MIB = 2**20


class Bench:
    """Engines of fake_engine.py on a machine of 1 GiB, with a model `m` of two versions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.time = FakeTime()
        self.now = datetime(2026, 11, 30, 7, 59)  # noqa: DTZ001 - the machine's own clock
        self.engine = FakeEngine()
        self.free = 1024 * MIB
        (folder / "models").mkdir()
        for name in ("one", "two", "other"):
            (folder / "models" / f"{name}.gguf").write_bytes(gguf())
        self.store = ModelStore(folder / "models", sources=())
        self.engines = Engines(
            self.store,
            log_directory=folder / "logs",
            engines={"llamacpp": self.engine},
            options=Options(threads=1, context_tokens=64, parallel=1),
            devices=Devices(host=lambda: (1024 * MIB, self.free)),
            warm=unasked,
            clock=self.time.clock,
            wall=lambda: self.now,
            sleep=self.time.sleep,
        )
        self.engines.declare({"m": self.declared()})

    def declared(self, **more: Any) -> Declared:
        given: dict[str, Any] = {"name": "m", "versions": {"1": "one", "2": "two"}, "version": "1", **more}
        return Declared(**given)

    def process(self, version: str) -> Supervisor:
        return next(one for one in self.engines.supervisors() if one.spec.version == version)

    def answering(self) -> str:
        return next(one.version for one in self.engines.states() if one.answers)

    @property
    def states(self) -> dict[str, str]:
        return {one.version: one.state for one in self.engines.states()}
