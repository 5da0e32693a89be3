"""Processes whose doings are drawn by lot, in time that stands still: what can happen to one does, in some order."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.unit.engines.adapting import FakeTaking
from tests.unit.engines.fakes import FakeTime

from farmgate.core.ports import Purpose
from farmgate.engines.adapters import Order
from farmgate.engines.asking import NoAnswer
from farmgate.engines.engine import Launch, Spec
from farmgate.engines.leases import Address
from farmgate.engines.process import EngineDied
from farmgate.engines.surroundings import Sleeper
from farmgate.engines.timing import Sleep, first

__all__ = ["Lot", "LotEngine", "LotProcess"]

NO_PID = 5_000_000
"""Above every process of this machine."""


class Lot:
    """What is drawn, and the processes there are, by their ids. `is_kind`: nothing goes wrong any more."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.time = FakeTime()
        self.is_kind = False
        self.alive: dict[int, LotProcess] = {}
        self.ever: dict[int, LotProcess] = {}

    def goes_wrong(self, share: float) -> bool:
        return self.random.random() < share and not self.is_kind

    async def turns(self, most: int) -> None:
        """Some turns of the loop."""
        for _ in range(self.random.randint(0, most)):
            await asyncio.sleep(0)

    async def start(self, launch: Launch, log: Path) -> LotProcess:
        """For EngineProcess.start."""
        await self.turns(2)
        if self.goes_wrong(0.03):
            raise EngineDied("could not be started")
        process = LotProcess(self, NO_PID + len(self.ever), launch)
        self.alive[process.pid] = self.ever[process.pid] = process
        return process

    def process(self, url: str) -> LotProcess:
        return self.ever[int(url.rpartition(":")[2])]

    async def ask(self, url: str, share: float) -> LotProcess:
        """One that is asked for something, which goes wrong so often, or where it dies."""
        process = self.process(url)
        await self.turns(3)
        if self.random.random() < 0.1:
            await first(process.over.wait(), self.time.sleep(1.0))
        if process.over.is_set() or self.goes_wrong(share):
            raise EngineDied("broke the connection")
        return process

    async def warm(self, spec: Spec, address: Address) -> None:
        await self.ask(address.url, 0.04)

    async def carry_out(self, address: Address, order: Order) -> None:
        try:
            process = await self.ask(address.url, 0.1)
        except EngineDied as death:
            raise NoAnswer(str(death)) from death
        assert not process.sleeps, "nobody is asked in its sleep"
        name = str(order.body["name"]).partition(":")[2]
        if order.path == "/add":
            process.adapters[name] = str(order.body["path"])
        else:
            assert not process.uses.get(name), f"{name} is in use"
            process.adapters.pop(name, None)


class LotProcess:
    """For EngineProcess. `uses`: how many requests are at each adapter."""

    def __init__(self, lot: Lot, pid: int, launch: Launch) -> None:
        self.lot, self.pid = lot, pid
        told = json.loads(launch.command[0])
        self.model, self.version, self.adapters = told["model"], told["version"], dict(told["adapters"])
        self.uses: dict[str, int] = {}
        self.over = asyncio.Event()
        self.sleeps = False
        self.is_ending = False

    def die(self) -> None:
        self.lot.alive.pop(self.pid, None)
        self.over.set()

    async def ready(self, address: Callable[[bytes], str | None]) -> str:
        await self.lot.turns(3)
        if self.lot.random.random() < 0.2:
            await first(self.over.wait(), self.lot.time.sleep(self.lot.random.choice([1.0, 30.0])))
        if self.lot.goes_wrong(0.04):
            await self.over.wait()
        if self.over.is_set() or self.lot.goes_wrong(0.1):
            self.die()
            raise EngineDied("exited with code 3")
        return f"http://127.0.0.1:{self.pid}"

    async def ended(self) -> int:
        await self.over.wait()
        return -9

    async def stop(self, grace_s: float, sleep: Sleep) -> None:
        self.is_ending = True
        try:
            await self.lot.turns(2)
            if not self.over.is_set() and self.lot.goes_wrong(0.1):
                await first(self.over.wait(), sleep(grace_s))
        finally:
            self.die()


class LotSleeper:
    """For Sleeper."""

    def __init__(self, lot: Lot) -> None:
        self._lot = lot

    async def sleep(self, address: Address) -> None:
        (await self._lot.ask(address.url, 0.06)).sleeps = True

    async def wake(self, address: Address) -> None:
        (await self._lot.ask(address.url, 0.06)).sleeps = False


class LotEngine:
    """For Engine. `taking`: how it takes adapters, where it does; its processes can sleep where they are to."""

    runs_on = frozenset({"gpu", "cpu"})
    gpu_bytes = 20 * 2**20
    purposes = frozenset({Purpose.GENERATE, Purpose.EMBED})

    def __init__(self, name: str, lot: Lot, taking: FakeTaking | None) -> None:
        self.name, self.taking = name, taking
        self.sleeper: Sleeper = LotSleeper(lot)

    def missing(self) -> str | None:
        return None

    def runs_here(self, environment: Mapping[str, str]) -> frozenset[str]:
        return self.runs_on

    def gpu_counts(self, spec: Spec) -> tuple[int, ...]:
        return (1,)

    def launch(self, spec: Spec, *, key: str, environment: Mapping[str, str]) -> Launch:
        adapters = {one.name: str(one.path) for one in spec.adapters}
        told = {"model": spec.model, "version": spec.version, "adapters": adapters}
        return Launch(command=(json.dumps(told),), key=key, environment=environment)

    def address(self, line: bytes) -> str | None:
        return None

    def complaint(self, log: str) -> str | None:
        return None
