"""What the gate does for its targets without being asked: it probes those whose rest is over, where that costs nothing,
and hears how busy engines are, where a route goes by it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from farmgate.app.careful import CarefulEar
from farmgate.app.gate import Gate
from farmgate.core.model import EngineLoad
from farmgate.core.ports import Clock
from farmgate.flow.health import Health, State
from farmgate.flow.probe import is_due, probe
from farmgate.flow.routes import Balance
from farmgate.providers.provider import TellsLoad
from farmgate.telemetry import log

__all__ = ["Tending"]

EVERY_S = 1.0
GIVE_UP_S = 600.0
"""Probed in vain for so long, a target is left to its callers: some engines load a model for every probe."""


class Tending:
    """Looks after the targets of the gate that is running. `gate` gives it, because a reload makes another."""

    def __init__(self, gate: Callable[[], Gate], *, clock: Clock = time.monotonic) -> None:
        self._gate = gate
        self._clock = clock
        self._ear = CarefulEar()
        self._ill_since: dict[str, float] = {}
        self._probes: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(EVERY_S)
        finally:
            for task in self._probes.values():
                task.cancel()
            await asyncio.gather(*self._probes.values(), return_exceptions=True)

    async def look(self) -> None:
        """Once."""
        gate = self._gate()
        self._probe_those_due(gate)
        await asyncio.gather(*(self._hear(gate, provider) for provider in providers_by_load(gate)))

    def _probe_those_due(self, gate: Gate) -> None:
        now = self._clock()
        known = gate.means.ward.known()
        self._ill_since = {key: since for key, since in self._ill_since.items() if key in known}
        for key, health in known.items():
            if health.state(now) is State.CLOSED:
                self._ill_since.pop(key, None)
            elif self._is_worth_it(gate, key, health, now):
                self._begin(gate, key)

    def _is_worth_it(self, gate: Gate, key: str, health: Health, now: float) -> bool:
        since = self._ill_since.setdefault(key, now)
        if now - since >= GIVE_UP_S or key in self._probes or not is_due(health, now):
            return False
        return gate.is_free_to_ask(key.partition("/")[0])

    def _begin(self, gate: Gate, key: str) -> None:
        provider, _, model = key.partition("/")
        task = asyncio.create_task(probe(gate.means, provider, model))
        self._probes[key] = task
        task.add_done_callback(lambda task: self._over(key, task))

    def _over(self, key: str, task: asyncio.Task[None]) -> None:
        self._probes.pop(key, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.traceback(error)

    async def _hear(self, gate: Gate, provider: str) -> None:
        there: object = gate.providers.get(provider)
        load: EngineLoad | None = None
        if isinstance(there, TellsLoad):
            load = await self._ear.hear(provider, there)
        gate.means.ward.tell_load(provider, load)


def providers_by_load(gate: Gate) -> set[str]:
    """Those that a route goes to by the load of their engine."""
    routes = gate.catalog.view().routes.values()
    return {target.provider for route in routes if route.balance is Balance.ENGINE_LOAD for target in route.targets}
