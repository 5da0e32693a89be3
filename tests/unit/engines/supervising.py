"""A supervisor of fake_engine.py, the room it is given and the bed it sleeps in, for the tests of one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.unit.engines.fakes import FakeEngine

from farmgate.core.errors import FarmError
from farmgate.engines.engine import Spec
from farmgate.engines.leases import Address
from farmgate.engines.process import EngineDied
from farmgate.engines.supervisor import Supervisor
from farmgate.engines.surroundings import Keep

Make = Callable[..., Supervisor]


def engine_of(supervisor: Supervisor) -> FakeEngine:
    engine = supervisor.engine
    assert isinstance(engine, FakeEngine)
    return engine


def pid_of(supervisor: Supervisor) -> int:
    assert supervisor.pid is not None
    return supervisor.pid


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def has_died(pid: int) -> bool:
    """Whoever waits for it may not know yet."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


class Booked:
    """Room that writes down what happens in it. `slow` holds up who leaves it until it is set."""

    def __init__(self, error: FarmError | None = None) -> None:
        self.told: list[str] = []
        self.error = error
        self.has_host = True
        self.slow = asyncio.Event()
        self.slow.set()

    @asynccontextmanager
    async def __call__(self, spec: Spec, keep: Keep) -> AsyncIterator[Booked]:
        if self.error is not None:
            raise self.error
        self.told.append("came")
        try:
            yield self
        finally:
            await self.slow.wait()
            self.told.append("left")

    @property
    def environment(self) -> dict[str, str]:
        return {"CUDA_VISIBLE_DEVICES": "1"}

    def placed(self, spec: Spec) -> Spec:
        return spec

    def may_sleep(self) -> bool:
        self.told.append("may sleep")
        return self.has_host

    def asleep(self, pid: int) -> None:
        self.told.append("asleep")

    @asynccontextmanager
    async def waking(self, pid: int) -> AsyncIterator[None]:
        if self.error is not None:
            raise self.error
        self.told.append("waking")
        yield
        self.told.append("awake")

    def settle(self, pid: int) -> None:
        self.told.append(f"settled {not is_gone(pid)}")


class Bed:
    """Puts to sleep and wakes as a test says: `slow` holds it up until it is set."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.fails: set[str] = set()
        self.slow = asyncio.Event()
        self.slow.set()

    async def sleep(self, address: Address) -> None:
        await self._do("sleep")

    async def wake(self, address: Address) -> None:
        await self._do("wake")

    async def _do(self, what: str) -> None:
        self.told.append(what)
        await self.slow.wait()
        if what in self.fails:
            raise EngineDied(f"answered nothing when it was asked to {what}")
