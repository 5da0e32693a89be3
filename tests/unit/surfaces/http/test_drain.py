"""However often and whenever it is told to stop, the server drains once, in order, and ends nobody too early."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from farmgate.core.errors import ShuttingDown
from farmgate.surfaces.http import server as module
from farmgate.surfaces.http.door import Receive, Scope, Send
from farmgate.surfaces.http.exchange import LAST_WORDS_S
from farmgate.surfaces.http.server import Server, ServerSettings

PRE_STOP_S, DRAIN_S = 10.0, 100.0


class Time:
    """A loop of which only the time goes on."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[tuple[float, int, Callable[[], object]]] = []

    def call_later(self, delay_s: float, do: Callable[[], object]) -> None:
        heapq.heappush(self._timers, (self.now + delay_s, len(self._timers), do))

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self._timers and self._timers[0][0] <= end:
            self.now, _, do = heapq.heappop(self._timers)
            do()
        self.now = end


class Asked:
    """A request in flight; it notes when and why it was ended."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self.ended: list[tuple[float, object]] = []

    def cancel(self, why: object) -> None:
        self.ended.append((self._time.now, why))


async def application(scope: Scope, receive: Receive, send: Send) -> None: ...


class Draining(RuleBasedStateMachine):
    """A server, its requests, and somebody who tells it to stop."""

    def __init__(self) -> None:
        super().__init__()
        self.time = Time()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(module, "asyncio", SimpleNamespace(get_running_loop=lambda: self.time))
        self.began: list[float] = []
        settings = ServerSettings(pre_stop_s=PRE_STOP_S, drain_s=DRAIN_S)
        self.server = Server(application, settings, drain_began=lambda: self.began.append(self.time.now))
        self.state: Any = self.server._uvicorn
        self.told: list[float] = []
        self.open: list[Asked] = []

    def teardown(self) -> None:
        self.patch.undo()

    @property
    def closes_at(self) -> float | None:
        """When the door closes: after the pause, or when it is told a second time."""
        if not self.told:
            return None
        return min([self.told[0] + PRE_STOP_S, *self.told[1:]])

    @property
    def ends_at(self) -> float | None:
        """When those are ended who are still here: when it is told a second time, or when their time is over."""
        closes = self.closes_at
        return None if closes is None else min([closes + DRAIN_S, *self.told[1:]])

    @rule(seconds=st.sampled_from([0.5, 5.0, 50.0]))
    def wait(self, seconds: float) -> None:
        self.time.advance(seconds)

    @rule()
    def stop(self) -> None:
        self.told.append(self.time.now)
        self.server.stop()

    @rule()
    def ask(self) -> None:
        """Somebody who has a connection may ask as long as there is a process."""
        asked = Asked(self.time)
        self.open.append(asked)
        self.state.server_state.tasks.add(asked)

    @precondition(lambda self: self.open)
    @rule()
    def finish(self) -> None:
        self.state.server_state.tasks.discard(self.open.pop(0))

    @invariant()
    def readiness_goes_first_and_once(self) -> None:
        assert self.began == self.told[:1]

    @invariant()
    def the_door_closes_in_time(self) -> None:
        closes = self.closes_at
        assert self.state.should_exit == (closes is not None and self.time.now >= closes)

    @invariant()
    def nobody_is_ended_too_early_and_everybody_is_told_why(self) -> None:
        ends = self.ends_at
        for asked in self.open:
            for at, why in asked.ended:
                assert isinstance(why, ShuttingDown)
                assert ends is not None
                assert at >= ends

    @invariant()
    def the_process_waits_for_last_words(self) -> None:
        ends = self.ends_at
        if self.state.force_exit:
            assert ends is not None
            assert self.time.now >= ends + LAST_WORDS_S + 1
        elif ends is not None:
            assert self.time.now < ends + LAST_WORDS_S + 1


TestDraining = Draining.TestCase
