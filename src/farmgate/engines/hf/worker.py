"""One thread owns the model: what is wanted waits in a line, so many are written at once, each token goes to its asker.

Between two steps of the model, and only there, somebody joins, leaves, is cancelled, or an adapter comes or goes.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from farmgate.core.errors import InternalError
from farmgate.engines.hf.writing import Told, Writing

__all__ = ["Counts", "Deliver", "Steps", "Take", "Unreadable", "Worker"]

T = TypeVar("T")
Take: TypeAlias = Callable[[Writing, int], bool]
"""Gets each new token; False: that writing goes no further and leaves."""
Deliver: TypeAlias = Callable[[Sequence[tuple[Writing, Told]]], None]
"""Gets what came of a step, in the worker's thread; hands it to the askers' own."""


class Unreadable(Exception):
    """One prompt could not be read, as when memory ran out over it, and has left. The others are as they were."""

    def __init__(self, writing: Writing) -> None:
        super().__init__()
        self.writing = writing


class Steps(Protocol):
    """The model, moved on by one token for everybody who has entered. Used by one thread."""

    @property
    def most(self) -> int:
        """How many can be written at once."""

    def enter(self, writing: Writing) -> None: ...

    def leave(self, writing: Writing) -> None:
        """Free what it holds. One that has not entered, or has left, is nothing to it."""

    def step(self, take: Take) -> None:
        """Hand each new token to `take`, and let go of whoever goes no further.

        Raises Unreadable from its cause; after any other error nobody can go on.
        """

    def clear(self) -> None:
        """Everybody leaves."""

    def use(self, adapter: str | None) -> None:
        """Who enters from now on is written with this one. Only while nobody is in."""


@dataclass(slots=True)
class Counts:
    """Since the start, and `running` and `waiting` now. `rows` is the sum of what was running in each step."""

    running: int = 0
    waiting: int = 0
    prompt_tokens: int = 0
    tokens: int = 0
    steps: int = 0
    rows: int = 0
    cancelled: int = 0
    failed: int = 0


class Worker:
    """Start it once; it lives as long as the process."""

    def __init__(
        self,
        steps: Steps,
        *,
        deliver: Deliver,
        is_fatal: Callable[[Exception], bool] = lambda _: False,
        die: Callable[[], None] = lambda: None,
    ) -> None:
        """`is_fatal`: after this error the device is of no more use, and `die` ends the process."""
        self.counts = Counts()
        self._steps = steps
        self._deliver = deliver
        self._is_fatal = is_fatal
        self._die = die
        self._waiting: deque[Writing] = deque()
        self._running: list[Writing] = []
        self._calls: deque[Callable[[], bool]] = deque()
        self._told: list[tuple[Writing, Told]] = []
        self._adapter: str | None = None
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._live, daemon=True, name="inference")

    def start(self) -> None:
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def submit(self, writing: Writing) -> None:
        """From any thread."""
        with self._news:
            self._waiting.append(writing)
            self._news.notify()

    def cancel(self, writing: Writing) -> None:
        """From any thread. Nothing more is told of it."""
        with self._news:
            writing.cancel()
            self._news.notify()

    def between_steps(self, call: Callable[[], T], *, unused: str | None = None) -> Future[T]:
        """Its result, once it has been called where no step is under way and nobody is written with `unused`."""
        result: Future[T] = Future()

        def attempt() -> bool:
            if unused is not None and any(writing.adapter == unused for writing in self._all()):
                return False
            if result.set_running_or_notify_cancel():
                try:
                    told = called()
                except Exception as error:  # noqa: BLE001 - it is whoever waits for the result who acts on it
                    result.set_exception(error)
                else:
                    result.set_result(told)
            return True

        def called() -> T:
            if unused is not None and self._adapter == unused:
                self._use(None)
            try:
                return call()
            finally:
                # What `call` changed, also where it failed, may have moved the model to another adapter.
                self._steps.use(self._adapter)

        with self._news:
            self._calls.append(attempt)
            self._news.notify()
        return result

    def _live(self) -> None:
        while True:
            with self._news:
                while not (self._waiting or self._running or self._calls):
                    self._news.wait()
            self.turn()

    def turn(self) -> None:
        """Whatever can be done now, and one step of the model. Blocks only as long as that takes."""
        try:
            self._drop(writing for writing in tuple(self._running) if writing.is_cancelled)
            self._call()
            self._admit()
            self._count()
            if self._running:
                self.counts.steps += 1
                self.counts.rows += len(self._running)
                self._steps.step(self._take)
        except Exception as error:  # noqa: BLE001 - a step that fails must not leave its askers waiting for ever
            self._fail(error)
        self._count()
        self._flush()

    def _call(self) -> None:
        """What cannot be called yet stays, in front of what has come since."""
        with self._news:
            calls = tuple(self._calls)
            self._calls.clear()
        later = [call for call in calls if not call()]
        with self._news:
            self._calls.extendleft(reversed(later))

    def _all(self) -> tuple[Writing, ...]:
        with self._news:
            return (*self._running, *self._waiting)

    def _admit(self) -> None:
        """In their order: one who needs another adapter waits until all before it are done, and all behind it wait."""
        while len(self._running) < self._steps.most:
            with self._news:
                while self._waiting and self._waiting[0].is_cancelled:
                    self._waiting.popleft()
                    self.counts.cancelled += 1
                if not self._waiting or (self._running and self._waiting[0].adapter != self._adapter):
                    return
                writing = self._waiting.popleft()
            # Before anything that may fail: whoever is running is told.
            self._running.append(writing)
            if writing.adapter != self._adapter:
                self._use(writing.adapter)
            self.counts.prompt_tokens += len(writing.ids)
            self._steps.enter(writing)

    def _use(self, adapter: str | None) -> None:
        self._steps.use(adapter)
        self._adapter = adapter

    def _take(self, writing: Writing, token: int) -> bool:
        if writing.is_cancelled:
            self._running.remove(writing)
            self.counts.cancelled += 1
            return False
        parts = writing.take(token)
        self.counts.tokens += 1
        if parts:
            self._told.append((writing, parts))
        if self._steps.most == 1:
            # A step may be a whole answer there.
            self._flush()
        if writing.is_over:
            self._running.remove(writing)
            return False
        return True

    def _drop(self, gone: Iterable[Writing]) -> None:
        for writing in gone:
            self._steps.leave(writing)
            self._running.remove(writing)
            self.counts.cancelled += 1

    def _count(self) -> None:
        self.counts.running, self.counts.waiting = len(self._running), len(self._waiting)

    def _flush(self) -> None:
        if self._told:
            told, self._told = self._told, []
            self._deliver(told)

    def _fail(self, error: Exception) -> None:
        """Tell those whom it broke. The log gets the place in the code, and no text of anybody."""
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        where = "".join(traceback.format_tb(cause.__traceback__))
        sys.stderr.write(f"a step failed: {type(cause).__name__}\n{where}")
        is_fatal = self._is_fatal(cause)
        failed = list(self._running)
        if isinstance(error, Unreadable) and not is_fatal:
            failed = [error.writing]
        else:
            self._steps.clear()
        self._running = [writing for writing in self._running if writing not in failed]
        self.counts.failed += len(failed)
        message = f"The engine failed while it wrote: {type(cause).__name__}."
        self._told += [(writing, InternalError(message)) for writing in failed]
        if is_fatal:
            self._flush()
            self._die()
