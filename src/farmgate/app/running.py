"""A gate that is being served: the present one answers, an earlier one finishes what it has begun."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from farmgate.app.gate import Gate
from farmgate.config import Config, ConfigError
from farmgate.surfaces.http.exchange import Receive, Scope, Send
from farmgate.telemetry import log

__all__ = ["Running"]

LOOK_EVERY_S = 0.5


class Running:
    """An ASGI application whose gate can be exchanged. `build` makes and starts a gate."""

    def __init__(self, gate: Gate, build: Callable[[Config], Awaitable[Gate]]) -> None:
        self.gate = gate
        self._build = build
        self._leaving: set[Gate] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.gate.front(scope, receive, send)

    async def watch(self, reload: Callable[[], Config | None], reloaded: Callable[[Gate], None]) -> None:
        """Exchange the gate whenever `reload` gives a configuration. Runs until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self._let_go()
            # In a thread: a configuration in JavaScript is read by node.
            config = await asyncio.to_thread(reload)
            if config is None:
                continue
            fresh = await self._try_build(config)
            if fresh is not None:
                self._leaving.add(self.gate)
                self.gate = fresh
                reloaded(fresh)

    async def _try_build(self, config: Config) -> Gate | None:
        """A gate for a configuration; None where there can be none, and the present one goes on."""
        try:
            return await self._build(config)
        except ConfigError as error:
            log.warning("not_reloaded", reason=str(error))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a new gate must not end the one that runs
            log.error("not_reloaded", reason=type(error).__name__)
            log.traceback(error)
        return None

    @property
    def in_flight(self) -> int:
        """Requests being answered, by this gate and by those before it."""
        return sum(gate.target.in_flight for gate in (self.gate, *self._leaving))

    async def _let_go(self) -> None:
        """Stop the gates that have finished what they had begun."""
        for gate in [gate for gate in self._leaving if not gate.front.open]:
            self._leaving.discard(gate)
            await gate.stop()

    async def stop(self) -> None:
        """Stop every gate."""
        for gate in (self.gate, *self._leaving):
            await gate.stop()
