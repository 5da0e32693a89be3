"""May it start? At most so many requests at once; those above wait a little in fair lines, or are told to come back."""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from farmgate.core.errors import Overloaded
from farmgate.core.ports import Target
from farmgate.core.reply import Reply
from farmgate.core.request import Request
from farmgate.telemetry import Telemetry

__all__ = ["Admit", "Lines", "Pressure", "Room", "Turn"]

SOONEST_S = 1.0
LATEST_S = 5.0
"""Who is sent away is told to come back between these, drawn by chance: all at once would be turned away again."""

Turn: TypeAlias = asyncio.Future[None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How many may be answered at once, how many may wait, and for how long."""

    in_flight: int = 4096
    waiting: int = 1024
    patience_s: float = 2.0


@dataclass(slots=True)
class Pressure:
    """What the process nearly has no more of, if anything: new requests would cost those in flight."""

    lacks: str | None = None


class Lines:
    """Who waits: a line for each caller, and the callers take turns, so that one with many requests delays its own."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lines: OrderedDict[str, deque[Turn]] = OrderedDict()
        self.length = 0

    def join(self, caller: str, turn: Turn) -> Turn | None:
        """Wait at the end of a caller's line. Who has to go for it, where all places are taken: the last of the longest
        line, which may be `turn` itself."""
        self._lines.setdefault(caller, deque()).append(turn)
        self.length += 1
        if self.length <= self._most:
            return None
        crowd = caller
        for name, line in self._lines.items():
            if len(line) > len(self._lines[crowd]):
                crowd = name
        last = self._lines[crowd][-1]
        self.leave(crowd, last)
        return last

    def leave(self, caller: str, turn: Turn) -> None:
        """No longer wait; nothing happens if it does not."""
        line = self._lines.get(caller)
        if line is None or turn not in line:
            return
        line.remove(turn)
        self._shortened(caller, line)

    def next(self) -> Turn | None:
        """Whose turn it is."""
        if not self._lines:
            return None
        caller, line = next(iter(self._lines.items()))
        turn = line.popleft()
        self._lines.move_to_end(caller)
        self._shortened(caller, line)
        return turn

    def _shortened(self, caller: str, line: deque[Turn]) -> None:
        self.length -= 1
        if not line:
            del self._lines[caller]


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
        self._room = room
        self._lines = Lines(room.waiting)
        self._draw = draw
        self.in_flight = 0
        telemetry.count_in_flight = lambda: self.in_flight
        telemetry.count_waiting = lambda: self.waiting

    @property
    def waiting(self) -> int:
        """Requests whose turn has not come."""
        return self._lines.length

    async def send(self, request: Request) -> Reply:
        if self._pressure.lacks is not None:
            told = f"Farmgate is short of {self._pressure.lacks}: try again soon."
            raise Overloaded(told, retry_after_s=self._soon_s())
        if self.in_flight < self._room.in_flight:
            self.in_flight += 1
        else:
            await self._wait(request.principal.key_name)
        try:
            reply = await self._inner.send(request)
        except BaseException:
            self._leave()
            raise
        reply.when_closed(self._left)
        return reply

    async def _wait(self, caller: str) -> None:
        """Until one who leaves gives its slot. Raises Overloaded."""
        loop = asyncio.get_running_loop()
        turn: Turn = loop.create_future()
        pushed_out = self._lines.join(caller, turn)
        if pushed_out is not None:
            self._refuse(pushed_out)
        timer = loop.call_later(self._room.patience_s, self._refuse, turn)
        try:
            await turn
        except BaseException:
            self._lines.leave(caller, turn)
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # Its turn had come, and it left at the same time.
                self._leave()
            raise
        finally:
            timer.cancel()

    def _refuse(self, turn: Turn) -> None:
        if not turn.done():
            told = f"{self._room.in_flight} requests are in flight and others wait: try again soon."
            turn.set_exception(Overloaded(told, retry_after_s=self._soon_s()))

    def _soon_s(self) -> float:
        return SOONEST_S + (LATEST_S - SOONEST_S) * self._draw()

    def _left(self, failure: BaseException | None) -> None:
        self._leave()

    def _leave(self) -> None:
        """Give the slot to whose turn it is."""
        turn = self._lines.next()
        while turn is not None and turn.done():
            turn = self._lines.next()
        if turn is None:
            self.in_flight -= 1
        else:
            turn.set_result(None)
