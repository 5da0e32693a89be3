"""A bounded number of places, and fair lines before them: who has to wait, whose turn it is, who has to go."""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from farmgate.core.errors import Overloaded

__all__ = ["Lines", "Room", "Slots", "Turn", "soon_s"]

SOONEST_S = 1.0
LATEST_S = 5.0
"""Who is sent away is told to come back between these, drawn by chance: all at once would be turned away again."""

Turn: TypeAlias = asyncio.Future[None]


def soon_s(draw: Callable[[], float] = random.random) -> float:
    """When to come back, in seconds."""
    return SOONEST_S + (LATEST_S - SOONEST_S) * draw()


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How many may be answered at once, how many may wait, and for how long. `line`: whose room it is, where several
    names share one."""

    in_flight: int = 4096
    waiting: int = 1024
    patience_s: float = 2.0
    line: str | None = None


class Lines:
    """Who waits: a line for each caller, and the callers take turns, so that one with many requests delays its own."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[Turn]] = OrderedDict()
        self.length = 0

    def join(self, caller: str, turn: Turn) -> None:
        """Wait at the end of a caller's line."""
        self._lines.setdefault(caller, deque()).append(turn)
        self.length += 1

    def crowd_out(self) -> Turn:
        """Who has to go where there are too many: the last of the longest line. There must be somebody."""
        crowd = max(self._lines, key=lambda name: len(self._lines[name]))
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


class Slots:
    """As many places as `room` says. Batch work waits until nobody else does, and has to go first where all wait."""

    def __init__(self, room: Room, *, full: str, draw: Callable[[], float] = random.random) -> None:
        """`full`: what who is sent away is told; `{in_flight}` in it stands for the number of places."""
        self.room = room
        self.in_flight = 0
        self._full = full
        self._draw = draw
        self._interactive = Lines()
        self._batch = Lines()

    @property
    def waiting(self) -> int:
        """Requests whose turn has not come."""
        return self._interactive.length + self._batch.length

    async def take(self, caller: str, *, is_batch: bool = False) -> None:
        """Have a place, now or when one who leaves gives it. Raises Overloaded. Whoever has one calls `give`."""
        if self.in_flight < self.room.in_flight:
            self.in_flight += 1
        else:
            await self._wait(caller, self._batch if is_batch else self._interactive)

    def give(self) -> None:
        """Give the place to whose turn it is."""
        if self.in_flight > self.room.in_flight:
            # There are fewer places than there were.
            self.in_flight -= 1
            return
        turn = self._next()
        while turn is not None and turn.done():
            turn = self._next()
        if turn is None:
            self.in_flight -= 1
        else:
            turn.set_result(None)

    def resize(self, room: Room) -> None:
        """From now on there are so many places: those that are new go to who waits."""
        self.room = room
        while self.waiting and self.in_flight < room.in_flight:
            self.in_flight += 1
            self.give()

    def _next(self) -> Turn | None:
        return self._interactive.next() or self._batch.next()

    async def _wait(self, caller: str, lines: Lines) -> None:
        loop = asyncio.get_running_loop()
        turn: Turn = loop.create_future()
        lines.join(caller, turn)
        if self.waiting > self.room.waiting:
            self._refuse((self._batch if self._batch.length else self._interactive).crowd_out())
        timer = loop.call_later(self.room.patience_s, self._refuse, turn)
        try:
            await turn
        except BaseException:
            lines.leave(caller, turn)
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # Its turn had come, and it left at the same time.
                self.give()
            raise
        finally:
            timer.cancel()

    def _refuse(self, turn: Turn) -> None:
        if not turn.done():
            told = self._full.format(in_flight=self.room.in_flight)
            turn.set_exception(Overloaded(told, retry_after_s=soon_s(self._draw)))
