"""One model by name: the version that answers, the one that did before, and the change from one to the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeAlias

from farmgate.core.errors import EngineUnavailable, ModelBusy, ShuttingDown
from farmgate.core.ports import Lease, Progress, Purpose, Report
from farmgate.engines.adapters import Adapter
from farmgate.engines.release import Release, Version
from farmgate.engines.states import State
from farmgate.engines.supervisor import Supervisor
from farmgate.engines.surroundings import Keep
from farmgate.telemetry import log

__all__ = ["Check", "Deployment"]

Check: TypeAlias = Callable[[Lease], Awaitable[None]]
"""Asks a new version what its owner wants to know of it. Raises FarmError: it does not take over."""
LEAST = -1_000_000
"""The priority of a version that nobody is sent to any more: it makes room for everything."""


class Deployment:
    """Callers get the current release, and whole: a lease is of one process.

    `kept_s`: how long the release before stays loaded, so that going back to it is instant.
    """

    def __init__(self, release: Release, *, keep: Keep, kept_s: float, drain_s: float) -> None:
        self.current = release
        self.previous: Release | None = None
        self.chosen: str | None = None
        """The version that an operator has chosen, whatever the configuration says."""
        self.keep = keep
        self.kept_s = kept_s
        self._drain_s = drain_s
        self._coming: Release | None = None
        self._settled = asyncio.Event()
        self._expected = 0
        self._retired: set[Release] = set()
        self._leaving: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._loading: set[asyncio.Future[Lease]] = set()

    @property
    def releases(self) -> tuple[Release, ...]:
        """Those that have processes or may have them again, the current one first."""
        coming = None if self._coming is self.previous else self._coming
        return tuple(one for one in (self.current, coming, self.previous) if one is not None)

    @property
    def processes(self) -> tuple[Supervisor, ...]:
        """Every process that there may be, also of releases that end what they have begun."""
        return tuple(one for release in (*self.releases, *self._retired) for one in release.supervisors.values())

    def adapters_of(self, process: Supervisor) -> tuple[str, ...]:
        """The names of the adapters that a process has."""
        owners = (one for one in (*self.releases, *self._retired) if process in one.supervisors.values())
        owner = next(owners, None)
        is_adapted = owner is not None and process.spec.purpose is Purpose.GENERATE and process.state is State.READY
        return owner.adaptation.names if owner is not None and owner.adaptation is not None and is_adapted else ()

    @property
    def is_changing(self) -> bool:
        """Whether another release is on its way, or is to be."""
        return self._coming is not None or self._expected > 0

    @property
    def is_to_change(self) -> bool:
        """Whether its owner said so, and it has not happened yet."""
        return self._expected > 0

    @property
    def left_s(self) -> float | None:
        """Seconds until the last process of what answers leaves if nobody uses it; None: one stays."""
        left = [one.left_s() for one in self.current.supervisors.values() if one.state is State.READY]
        return None if None in left else max((one for one in left if one is not None), default=None)

    def ready_names(self, name: str) -> Iterator[str]:
        """What whoever asks now finds loaded: the model `name`, and its adapters."""
        if self.is_ready:
            yield name
        for process in self.current.supervisors.values():
            yield from (f"{name}:{adapter}" for adapter in self.adapters_of(process))

    @property
    def is_at_rest(self) -> bool:
        """Whether the current release has no process, and none is being brought up."""
        return not self.is_changing and all(one.state is State.ON_DISK for one in self.current.supervisors.values())

    @property
    def is_ready(self) -> bool:
        return any(one.state is State.READY for one in self.current.supervisors.values())

    @property
    def is_well(self) -> bool:
        """Whether what answers can go on: it has not crashed, and nothing is about to take its place."""
        return not self.current.failed and not self.is_changing

    async def lease(self, purpose: Purpose, adapter: str | None = None) -> Lease:
        while True:
            release = self.current
            if adapter is not None and not release.has(adapter):
                await self._until_there(adapter)
                continue
            try:
                return await release.lease(purpose, adapter)
            except ShuttingDown:
                if self._is_closed or release is self.current:
                    raise

    async def load(self, lease: Coroutine[None, None, Lease]) -> None:
        """Take a lease of it and give it back. Raises as taking it does, and EngineUnavailable where it is unloaded
        meanwhile: whoever waits for an answer has it started again, whoever only wants it loaded does not."""
        leasing = asyncio.ensure_future(lease)
        self._loading.add(leasing)
        leasing.add_done_callback(give_back)
        try:
            await asyncio.wait({leasing})
        finally:
            self._loading.discard(leasing)
            leasing.cancel()
        if leasing.cancelled():
            raise EngineUnavailable(f"{self.current.version.name} was unloaded before it had come up.")
        leasing.result()

    def expect(self) -> None:
        """A change is to come: who names an adapter that is not there waits until it is `over`."""
        self._expected += 1

    def over(self) -> None:
        self._expected -= 1
        self._pulse()

    async def settled(self) -> None:
        """Return when no change from one release to another is under way."""
        while self._coming is not None:
            await self._settled.wait()

    async def _until_there(self, adapter: str) -> None:
        """Wait for the release that brings an adapter. Raises EngineUnavailable where none is on its way."""
        if self._is_closed:
            raise ShuttingDown
        if not self._expected and (self._coming is None or not self._coming.has(adapter)):
            name = self.current.version.name
            raise EngineUnavailable(
                f"{name} runs without the adapter {adapter}; the log says why. {name} alone answers.", retry_after_s=1.0
            )
        await self._settled.wait()

    def adapt(self, adapters: tuple[Adapter, ...]) -> bool:
        """Have these adapters from now on, in the processes there are. False, and nothing is done, where the current
        one cannot. Another that cannot is started anew when somebody wants it back."""
        if not self.current.adapt(adapters):
            return False
        for release in self.releases[1:]:
            release.adapt(adapters)
        return True

    def follows(self, version: Version) -> bool:
        """Whether this version answers, at the latest once its process has other adapters: it is told of them."""
        running = self.current.version
        return version == running or (running.is_but_for_adapters(version) and self.adapt(version.adapters))

    def set_keep(self, keep: Keep) -> None:
        """How long the current release stays when nobody uses it; the process goes on."""
        self.keep = keep
        self.current.keep = keep

    async def swap(self, release: Release, report: Report, *, check: Check | None = None) -> None:
        """Start a release beside the current one, warm it, and send callers to it from then on.

        The current one ends what it has begun. Where the new one does not come up, or `check` finds fault with it,
        nothing changes, and what is wrong is raised. Raises ModelBusy while another change is under way.
        """
        if self._coming is not None:
            raise ModelBusy(f"{self.current.version.name} is being swapped already: wait until that is over.")
        if self._is_closed:
            raise ShuttingDown
        self._coming = release
        release.keep = replace(self.keep, pinned=True)
        release.lend(True)
        release.forgive()
        try:
            await self._bring_up(release, report, check)
        except BaseException:
            self._settle()
            if release is self.previous:
                self._put_aside(release)
            else:
                self._retire(release, within_s=0.0)
            raise
        self._flip(release)
        report(Progress(status=f"{release.version.name} is {release.version.label} now"))

    @contextmanager
    def choosing(self, label: str) -> Iterator[None]:
        """While a version that an operator names takes over. Where it does not, what was chosen before holds."""
        before, self.chosen = self.chosen, label
        try:
            yield
        except BaseException:
            # Not where a new configuration has named another meanwhile.
            if self.chosen == label:
                self.chosen = before
            raise

    def become(self, release: Release) -> None:
        """Send callers to a release from now on, which starts when the first one comes. For a deployment at rest."""
        release.keep = self.keep
        release.lend(True)
        self._flip(release)

    async def unload(self, within_s: float, *, rest: bool = False) -> None:
        """End the processes of every release, also of those that are on their way out, or, to `rest`, have those sleep
        that can; a later lease starts or wakes the current one."""
        if loading := set(self._loading):
            for one in loading:
                one.cancel()
            await asyncio.wait(loading)
        await asyncio.gather(*(release.leave(within_s, rest=rest) for release in self.releases))
        if self._leaving:
            await asyncio.wait(set(self._leaving))

    async def close(self) -> None:
        """End everything now; nothing is lent any more."""
        self._is_closed = True
        self._pulse()
        for task in self._leaving:
            task.cancel()
        if self._leaving:
            await asyncio.wait(self._leaving)
        await asyncio.gather(*(release.close() for release in (*self.releases, *self._retired)))

    async def leave(self) -> None:
        """End when those who are at it are done; nobody is let in any more."""
        self._is_closed = True
        for release in self.releases:
            release.lend(False)
        await self.unload(self._drain_s)
        await self.close()

    async def _bring_up(self, release: Release, report: Report, check: Check | None) -> None:
        used = [purpose for purpose, one in self.current.supervisors.items() if one.state is not State.ON_DISK]
        for purpose in used or [release.version.first]:
            report(Progress(status=f"starting {release.version.name} {release.version.label} beside"))
            lease = await self._first_lease(release, purpose)
            try:
                if check is not None and purpose in {Purpose.GENERATE, Purpose.INFER}:
                    report(Progress(status=f"checking {release.version.name} {release.version.label}"))
                    await check(lease)
            finally:
                lease.release()

    async def _first_lease(self, release: Release, purpose: Purpose) -> Lease:
        """Swaps are for operators, who are told what the log says of a process that does not come up."""
        try:
            return await release.lease(purpose, None)
        except EngineUnavailable as error:
            process = release.supervisors.get(release.version.purpose(purpose))
            if process is None or process.state is not State.FAILED:
                raise
            told = f"{release.version.label} of {release.version.name} does not come up: it {process.failure}"
            raise EngineUnavailable(told, retry_after_s=error.retry_after_s) from error

    def _flip(self, release: Release) -> None:
        """Not a step in it waits: no caller is between the two."""
        before, older = self.current, self.previous
        self.current = release
        self._settle()
        release.keep = self.keep
        log.info(
            "model_swapped", model=release.version.name, version=release.version.label, before=before.version.label
        )
        is_other = before.failed or before.version.adapters != release.version.adapters
        if is_other and before.version.is_but_for_adapters(release.version):
            # The same with other adapters, or after a crash: the version before it is still the one to go back to.
            self.previous = None if older is release else older
            self._retire(before, within_s=self._drain_s)
            return
        self.previous = before
        self._put_aside(before)
        if older is not None and older is not release:
            self._retire(older, within_s=self._drain_s)

    def _settle(self) -> None:
        self._coming = None
        self._pulse()

    def _pulse(self) -> None:
        settled, self._settled = self._settled, asyncio.Event()
        settled.set()

    def _put_aside(self, release: Release) -> None:
        """Nobody new is sent to it; it stays for a while, unless somebody else needs the room."""
        release.lend(False)
        release.keep = Keep(ttl_s=self.kept_s, priority=LEAST)

    def _retire(self, release: Release, *, within_s: float) -> None:
        """Let a release end what it has begun, and be gone."""
        release.lend(False)
        self._retired.add(release)

        async def end() -> None:
            await release.leave(within_s)
            await release.close()
            self._retired.discard(release)

        task = asyncio.get_running_loop().create_task(end(), name=f"retire {release.version.name}")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


def give_back(leasing: asyncio.Future[Lease]) -> None:
    if not leasing.cancelled() and leasing.exception() is None:
        leasing.result().release()
