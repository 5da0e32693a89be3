"""One task owns one engine process: starts it, watches it, ends it when nobody needs it, and starts it again after a
crash if it is wanted."""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, TypeAlias

from farmgate.core.errors import EngineUnavailable, FarmError, ShuttingDown
from farmgate.core.ports import Clock
from farmgate.engines.backoff import Backoff, after_crash
from farmgate.engines.engine import Engine, Spec
from farmgate.engines.leases import Address, EngineLease, Leases
from farmgate.engines.process import EngineDied, EngineProcess, how_it_ended, last_lines, tail
from farmgate.engines.states import State, check_transition
from farmgate.engines.timing import Sleep, either
from farmgate.telemetry import log

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Keep", "MakeRoom", "Room", "Settings", "Supervisor", "Warm", "unasked", "unlimited"]


MOMENT_S = 2.0
"""A pause up to which callers wait for the next start, instead of being told of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How long things may take, in seconds.

    `wanted_s`: an engine that crashes starts again by itself when it was used this recently.
    """

    start_timeout_s: float = 180.0
    stop_grace_s: float = 2.0
    wanted_s: float = 300.0
    backoff: Backoff = field(default_factory=Backoff)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """How long a model stays when nobody uses it: `ttl_s` seconds after its last request, or, without, until another
    needs the room. `pinned`: for ever. Of two that could leave, the one of the lower `priority` does."""

    ttl_s: float | None = None
    pinned: bool = False
    priority: int = 0


class Room(Protocol):
    """The memory a process may use, held for as long as it lives."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What tells the process which devices it may use."""

    def placed(self, spec: Spec) -> Spec:
        """A process's own words for where it is."""

    def settle(self, pid: int) -> None:
        """It is loaded: what it uses takes the place of what was expected."""


MakeRoom: TypeAlias = Callable[[Spec, Keep], AbstractAsyncContextManager[Room]]
"""Waits until there is room. Raises ModelTooLarge, or EngineUnavailable when none came free in time."""
Warm: TypeAlias = Callable[[Spec, Address], Awaitable[None]]
"""Asks a process that has just come up for something, so that it is known to answer. Raises EngineDied."""


class Supervisor:
    """One model for one purpose. Its owner calls `close` in the end."""

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
        keep: Keep | None = None,
        room: MakeRoom | None = None,
        warm: Warm | None = None,
    ) -> None:
        self.spec = spec
        self.leases = Leases(clock)
        self.starts = 0
        """How many processes were started for it."""
        self._engine = engine
        self._log_file = log_file
        self._environment = environment
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._keep = keep if keep is not None else Keep()
        self._room = room if room is not None else unlimited
        self._warm = warm if warm is not None else unasked
        self._state = State.ON_DISK
        self._changed = asyncio.Event()
        self._kept_anew = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None
        self._address: Address | None = None
        self._pid: int | None = None
        self._crashes = 0
        self._failure: str | None = None
        self._refusal: FarmError | None = None
        self._ready_at: float | None = None
        self.load_s: float | None = None
        """How long its last start took, in seconds."""
        self._lends = True
        self._not_before = -math.inf

    @property
    def engine_name(self) -> str:
        return self._engine.name

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

    @property
    def used_at(self) -> float:
        """When it was last of use, on the clock: it answered, or it came up."""
        return max((at for at in (self._ready_at, self.leases.last_used) if at is not None), default=-math.inf)

    @property
    def keep(self) -> Keep:
        return self._keep

    @keep.setter
    def keep(self, keep: Keep) -> None:
        """Holds from now on; the process goes on."""
        self._keep = keep
        anew, self._kept_anew = self._kept_anew, asyncio.Event()
        anew.set()

    def left_s(self) -> float | None:
        """Seconds until it leaves by itself if nobody uses it; None: it stays."""
        if self._keep.pinned or self._keep.ttl_s is None or self._state is not State.READY:
            return None
        return max(0.0, self.used_at + self._keep.ttl_s - self._clock())

    async def lease(self) -> EngineLease:
        """Start the process if there is none and wait until it is ready.

        Where it has come up before and is back within a moment after a crash, that is waited for. Raises
        EngineUnavailable after any other crash or where no room came free, and ModelTooLarge.
        """
        with self.leases.waiting():
            waited = False
            while True:
                if not self._lends:
                    raise ShuttingDown
                if self._state is State.READY and self._address is not None:
                    return self.leases.take(self._address)
                if self._state is State.FAILED and not self._is_back_soon():
                    raise self._unavailable()
                if waited and self._refusal is not None and self._state in {State.STOPPING, State.ON_DISK}:
                    raise again(self._refusal)
                if self._state is State.ON_DISK:
                    self._begin()
                else:
                    await self._changed.wait()
                    waited = True

    def forgive(self) -> None:
        """Forget its crashes: somebody wants it anew, and its next one is the first."""
        self._crashes = 0

    async def close(self) -> None:
        """Like `stop`, and nothing is lent any more."""
        self.lend(False)
        await self.stop()

    def lend(self, lends: bool) -> None:
        """Whether leases are given at all; where not, whoever waits for one gets ShuttingDown."""
        self._lends = lends
        self._pulse()

    async def leave(self, within_s: float) -> None:
        """Lend no more, let those who are at it end within that time, and stop. A later lease starts a new process."""
        if self._state is State.READY:
            self._move(State.DRAINING)
            idle = asyncio.ensure_future(self.leases.until_idle())
            try:
                await either(idle, self._sleep(within_s))
            except asyncio.CancelledError:
                self._stay()
                raise
            finally:
                idle.cancel()
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

    def _stay(self) -> None:
        """Who wanted it gone no longer does."""
        if self._state is State.DRAINING:
            self._move(State.READY)
            self.keep = self._keep

    def _begin(self) -> None:
        self._refusal = None
        self._move(State.STARTING)
        self._owner = asyncio.get_running_loop().create_task(self._own(), name=f"engine {self.spec.model}")
        # Not a `finally` in the task: a task that is cancelled before its first step runs none.
        self._owner.add_done_callback(self._ended)

    def _ended(self, _: asyncio.Task[None]) -> None:
        self._owner = None
        if self._state is not State.STOPPING:
            self._move(State.STOPPING)
        self._move(State.ON_DISK)

    def _move(self, to: State) -> None:
        check_transition(self._state, to)
        self._state = to
        self._pulse()

    def _pulse(self) -> None:
        """Whoever waits looks again."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _own(self) -> None:
        while (failure := await self._one_life()) is not None:
            self._crashed(failure)
            await self._sleep(max(0.0, self._not_before - self._clock()))
            if not self._is_wanted():
                return
            self._move(State.STARTING)

    async def _one_life(self) -> str | None:
        """From start to end of one process; tells how it crashed, or None: it was not to be any longer."""
        self._ready_at = None
        try:
            async with self._room(self.spec, self._keep) as room:
                code = await self._run_process(room)
                return None if code is None else how_it_ended(code)
        except FarmError as refusal:
            self._refusal = refusal
            log.warning("engine_refused", model=self.spec.model, reason=refusal.code)
            self._move(State.STOPPING)
            return None
        except EngineDied as death:
            said = tail(self._log_file)
            why = self._engine.complaint(said) or last_lines(said)
            return f"{death} at its start ({why})" if why else f"{death} at its start"
        except Exception as error:  # noqa: BLE001 - a bug here must look like a crash: a pause, and nobody waits for ever
            log.error("engine_supervision_failed", model=self.spec.model, reason=type(error).__name__)
            log.traceback(error)
            return f"could not be supervised: {error!r}"

    async def _run_process(self, room: Room) -> int | None:
        """The exit code of a process that ended by itself; None for one that nobody used for long enough."""
        key = secrets.token_urlsafe(32)
        environment = {**self._environment, **room.environment}
        launch = self._engine.launch(room.placed(self.spec), key=key, environment=environment)
        process = await EngineProcess.start(launch, self._log_file)
        self._pid = process.pid
        self.starts += 1
        began = self._clock()
        try:
            address = await self._until_ready(process, key)
            room.settle(process.pid)
            self._ready_at, self._failure = self._clock(), None
            self.load_s = self._ready_at - began
            self._address = address
            self._move(State.READY)
            return await self._lives(process)
        finally:
            self._address = self._pid = None
            await process.stop(self._settings.stop_grace_s, self._sleep)

    async def _until_ready(self, process: EngineProcess, key: str) -> Address:
        ready = asyncio.ensure_future(self._comes_up(process, key))
        try:
            if not await either(ready, self._sleep(self._settings.start_timeout_s)):
                raise EngineDied(f"was not ready within {self._settings.start_timeout_s:g} s")
            return ready.result()
        finally:
            ready.cancel()
            await asyncio.wait({ready})

    async def _comes_up(self, process: EngineProcess, key: str) -> Address:
        address = Address(url=await process.ready(self._engine.address), key=key)
        self._move(State.WARMING)
        await self._warm(self.spec, address)
        return address

    async def _lives(self, process: EngineProcess) -> int | None:
        ended = asyncio.ensure_future(process.ended())
        try:
            while not await either(ended, self._until_unused()):
                if self._state is State.READY and self.left_s() == 0.0 and not self.leases.in_flight:
                    log.info("engine_unused", model=self.spec.model, ttl_s=self._keep.ttl_s)
                    self._move(State.STOPPING)
                    return None
            return ended.result()
        finally:
            ended.cancel()

    async def _until_unused(self) -> None:
        """Return when nobody has used it for its `ttl_s`, or may have."""
        while True:
            anew = asyncio.ensure_future(self._kept_anew.wait())
            try:
                left_s = self.left_s()
                if left_s is None:
                    await asyncio.wait({anew})
                    continue
                await self.leases.until_idle()
                left_s = self.left_s()
                if left_s == 0.0:
                    return
                await either(anew, self._sleep(left_s if left_s is not None else 0.0))
            finally:
                anew.cancel()

    def _is_back_soon(self) -> bool:
        """Whether callers had better wait: it is known to come up, and its pause is short."""
        return self.load_s is not None and self._not_before - self._clock() <= MOMENT_S

    def _crashed(self, failure: str) -> None:
        now = self._clock()
        ready_s = now - self._ready_at if self._ready_at is not None else 0.0
        # One that answered is no engine that cannot start: others need not wait long because of the last one's end.
        before = 0 if self._has_answered() else self._crashes
        pause = after_crash(before, ready_s, self._settings.backoff)
        self._crashes, self._failure, self._not_before = pause.crashes, failure, now + pause.wait_s
        log.warning("engine_crashed", model=self.spec.model, reason=failure, wait_s=pause.wait_s)
        self._move(State.FAILED)

    def _has_answered(self) -> bool:
        """Whether this process, since it came up, has answered somebody whole."""
        answered_at = self.leases.answered_at
        return self._ready_at is not None and answered_at is not None and answered_at >= self._ready_at

    def _is_wanted(self) -> bool:
        idle_s = self.leases.idle_s()
        is_used = self.leases.expected > 0 or (idle_s is not None and idle_s <= self._settings.wanted_s)
        return self._lends and is_used

    def _unavailable(self) -> EngineUnavailable:
        left_s = max(0.0, self._not_before - self._clock())
        return EngineUnavailable(
            f"the local engine of {self.spec.model} {self._failure}. It may be started again in {left_s:.1f} s. "
            f"Its log is {self._log_file}",
            retry_after_s=left_s,
        )


def again(error: FarmError) -> FarmError:
    """The same refusal for one more caller: an exception that several raise collects the tracebacks of all."""
    return type(error)(error.message, param=error.param, retry_after_s=error.retry_after_s)


class Anything:
    """Room without end."""

    environment: Mapping[str, str] = MappingProxyType({})

    def placed(self, spec: Spec) -> Spec:
        return spec

    def settle(self, pid: int) -> None:
        """Nobody counts."""


@asynccontextmanager
async def unlimited(_spec: Spec, _keep: Keep) -> AsyncIterator[Room]:
    """For a machine whose memory nobody keeps books of."""
    yield Anything()


async def unasked(_spec: Spec, _address: Address) -> None:
    """Take its word that it is ready."""
