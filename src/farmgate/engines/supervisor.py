"""One task owns one engine process: starts it, watches it, ends it when nobody needs it, and starts it again after a
crash if it is wanted."""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from farmgate.core.errors import EngineUnavailable, FarmError, ShuttingDown
from farmgate.core.ports import Clock
from farmgate.engines.backoff import after_crash
from farmgate.engines.engine import Engine, Spec
from farmgate.engines.leases import Address, EngineLease, Leases
from farmgate.engines.process import Crash, EngineDied, EngineProcess, died_early, how_it_ended, in_time, tail
from farmgate.engines.sleeping import Rest
from farmgate.engines.states import State, check_transition
from farmgate.engines.surroundings import Keep, MakeRoom, Room, Settings, Sleeper, Warm, again, unasked, unlimited
from farmgate.engines.timing import Sleep, first
from farmgate.telemetry import log

__all__ = ["Supervisor"]

MOMENT_S = 2.0
"""A pause up to which callers wait for the next start, instead of being told of it."""


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
        sleeper: Sleeper | None = None,
    ) -> None:
        self.spec = spec
        self.leases = Leases(clock)
        self.starts = 0
        """How many processes were started for it."""
        self.engine = engine
        self._log_file = log_file
        self._environment = environment
        self._settings = settings
        self._clock, self._sleep = clock, sleep
        self._keep = keep if keep is not None else Keep()
        self._room = room if room is not None else unlimited
        self._warm = warm if warm is not None else unasked
        self._sleeper = sleeper
        self._drains = 0
        """How many wait until those who are at it are done."""
        self._is_tired = False
        """Whether those who were at it are done, and it is to sleep."""
        self._is_called = False
        """Whether somebody came while it slept."""
        self._state = State.ON_DISK
        self._changed, self._stirred = asyncio.Event(), asyncio.Event()
        self._owner: asyncio.Task[None] | None = None
        self.address: Address | None = None
        """Of its process, once that has come up; None when it has ended."""
        self._pid: int | None = None
        self._crashes, self._slept = 0, False
        self.crash: Crash | None = None
        self._refusal: FarmError | None = None
        self._ready_at: float | None = None
        self.load_s: float | None = None
        """How long its last start took, in seconds."""
        self._lends = True
        self._not_before = -math.inf

    @property
    def state(self) -> State:
        return self._state

    @property
    def failure(self) -> str | None:
        """What went wrong last, for operators; None once it is ready again."""
        return None if self.crash is None else str(self.crash)

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
        self._stir()

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
            told = self._refusal
            while True:
                if not self._lends:
                    raise ShuttingDown
                if self._state is State.READY and self.address is not None:
                    return self.leases.take(self.address)
                if self._state is State.FAILED and not self._is_back_soon():
                    raise self._unavailable()
                refusal = self._refusal if self._refusal is not told else None
                if refusal is not None and self._state in {State.STOPPING, State.ON_DISK, State.ASLEEP}:
                    raise again(refusal)
                if self._state is State.ON_DISK:
                    self._begin()
                else:
                    if self._state is State.ASLEEP:
                        self._is_called = True
                        self._stir()
                    await self._changed.wait()

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
        self._stir()

    @property
    def may_sleep(self) -> bool:
        """Whether it would sleep instead of leaving: not one that nobody is sent to any more."""
        return self._sleeper is not None and self._lends

    async def leave(self, within_s: float, *, rest: bool = False) -> None:
        """Lend no more, let those who are at it end within that time, and stop. A later lease starts a new process.

        `rest`: sleep instead, if it can; a later lease wakes it. Of several who want it gone each waits its own time.
        """
        owner = self._owner
        if self._state is State.READY:
            self._move(State.DRAINING)
        if self._state is State.DRAINING:
            await self._drain(within_s)
        if rest and self._owner is owner and await self._rests():
            return
        if self._owner is owner:
            await self.stop()

    async def _drain(self, within_s: float) -> None:
        self._drains += 1
        try:
            await first(self._until_done(), self._sleep(within_s))
        except asyncio.CancelledError:
            if self._drains == 1 and self._state is State.DRAINING and not self._is_tired:
                # Nobody wants it gone any more.
                self._move(State.READY)
                self._stir()
            raise
        finally:
            self._drains -= 1

    async def _until_done(self) -> None:
        """Return when nobody is at it any more, or when it has crashed: the next process is none that has to go."""
        while self.leases.in_flight and self._state is State.DRAINING:
            await first(self._changed.wait(), self.leases.until_idle())

    async def stop(self) -> None:
        """Returns when the process is gone. A later lease starts a new one."""
        if (owner := self._owner) is None:
            return
        if self._state is not State.STOPPING:
            self._move(State.STOPPING)
            owner.cancel()
        await asyncio.wait({owner})

    async def _rests(self) -> bool:
        """Whether it sleeps now."""
        # One without an address has just died, and nobody looks whether it is tired.
        if self._state is State.DRAINING and self.address and self.may_sleep and not self.leases.in_flight:
            self._is_tired = True
            self._stir()
        while self._is_tired:
            await self._changed.wait()
        return self._state is State.ASLEEP

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

    def _stir(self) -> None:
        """The owner of the process looks again."""
        stirred, self._stirred = self._stirred, asyncio.Event()
        stirred.set()

    async def _own(self) -> None:
        while (crash := await self._one_life()) is not None:
            self._crashed(crash)
            await self._sleep(max(0.0, self._not_before - self._clock()))
            if not self._is_wanted():
                return
            self._move(State.STARTING)

    async def _one_life(self) -> Crash | None:
        """From start to end of one process; tells how it crashed, or None: it was not to be any longer."""
        self._ready_at = None
        try:
            async with self._room(self.spec, self._keep) as room:
                failure = await self._run_process(room)
            return None if failure is None else Crash(failure)
        except FarmError as refusal:
            self._refusal = again(refusal)
            log.warning("engine_refused", model=self.spec.model, reason=refusal.code)
            self._move(State.STOPPING)
            return None
        except EngineDied as death:
            log_end = tail(self._log_file)
            return died_early(death, self.engine.complaint(log_end), log_end, self.spec)
        except Exception as error:  # noqa: BLE001 - a bug here must look like a crash: a pause, and nobody waits for ever
            log.error("engine_supervision_failed", model=self.spec.model, reason=type(error).__name__)
            log.traceback(error)
            return Crash("could not be supervised", repr(error))

    async def _run_process(self, room: Room) -> str | None:
        """How a process failed that had come up; None for one that nobody used for long enough. Raises EngineDied."""
        key, within_s = secrets.token_urlsafe(32), self._settings.start_timeout_s
        spec, environment = room.placed(self.spec), {**self._environment, **room.environment}
        launch = self.engine.launch(spec, key=key, environment=environment)
        process = await EngineProcess.start(launch, self._log_file)
        self._pid, began = process.pid, self._clock()
        self.starts += 1
        try:
            address = await in_time(self._comes_up(process, key), "ready", within_s=within_s, sleep=self._sleep)
            room.settle(process.pid)
            self._ready_at, self.crash = self._clock(), None
            self.load_s = self._ready_at - began
            self.address = address
            self._move(State.READY)
            warm = partial(self._warm, self.spec, address)
            rest = Rest(
                self._sleeper, room, pid=process.pid, address=address, warm=warm, within_s=within_s, sleep=self._sleep
            )
            return await self._lives(process, rest)
        finally:
            self.address = self._pid = None
            self._is_tired = self._is_called = False
            await process.stop(self._settings.stop_grace_s, self._sleep)

    async def _comes_up(self, process: EngineProcess, key: str) -> Address:
        address = Address(url=await process.ready(self.engine.address), key=key)
        self._move(State.WARMING)
        await self._warm(self.spec, address)
        return address

    async def _lives(self, process: EngineProcess, rest: Rest) -> str | None:
        ended = asyncio.ensure_future(process.ended())
        stays = asyncio.ensure_future(self._stays(rest))
        try:
            await asyncio.wait({ended, stays}, return_when=asyncio.FIRST_COMPLETED)
            # One that dies in the very moment in which it was to end has not crashed.
            has_crashed = ended.done() and self._state is not State.STOPPING
            return how_it_ended(ended.result()) if has_crashed else stays.result()
        finally:
            ended.cancel()
            stays.cancel()
            await asyncio.wait({ended, stays})

    async def _stays(self, rest: Rest) -> str | None:
        """Returns when it is to be no longer: None, or how it failed to wake."""
        while True:
            stirred = self._stirred
            if self._state is State.ASLEEP and not self._lends:
                break
            if self._state is State.ASLEEP and self._is_called:
                if (failure := await self._wakes(rest)) is not None:
                    return failure
            elif self._is_tired:
                if not await self._falls_asleep(rest):
                    break
            elif self._state is State.READY and self.left_s() == 0.0 and self.leases.is_free:
                log.info("engine_unused", model=self.spec.model, ttl_s=self._keep.ttl_s)
                if not self.may_sleep:
                    break
                self._move(State.DRAINING)
                self._is_tired = True
            else:
                await self._until_unused(stirred)
        self._move(State.STOPPING)
        return None

    async def _until_unused(self, stirred: asyncio.Event) -> None:
        """Return when nobody has used it for its `ttl_s`, or may have, or when something changed."""
        if self.left_s() is not None:
            await first(stirred.wait(), self.leases.until_idle())
        left_s = self.left_s()
        await (stirred.wait() if left_s is None else first(stirred.wait(), self._sleep(left_s)))

    async def _falls_asleep(self, rest: Rest) -> bool:
        """False: it had better end."""
        why_not = await rest.begin()
        self._is_tired, self._is_called, self._refusal = False, False, None
        if why_not is None:
            self._move(State.ASLEEP)
        log.info("engine_asleep", model=self.spec.model, asleep=why_not is None, reason=why_not)
        return why_not is None

    async def _wakes(self, rest: Rest) -> str | None:
        """Why it does not, where it had better end. Where there is no room for it, it sleeps on."""
        self._is_called, self._refusal = False, None
        self._move(State.WARMING)
        try:
            failure = await rest.end()
        except FarmError as refusal:
            self._refusal = again(refusal)
            self._move(State.ASLEEP)
            return None
        if failure is None:
            self._ready_at = self._clock()
            self._move(State.READY)
        return failure

    def _is_back_soon(self) -> bool:
        """Whether callers had better wait: it is known to come up, and its pause is short."""
        return self.load_s is not None and self._not_before - self._clock() <= MOMENT_S

    def _crashed(self, crash: Crash) -> None:
        now = self._clock()
        ready_s = now - self._ready_at if self._ready_at is not None else 0.0
        # One that answered is no engine that cannot start: others need not wait long because of the last one's end.
        before = 0 if self.leases.answered_since(self._ready_at) else self._crashes
        pause = after_crash(before, ready_s, self._settings.backoff)
        self._slept = self._state is State.ASLEEP
        self._crashes, self.crash, self._not_before = pause.crashes, crash, now + pause.wait_s
        log.warning(
            "engine_crashed", model=self.spec.model, reason=str(crash), log=str(self._log_file), wait_s=pause.wait_s
        )
        self._move(State.FAILED)

    def _is_wanted(self) -> bool:
        idle_s = self.leases.idle_s()
        # One that slept had made room for others, and its own end is no reason to take it back.
        lately = not self._slept and idle_s is not None and idle_s <= self._settings.wanted_s
        return self._lends and (self.leases.expected > 0 or lately)

    def _unavailable(self) -> EngineUnavailable:
        assert self.crash is not None
        left_s = max(0.0, self._not_before - self._clock())
        return EngineUnavailable(
            f"the local engine of {self.spec.model} {self.crash.told}. It may be started again in {left_s:.1f} s; "
            "`farmgate ps` and the log say more",
            retry_after_s=left_s,
        )
