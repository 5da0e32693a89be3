"""May it start? At most so many requests at once; those above wait a little in fair lines, or are told to come back."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from farmgate.core.errors import Overloaded
from farmgate.core.ports import Target
from farmgate.core.reply import Reply
from farmgate.core.request import Request
from farmgate.flow.slots import Room, Slots, soon_s
from farmgate.telemetry import Telemetry

__all__ = ["Admit", "Pressure"]

FULL = "{in_flight} requests are in flight and others wait: try again soon."


@dataclass(slots=True)
class Pressure:
    """What the process nearly has no more of, if anything: new requests would cost those in flight."""

    lacks: str | None = None


class Admit:
    """A Target that lets a bounded number of requests through to another. A slot is held until the Reply is closed."""

    def __init__(
        self,
        inner: Target,
        *,
        room: Room,
        telemetry: Telemetry,
        pressure: Pressure | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._inner = inner
        self._pressure = pressure or Pressure()
        self._slots = Slots(room, full=FULL, draw=draw)
        self._draw = draw
        telemetry.count_in_flight = lambda: self.in_flight
        telemetry.count_waiting = lambda: self.waiting

    @property
    def in_flight(self) -> int:
        return self._slots.in_flight

    @property
    def waiting(self) -> int:
        """Requests whose turn has not come."""
        return self._slots.waiting

    async def send(self, request: Request) -> Reply:
        if self._pressure.lacks is not None:
            told = f"Farmgate is short of {self._pressure.lacks}: try again soon."
            raise Overloaded(told, retry_after_s=soon_s(self._draw))
        slots = self._slots
        if slots.in_flight < slots.room.in_flight:
            # Written out: this is every request's way, and a call costs.
            slots.in_flight += 1
        else:
            await slots.take(request.principal.key_name, is_batch=request.is_batch)
        try:
            reply = await self._inner.send(request)
        except BaseException:
            slots.give()
            raise
        reply.when_closed(self._left)
        return reply

    def _left(self, failure: BaseException | None) -> None:
        self._slots.give()
