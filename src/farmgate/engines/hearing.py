"""Running engines are heard, every few seconds, on how busy they say they are.

No request waits for that. One that says nothing is asked ever more rarely, so that whatever it makes of being asked is
a connection now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from farmgate.core.model import EngineLoad
from farmgate.core.ports import Clock
from farmgate.engines.asking import NoAnswer, check_status, exchange
from farmgate.engines.leases import Address
from farmgate.engines.states import State
from farmgate.engines.supervisor import Supervisor
from farmgate.engines.timing import Sleep
from farmgate.wire.engine_load import decode_load

__all__ = ["EVERY_S", "Hear", "Hearing", "hear", "pause_s"]

EVERY_S = 5.0
MOST_DOUBLINGS = 6
WITHIN_S = 1.0
PATH = "/metrics"

Hear: TypeAlias = Callable[[Address], Awaitable[EngineLoad | None]]
"""What an engine tells of itself, soon; None for nothing."""


async def hear(address: Address) -> EngineLoad | None:
    """Whatever comes instead of a load, and whatever does not come within a second, is nothing."""
    try:
        async with asyncio.timeout(WITHIN_S):
            answer = await exchange(address.url, address.key, "GET", PATH)
        return decode_load(check_status(answer, "200"))
    except (NoAnswer, TimeoutError):
        return None


def pause_s(silent: int) -> float:
    """Seconds for which one is not asked that has told nothing so many times, one after the other."""
    return EVERY_S * 2.0 ** min(silent, MOST_DOUBLINGS) if silent else 0.0


@dataclass(slots=True)
class Heard:
    """Of one process, which its `address` tells from the one before: what it told last, how often since it has told
    nothing, and when, on the clock, it is asked again."""

    address: Address
    load: EngineLoad | None = None
    silent: int = 0
    again_at: float = 0.0


class Hearing:
    """Of those processes that answer. `processes`: all there are."""

    def __init__(
        self, processes: Callable[[], Iterable[Supervisor]], *, clock: Clock, sleep: Sleep, hear: Hear = hear
    ) -> None:
        self._processes = processes
        self._clock = clock
        self._sleep = sleep
        self._hear = hear
        self._heard: dict[Supervisor, Heard] = {}

    def of(self, process: Supervisor) -> EngineLoad | None:
        """What its engine told when it was last asked; None where it told nothing, or does not answer now."""
        heard = self._heard.get(process)
        return heard.load if heard is not None and heard.address is answering(process) else None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await self._sleep(EVERY_S)

    async def look(self) -> None:
        """Ask those once whose turn it is, all at the same time."""
        there = {one: address for one in self._processes() if (address := answering(one)) is not None}
        self._heard = {one: heard for one, heard in self._heard.items() if there.get(one) is heard.address}
        for one, address in there.items():
            self._heard.setdefault(one, Heard(address))
        now = self._clock()
        await asyncio.gather(*(self._ask(heard, now) for heard in self._heard.values() if heard.again_at <= now))

    async def _ask(self, heard: Heard, now: float) -> None:
        heard.load = await self._hear(heard.address)
        heard.silent = 0 if heard.load is not None else heard.silent + 1
        heard.again_at = now + pause_s(heard.silent)


def answering(process: Supervisor) -> Address | None:
    """Where a process is asked; None for one that is not ready: what it says then is of no use, and it may sleep."""
    return process.address if process.state is State.READY else None
