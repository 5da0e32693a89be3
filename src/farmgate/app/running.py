"""A gate that is being served: the present one answers, an earlier one finishes what it has begun."""

from __future__ import annotations

import gc

from farmgate.app.gate import Gate
from farmgate.surfaces.http.door import Receive, Scope, Send

__all__ = ["Running"]


class Running:
    """An ASGI application whose gate can be exchanged."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self._leaving: set[Gate] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.gate.front(scope, receive, send)

    def exchange(self, fresh: Gate) -> None:
        """From here on new requests go to `fresh`."""
        self._leaving.add(self.gate)
        self.gate = fresh

    @property
    def in_flight(self) -> int:
        """Requests being answered, by this gate and by those before it."""
        return sum(gate.target.in_flight for gate in (self.gate, *self._leaving))

    @property
    def waiting(self) -> int:
        """Requests whose turn has not come."""
        return sum(gate.target.waiting for gate in (self.gate, *self._leaving))

    async def let_go(self) -> None:
        """Stop the gates that have finished what they had begun."""
        idle = [gate for gate in self._leaving if gate.is_idle]
        self._leaving.difference_update(idle)
        if idle:
            while idle:
                await idle.pop().stop()
            # The parts of a gate know each other in circles. By itself the collector comes after many changes only.
            gc.collect()

    async def stop(self) -> None:
        """Stop every gate."""
        for gate in (self.gate, *self._leaving):
            await gate.stop()
