"""The adapters of one process: it is given those that are wanted, and lets go of others, while it runs where it can.

One that cannot be had is told and left out; the model goes on with the rest. One that somebody uses goes after them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from farmgate.core.errors import EngineUnavailable, FarmError, ModelNotFound
from farmgate.core.ports import Clock, Lease, Purpose
from farmgate.engines.adapters import Adapter, CannotAdapt, Order, Taking
from farmgate.engines.asking import NoAnswer, carry_out
from farmgate.engines.engine import Engine, Launch, Spec
from farmgate.engines.leases import Address, EngineLease
from farmgate.engines.surroundings import Sleeper, Warm
from farmgate.telemetry import log

__all__ = ["AGAIN_S", "Adaptation", "AdaptedLease", "CarryOut"]

AGAIN_S = 5.0
"""How long after a failure whoever names an adapter is told of it, before it is tried again for them."""

CarryOut: TypeAlias = Callable[[Address, Order], Awaitable[None]]
"""Asks an engine for what an order says. Raises NoAnswer."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a process does not have an adapter, and when that was found."""

    adapter: Adapter
    reason: str
    at: float


class AdaptedLease:
    """A lease, and what a request under it must say so that it means its adapter, or the model alone."""

    __slots__ = ("_lease", "_release", "fields")

    def __init__(self, lease: EngineLease, fields: Mapping[str, object], release: Callable[[], None]) -> None:
        self.fields = fields
        self._lease = lease
        self._release: Callable[[], None] | None = release

    @property
    def url(self) -> str:
        return self._lease.url

    @property
    def key(self) -> str:
        return self._lease.key

    def release(self, *, answered: bool = False) -> None:
        release, self._release = self._release, None
        if release is not None:
            release()
        self._lease.release(answered=answered)


class Adaptation:
    """For one supervisor, whose process it follows: `engine`, `warm` and `sleeper` stand before those it would have.

    `model`: the model's name, which stands before an adapter's; `path`: its files. Close it with the supervisor.
    """

    def __init__(
        self,
        taking: Taking,
        *,
        model: str,
        path: Path,
        adapters: Sequence[Adapter],
        clock: Clock,
        carry_out: CarryOut = carry_out,
    ) -> None:
        self._taking = taking
        self._model = model
        self._path = path
        self._clock = clock
        self._carry_out = carry_out
        self._wanted = {adapter.name: adapter for adapter in adapters}
        self._given: tuple[Adapter, ...] = ()
        """Those its command was given, in this order."""
        self._there: dict[str, Adapter] = {}
        self._failed: dict[str, Failure] = {}
        self._uses: Counter[str] = Counter()
        self._address: Address | None = None
        self._changed = asyncio.Event()
        self._levelling: asyncio.Task[None] | None = None

    # ------------------------------------------------------------------------------------------------ what is wanted

    @property
    def names(self) -> tuple[str, ...]:
        """Those the process has."""
        return tuple(self._there)

    def wants(self, name: str) -> bool:
        """Whether this process is to have an adapter, now or in a moment."""
        return name in self._wanted

    def can_become(self, adapters: Sequence[Adapter]) -> bool:
        """Whether the process, as it was started, can have these without a new start."""
        return self._taking.can_become(self._given, adapters)

    def want(self, adapters: Sequence[Adapter], *, is_running: bool) -> None:
        """From now on the process is to have these, where there is one, and so is every one after it. What failed
        before is tried again."""
        self._wanted = {adapter.name: adapter for adapter in adapters}
        self._address = self._address if is_running else None
        self._failed = {}
        self._pulse()
        self._level_soon()

    # ------------------------------------------------------------------------------------------- around a supervisor

    def engine(self, engine: Engine) -> Engine:
        """The same engine, whose process is given the adapters that are wanted when it starts."""
        return Adapted(engine, self._begin)

    def warm(self, warm: Warm) -> Warm:
        """The same warming, and the adapters that a process is given once it is up."""

        async def both(spec: Spec, address: Address) -> None:
            await warm(spec, address)
            self._address = address
            self._level_soon()
            if self._levelling is not None:
                await asyncio.wait({self._levelling})

        return both

    def sleeper(self, sleeper: Sleeper | None) -> Sleeper | None:
        """The same sleeper, and a process that is asked for no adapter from when it is to sleep until it is warmed
        again: what was wanted meanwhile it is given then."""
        return None if sleeper is None else AdaptedSleeper(sleeper, self._rest)

    async def _rest(self) -> None:
        """Returns when what was begun is done: given up, nobody would know whether it was."""
        self._address = None
        self._pulse()
        if self._levelling is not None:
            await asyncio.wait({self._levelling})

    async def close(self) -> None:
        """Whatever is under way is given up."""
        task = self._stop_levelling()
        if task is not None:
            await asyncio.wait({task})

    def _begin(self) -> tuple[Adapter, ...]:
        """A process is started: what it is given at once. Nothing is known of the one before any more."""
        self._stop_levelling()
        self._address = None
        self._failed, self._there = {}, {}
        usable = tuple(filter(self._is_usable, self._wanted.values()))
        self._given = usable if self._taking.is_told_at_start else ()
        self._there = {adapter.name: adapter for adapter in self._given}
        self._pulse()
        return self._given

    # ---------------------------------------------------------------------------------------------------- who uses it

    async def take(self, lease: EngineLease, name: str | None) -> Lease:
        """The lease, for whoever asks for this adapter; None: for the model alone.

        Waits while the adapter is on its way. Releases the lease and raises EngineUnavailable where it could not be
        had, ModelNotFound where it is wanted no more.
        """
        if name is None:
            fields = self._taking.fields(self._given, None)
            return AdaptedLease(lease, fields, nothing) if fields else lease
        try:
            await self._until_there(name)
        except BaseException:
            lease.release()
            raise
        self._uses[name] += 1
        return AdaptedLease(lease, self._taking.fields(self._given, name), lambda: self._give_back(name))

    def _give_back(self, name: str) -> None:
        self._uses[name] -= 1
        self._pulse()

    async def _until_there(self, name: str) -> None:
        while True:
            wanted = self._wanted.get(name)
            if wanted is None:
                raise ModelNotFound(f"There is no model {self._model}:{name} any more.", param="model")
            if self._there.get(name) == wanted:
                return
            failure = self._failed.get(name)
            if failure is not None:
                is_fresh = self._clock() - failure.at < AGAIN_S
                if is_fresh or not self.can_become((*self._given, failure.adapter)):
                    raise self._unavailable(failure)
                del self._failed[name]
                self._level_soon()
            await self._changed.wait()

    def _unavailable(self, failure: Failure) -> FarmError:
        name = f"{self._model}:{failure.adapter.name}"
        return EngineUnavailable(
            f"The adapter {name} could not be loaded; the log says why. {self._model} answers without it.",
            retry_after_s=max(0.0, failure.at + AGAIN_S - self._clock()),
        )

    # -------------------------------------------------------------------------------------------- one step at a time

    def _level_soon(self) -> None:
        """Bring the process to what is wanted, in the background; one task does that."""
        is_done = self._levelling is None or self._levelling.done()
        if self._address is not None and is_done:
            self._levelling = asyncio.get_running_loop().create_task(
                self._level(self._address), name=f"adapters of {self._model}"
            )
            self._levelling.add_done_callback(self._levelled)

    def _levelled(self, task: asyncio.Task[None]) -> None:
        if self._levelling is task:
            self._levelling = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.traceback(error)

    def _stop_levelling(self) -> asyncio.Task[None] | None:
        task, self._levelling = self._levelling, None
        if task is not None:
            task.cancel()
        return task

    async def _level(self, address: Address) -> None:
        while self._address is address:
            leaving = [one for one in self._there.values() if self._wanted.get(one.name) != one]
            idle = next((one for one in leaving if not self._uses[one.name]), None)
            missing = (one for one in self._wanted.values() if one.name not in {*self._there, *self._failed})
            coming = next(missing, None)
            if coming is not None:
                await self._add(address, coming)
            elif idle is not None:
                await self._remove(address, idle)
            elif leaving:
                await self._changed.wait()
            else:
                return

    async def _add(self, address: Address, adapter: Adapter) -> None:
        if not self._is_usable(adapter):
            return
        try:
            await self._carry_out(address, self._taking.add(self._model, adapter))
        except NoAnswer as error:
            self._fail(adapter, f"the engine {error}")
        else:
            self._there[adapter.name] = adapter
            log.info("adapter_added", model=self._model, adapter=adapter.name)
        self._pulse()

    async def _remove(self, address: Address, adapter: Adapter) -> None:
        # Before it is asked: from here on nobody is given it.
        del self._there[adapter.name]
        try:
            await self._carry_out(address, self._taking.remove(self._model, adapter))
        except NoAnswer as error:
            log.warning("adapter_not_removed", model=self._model, adapter=adapter.name, reason=str(error))
        else:
            log.info("adapter_removed", model=self._model, adapter=adapter.name)
        self._pulse()

    def _is_usable(self, adapter: Adapter) -> bool:
        try:
            self._taking.check(adapter, self._path)
        except (CannotAdapt, OSError) as error:
            self._fail(adapter, str(error))
            return False
        return True

    def _fail(self, adapter: Adapter, reason: str) -> None:
        self._failed[adapter.name] = Failure(adapter, reason, self._clock())
        log.warning("adapter_left_out", model=self._model, adapter=adapter.name, reason=reason)
        self._pulse()

    def _pulse(self) -> None:
        """Whoever waits looks again."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class AdaptedSleeper:
    """A sleeper that has `rest` done first."""

    def __init__(self, sleeper: Sleeper, rest: Callable[[], Awaitable[None]]) -> None:
        self._sleeper = sleeper
        self._rest = rest

    async def sleep(self, address: Address) -> None:
        await self._rest()
        await self._sleeper.sleep(address)

    async def wake(self, address: Address) -> None:
        await self._sleeper.wake(address)


class Adapted:
    """An engine whose process is given adapters at its start: those that are wanted then."""

    def __init__(self, engine: Engine, begin: Callable[[], tuple[Adapter, ...]]) -> None:
        self._engine = engine
        self._begin = begin

    @property
    def name(self) -> str:
        return self._engine.name

    @property
    def runs_on(self) -> frozenset[str]:
        return self._engine.runs_on

    @property
    def gpu_bytes(self) -> int:
        return self._engine.gpu_bytes

    @property
    def purposes(self) -> frozenset[Purpose]:
        return self._engine.purposes

    def missing(self) -> str | None:
        return self._engine.missing()

    def runs_here(self, environment: Mapping[str, str]) -> frozenset[str]:
        return self._engine.runs_here(environment)

    def gpu_counts(self, spec: Spec) -> tuple[int, ...]:
        return self._engine.gpu_counts(spec)

    def launch(self, spec: Spec, *, key: str, environment: Mapping[str, str]) -> Launch:
        return self._engine.launch(replace(spec, adapters=self._begin()), key=key, environment=environment)

    def address(self, line: bytes) -> str | None:
        return self._engine.address(line)

    def complaint(self, log: str) -> str | None:
        return self._engine.complaint(log)

    def __getattr__(self, name: str) -> Any:
        """What only some engines have."""
        return getattr(self._engine, name)


def nothing() -> None:
    """Nobody counts who asks for the model alone."""
