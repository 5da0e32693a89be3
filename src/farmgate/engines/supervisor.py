"""One task owns one engine process: starts it, watches it, and starts it again after a crash if it is wanted."""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from farmgate.core.errors import EngineUnavailable, ShuttingDown
from farmgate.core.ports import Clock
from farmgate.engines.backoff import Backoff, after_crash
from farmgate.engines.engine import Engine, Spec
from farmgate.engines.leases import Address, EngineLease, Leases
from farmgate.engines.process import EngineDied, EngineProcess, how_it_ended, last_lines, tail
from farmgate.engines.timing import Sleep, either
from farmgate.telemetry import log

__all__ = ["TRANSITIONS", "IllegalTransition", "Settings", "State", "Supervisor", "check_transition"]


class State(StrEnum):
    """Where one engine is. No process: stopped, backing_off. A process: starting, ready, stopping."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    BACKING_OFF = "backing_off"
    STOPPING = "stopping"


TRANSITIONS: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.STOPPED: frozenset({State.STARTING}),
        State.STARTING: frozenset({State.READY, State.BACKING_OFF, State.STOPPING}),
        State.READY: frozenset({State.BACKING_OFF, State.STOPPING}),
        State.BACKING_OFF: frozenset({State.STARTING, State.STOPPED, State.STOPPING}),
        State.STOPPING: frozenset({State.STOPPED}),
    }
)


class IllegalTransition(Exception):
    """A mistake in this file: an engine cannot go from the one state to the other."""


def check_transition(now: State, to: State) -> None:
    if to not in TRANSITIONS[now]:
        raise IllegalTransition(f"{now} -> {to}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How long things may take, in seconds.

    `wanted_s`: an engine that crashes starts again by itself when it was used this recently.
    """

    start_timeout_s: float = 180.0
    stop_grace_s: float = 2.0
    wanted_s: float = 300.0
    backoff: Backoff = field(default_factory=Backoff)


class Supervisor:
    """One model for one purpose. Its owner calls `stop` in the end."""

    def __init__(
        self,
        spec: Spec,
        engine: Engine,
        *,
        log_file: Path,
        environment: Mapping[str, str],
        settings: Settings,
        clock: Clock,
        sleep: Sleep,
    ) -> None:
        self.spec = spec
        self.leases = Leases(clock)
        self._engine = engine
        self._log_file = log_file
        self._environment = environment
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._state = State.STOPPED
        self._changed = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None
        self._address: Address | None = None
        self._pid: int | None = None
        self._waiting = 0
        self._crashes = 0
        self._failure: str | None = None
        self._ready_at: float | None = None
        self._retired = False
        self._not_before = -math.inf

    @property
    def state(self) -> State:
        return self._state

    @property
    def failure(self) -> str | None:
        """What went wrong last; None once it is ready again."""
        return self._failure

    @property
    def pid(self) -> int | None:
        """Of the process that is starting or ready."""
        return self._pid

    async def lease(self) -> EngineLease:
        """Start the process if there is none and wait until it is ready. Raises EngineUnavailable after a crash."""
        self._waiting += 1
        try:
            while True:
                if self._retired:
                    raise ShuttingDown
                if self._state is State.READY and self._address is not None:
                    return self.leases.take(self._address)
                if self._state is State.BACKING_OFF:
                    raise self._unavailable()
                if self._state is State.STOPPED:
                    self._begin()
                else:
                    await self._changed.wait()
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Like `stop`, and nothing is lent any more: whoever waits for a lease gets ShuttingDown."""
        self._retired = True
        await self.stop()

    async def stop(self) -> None:
        """Returns when the process is gone. A later lease starts a new one."""
        owner = self._owner
        if owner is None:
            return
        if self._state is not State.STOPPING:
            self._move(State.STOPPING)
            owner.cancel()
        await asyncio.wait({owner})

    def _begin(self) -> None:
        self._move(State.STARTING)
        self._owner = asyncio.get_running_loop().create_task(self._own(), name=f"engine {self.spec.model}")
        # Not a `finally` in the task: a task that is cancelled before its first step runs none.
        self._owner.add_done_callback(self._ended)

    def _ended(self, _: asyncio.Task[None]) -> None:
        self._owner = None
        if self._state not in {State.STOPPING, State.BACKING_OFF}:
            self._move(State.STOPPING)
        self._move(State.STOPPED)

    def _move(self, to: State) -> None:
        check_transition(self._state, to)
        self._state = to
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _own(self) -> None:
        while True:
            self._crashed(await self._one_life())
            await self._sleep(max(0.0, self._not_before - self._clock()))
            if not self._is_wanted():
                return
            self._move(State.STARTING)

    async def _one_life(self) -> str:
        """From start to end of one process; tells how it ended."""
        self._ready_at = None
        try:
            return how_it_ended(await self._run_process())
        except EngineDied as death:
            said = tail(self._log_file)
            why = self._engine.complaint(said) or last_lines(said)
            return f"{death} at its start ({why})" if why else f"{death} at its start"
        except Exception as error:  # noqa: BLE001 - a bug here must look like a crash: a pause, and nobody waits for ever
            log.error("engine_supervision_failed", model=self.spec.model, reason=type(error).__name__)
            log.traceback(error)
            return f"could not be supervised: {error!r}"

    async def _run_process(self) -> int:
        key = secrets.token_urlsafe(32)
        launch = self._engine.launch(self.spec, key=key, environment=self._environment)
        process = await EngineProcess.start(launch, self._log_file)
        self._pid = process.pid
        try:
            url = await self._until_ready(process)
            self._ready_at, self._failure = self._clock(), None
            self._address = Address(url=url, key=key)
            self._move(State.READY)
            return await process.ended()
        finally:
            self._address = self._pid = None
            await process.stop(self._settings.stop_grace_s, self._sleep)

    async def _until_ready(self, process: EngineProcess) -> str:
        ready = asyncio.ensure_future(process.ready(self._engine.address))
        try:
            if not await either(ready, self._sleep(self._settings.start_timeout_s)):
                raise EngineDied(f"was not ready within {self._settings.start_timeout_s:g} s")
            return ready.result()
        finally:
            ready.cancel()
            await asyncio.wait({ready})

    def _crashed(self, failure: str) -> None:
        now = self._clock()
        ready_s = now - self._ready_at if self._ready_at is not None else 0.0
        pause = after_crash(self._crashes, ready_s, self._settings.backoff)
        self._crashes, self._failure, self._not_before = pause.crashes, failure, now + pause.wait_s
        log.warning("engine_crashed", model=self.spec.model, reason=failure, wait_s=pause.wait_s)
        self._move(State.BACKING_OFF)

    def _is_wanted(self) -> bool:
        idle_s = self.leases.idle_s()
        return self._waiting > 0 or (idle_s is not None and idle_s <= self._settings.wanted_s)

    def _unavailable(self) -> EngineUnavailable:
        left_s = max(0.0, self._not_before - self._clock())
        return EngineUnavailable(
            f"the local engine of {self.spec.model} {self._failure}. It may be started again in {left_s:.1f} s. "
            f"Its log is {self._log_file}",
            retry_after_s=left_s,
        )
