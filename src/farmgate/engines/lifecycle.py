"""Engines lends addresses: every model of this machine, its versions and processes, started when first asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType

from farmgate.core.errors import FarmError, ModelNotCapable, ModelNotFound, NotFound, ShuttingDown
from farmgate.core.model import DeviceState, HealthStatus, ModelInfo, ModelState, Served
from farmgate.core.ports import Clock, Lease, Places, Progress, Purpose, Report
from farmgate.engines.adapters import TakesAdapters
from farmgate.engines.adapting import Adaptation
from farmgate.engines.asking import check_answer, warm
from farmgate.engines.declared import Declared
from farmgate.engines.deployment import Check, Deployment
from farmgate.engines.devices import Devices
from farmgate.engines.engine import Engine, Spec, minimal_environment
from farmgate.engines.hearing import Hearing
from farmgate.engines.hours import local_time
from farmgate.engines.machine import Machine
from farmgate.engines.ours import ENGINES
from farmgate.engines.release import Release, Version
from farmgate.engines.showing import shown
from farmgate.engines.states import State
from farmgate.engines.supervisor import Supervisor
from farmgate.engines.surroundings import Keep, Settings, Warm
from farmgate.engines.timing import Sleep
from farmgate.engines.versions import Files, Options, Versions
from farmgate.telemetry import log

__all__ = ["Engines"]

HOURS_EVERY_S = 20.0
DRAIN_S = 600.0
"""How long those who are at a version that is replaced or unloaded may take."""


class Engines:
    """The Lender of this machine. `environment` is the gate's own; engines see the harmless part of it."""

    def __init__(
        self,
        weights: Files,
        *,
        log_directory: Path,
        engines: Mapping[str, Engine] | None = None,
        options: Options | None = None,
        settings: Settings | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
        devices: Devices | None = None,
        warm: Warm = warm,
        clock: Clock = time.monotonic,
        wall: Callable[[], datetime] = local_time,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._engines: Mapping[str, Engine] = engines if engines is not None else ENGINES
        self._versions = Versions(weights, self._engines, options if options is not None else Options())
        self._log_directory = log_directory
        self._settings = settings if settings is not None else Settings()
        self._environment = minimal_environment(environment)
        self._warm = warm
        self._clock = clock
        self._wall = wall
        self._sleep = sleep
        self._deployments: dict[str, Deployment] = {}
        self._leaving: set[Deployment] = set()
        """Whose models are no more: they end what they have begun."""
        self._machine = Machine(
            devices if devices is not None else Devices(visible=self._environment.get("CUDA_VISIBLE_DEVICES")),
            supervisors=self.supervisors,
            answers=self._answers,
            clock=clock,
            sleep=sleep,
            environment=self._environment,
        )
        self.hearing = Hearing(self.supervisors, clock=clock, sleep=sleep)
        self._due: set[str] = set()
        """Whose hours it is."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    # ------------------------------------------------------------------------------------------------- for requests

    async def lease(self, model: str, *, purpose: Purpose = Purpose.GENERATE) -> Lease:
        while True:
            name, adapter = self._versions.split(model)
            if adapter is not None and purpose is not Purpose.GENERATE:
                raise ModelNotCapable(f"{model} is an adapter, which only writes text: ask {name}.", param="model")
            deployment = self._deployment(name)
            try:
                return await deployment.lease(purpose, adapter)
            except ShuttingDown:
                # Taken out while somebody waited for it: what the name means now answers, or tells why not.
                if self._closed or self._deployments.get(name) is deployment:
                    raise

    def places(self, model: str) -> Places | None:
        model, _ = self._versions.split(model)
        deployment = self._deployments.get(model)
        return self._versions.places(model, deployment.current.version if deployment is not None else None)

    def served(self, model: str) -> Served:
        model, _ = self._versions.split(model)
        deployment = self._deployments.get(model)
        version = deployment.current.version if deployment is not None else self._versions.current(model)
        return Served(
            name=model,
            version=version.label,
            engine=version.engine.name,
            infers=Purpose.INFER in version.engine.purposes,
            is_ready=deployment is not None and deployment.is_ready,
        )

    # ------------------------------------------------------------------------------------------------ for operators

    async def load(self, model: str, report: Report) -> None:
        name, adapter = self._versions.split(model)
        report(Progress(status=f"loading {model}"))
        deployment = self._deployment(name)
        purpose = deployment.current.version.first if adapter is None else Purpose.GENERATE
        await deployment.load(self.lease(model, purpose=purpose))
        report(Progress(status=f"{model} is ready"))

    async def unload(self, model: str) -> None:
        self._versions.must_be_whole(model)
        if (deployment := self._deployments.get(model)) is None:
            self._versions.current(model)
        elif self._versions.is_there(model):
            await deployment.unload(DRAIN_S)
        else:
            await self._taken_out(model)()

    async def swap(self, model: str, version: str | None, report: Report) -> None:
        self._versions.must_be_whole(model)
        deployment = self._deployment(model)
        previous = deployment.previous
        wanted = self._versions.labelled(model, version if version is not None else deployment.current.version.label)
        if version is None:
            await self._change(deployment, self._release(wanted, deployment.keep), report, self._check(model))
        elif deployment.is_well and deployment.follows(wanted):
            # Said twice: the version to go back to is still the one before.
            deployment.chosen = version
            await self.load(model, report)
        else:
            if previous is not None and previous.version.is_but_for_adapters(wanted):
                release = self._fit(previous, deployment)
            else:
                release = self._release(wanted, deployment.keep)
            with deployment.choosing(version):
                await self._change(deployment, release, report, self._check(model))

    async def rollback(self, model: str, report: Report) -> None:
        self._versions.must_be_whole(model)
        deployment = self._deployment(model)
        if (previous := deployment.previous) is None:
            raise NotFound(f"{model} has had no other version since the start.")
        with deployment.choosing(previous.version.label):
            await self._change(deployment, self._fit(previous, deployment), report, None)

    @property
    def declared(self) -> Mapping[str, Declared]:
        return self._versions.declared

    async def keep_hours(self) -> None:
        """Load models when their hours begin, and let them leave when they are over. Runs until cancelled."""
        while True:
            self._look_at_the_clock()
            await self._sleep(HOURS_EVERY_S)

    def declare(self, models: Mapping[str, Declared]) -> None:
        """Serve models as a new configuration says. Those it says nothing new of go on as they are; one that changed
        is replaced as by a swap, in the background, or, where it does not run and nobody has to be asked whether it
        may take over, is another from the next request on. Adapters come and go in the process there is, where it can.
        """
        before, self._versions.declared = self._versions.declared, dict(models)
        self._due &= models.keys()
        for name in before.keys() | models.keys():
            if before.get(name) != models.get(name) and name in self._deployments:
                self._declare_anew(name, before.get(name))
        for name, declared in models.items():
            if declared.prewarm and before.get(name) != declared:
                self._soon(partial(self.load, name, ignore))
        self._machine.stir()

    # ------------------------------------------------------------------------------------------------ what there is

    def models(self) -> tuple[ModelInfo, ...]:
        """Each as the version of it that answers now, where the configuration is not about to change that."""
        here = self._deployments.items()
        labels = {name: one.current.version.label for name, one in here if not one.is_to_change}
        ready = {ready: one.left_s for name, one in here for ready in one.ready_names(name)}
        infos = self._versions.models(labels)
        return tuple(replace(one, loaded=one.name in ready, leaves_s=ready.get(one.name)) for one in infos)

    def states(self) -> tuple[ModelState, ...]:
        """Every process there is or was, by model."""
        every = (*(one for _, one in sorted(self._deployments.items())), *self._leaving)
        return tuple(
            shown(
                process,
                answers=self._answers(process.spec),
                adapters=deployment.adapters_of(process),
                priority=deployment.keep.priority,
                memory=self._machine.held(process.spec),
                load=self.hearing.of(process),
            )
            for deployment in every
            for process in deployment.processes
        )

    def devices(self) -> tuple[DeviceState, ...]:
        return self._machine.states()

    def state(self) -> tuple[HealthStatus, str | None]:
        if (missing := self._versions.missing()) is not None:
            return HealthStatus.UNHEALTHY, missing
        current = [one for deployment in self._deployments.values() for one in deployment.current.supervisors.values()]
        for supervisor in current:
            if supervisor.crash is not None:
                return HealthStatus.UNHEALTHY, f"the engine of {supervisor.spec.model} {supervisor.crash.told}"
        if any(supervisor.state in {State.STARTING, State.WARMING} for supervisor in current):
            return HealthStatus.LOADING, None
        if not self._versions.models():
            return HealthStatus.UNHEALTHY, "there is no model on this machine: farmgate pull starter"
        return HealthStatus.HEALTHY, None

    def supervisors(self) -> tuple[Supervisor, ...]:
        """One for each version and purpose that was ever asked for: what runs, who uses it, since when not."""
        every = (*self._deployments.values(), *self._leaving)
        return tuple(one for deployment in every for one in deployment.processes)

    async def close(self) -> None:
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(deployment.close() for deployment in (*self._deployments.values(), *self._leaving)))
        self._machine.close()

    # ---------------------------------------------------------------------------------------------------- the inside

    def _deployment(self, model: str) -> Deployment:
        if self._closed:
            raise ShuttingDown
        if (found := self._deployments.get(model)) is None:
            keep, kept_s = self._keep(model), self._versions.entry(model).kept_s
            release = self._release(self._versions.current(model), keep)
            found = self._deployments[model] = Deployment(release, keep=keep, kept_s=kept_s, drain_s=DRAIN_S)
        return found

    def _fit(self, release: Release, deployment: Deployment) -> Release:
        """A release that comes back; anew where it has other adapters, or rests after a crash: who wants it now does
        not wait for that."""
        version = replace(release.version, adapters=self._versions.adapters(release.version.name))
        return self._release(version, deployment.keep) if release.failed or version != release.version else release

    def _release(self, version: Version, keep: Keep) -> Release:
        adaptation = None
        if isinstance(version.engine, TakesAdapters) and version.engine.taking is not None:
            adaptation = Adaptation(
                version.engine.taking,
                model=version.name,
                path=version.path,
                adapters=version.adapters,
                clock=self._clock,
            )
        return Release(version, partial(self._new_supervisor, adaptation), keep, adaptation=adaptation)

    def _new_supervisor(
        self, adaptation: Adaptation | None, version: Version, purpose: Purpose, keep: Keep
    ) -> Supervisor:
        engine, warm, sleeper = version.engine, self._warm, version.sleeper
        if adaptation is not None and purpose is Purpose.GENERATE:
            engine, warm, sleeper = adaptation.engine(engine), adaptation.warm(warm), adaptation.sleeper(sleeper)
        return Supervisor(
            version.spec(purpose),
            engine,
            log_file=(self._log_directory / version.log_name(purpose)).absolute(),
            environment=self._environment,
            settings=self._settings,
            clock=self._clock,
            sleep=self._sleep,
            keep=keep,
            room=partial(self._machine.room, engine=version.engine),
            warm=warm,
            sleeper=sleeper,
        )

    async def _change(self, deployment: Deployment, to: Release, report: Report, check: Check | None) -> None:
        try:
            await deployment.swap(to, report, check=check)
        except ShuttingDown:
            if self._closed:
                raise
            raise ModelNotFound(f"{to.version.name} was taken out of the configuration meanwhile.") from None

    def _keep(self, model: str) -> Keep:
        """How long it stays, now: in its hours as long as they last."""
        keep = self._versions.entry(model).keep
        return replace(keep, pinned=keep.pinned or model in self._due)

    def _declare_anew(self, name: str, before: Declared | None) -> None:
        deployment, now = self._deployments[name], self._versions.declared.get(name)
        if before is None or now is None or before.version != now.version:
            deployment.chosen = None
        try:
            version = self._wanted(deployment)
        except FarmError:
            # Its files are gone, or nobody declares it any more: what it has begun, it ends.
            self._soon(self._taken_out(name))
            return
        deployment.kept_s = self._versions.entry(name).kept_s
        deployment.set_keep(self._keep(name))
        if deployment.follows(version) and not deployment.is_changing:
            return
        if deployment.is_at_rest and self._check(name) is None:
            deployment.become(self._release(version, deployment.keep))
        else:
            deployment.expect()
            self._soon(partial(self._follow, deployment))

    def _wanted(self, deployment: Deployment) -> Version:
        """The version that a model is to have now. Raises FarmError."""
        name = deployment.current.version.name
        version = self._versions.current(name)
        if deployment.chosen is not None:
            # In its new size, as long as there is one.
            with suppress(FarmError):
                return self._versions.labelled(name, deployment.chosen)
        return version

    async def _follow(self, deployment: Deployment) -> None:
        """Bring a model to what is said of it by then, when no other change is under way."""
        name = deployment.current.version.name
        try:
            await deployment.settled()
            if self._deployments.get(name) is deployment:
                version = self._wanted(deployment)
                if not deployment.follows(version):
                    await self._change(deployment, self._release(version, deployment.keep), ignore, self._check(name))
        finally:
            deployment.over()

    def _taken_out(self, name: str) -> Callable[[], Awaitable[None]]:
        """Nobody is sent to it any more; what is given waits for those who are at it."""
        self._leaving.add(deployment := self._deployments.pop(name))
        return partial(self._leave, deployment)

    async def _leave(self, deployment: Deployment) -> None:
        await deployment.leave()
        self._leaving.discard(deployment)

    def _look_at_the_clock(self) -> None:
        now = self._wall()
        for name, declared in self._versions.declared.items():
            is_due = any(hours.hold(now) for hours in declared.hours)
            if is_due and name not in self._due:
                self._due.add(name)
                self._soon(partial(self.load, name, ignore))
            elif not is_due and name in self._due:
                self._due.discard(name)
                if not declared.keep.pinned and name in self._deployments:
                    self._soon(partial(self._deployments[name].unload, DRAIN_S, rest=True))
            if (deployment := self._deployments.get(name)) is not None:
                deployment.set_keep(self._keep(name))

    def _soon(self, work: Callable[[], Awaitable[None]]) -> None:
        """In the background; what goes wrong is logged."""

        async def run() -> None:
            try:
                await work()
            except FarmError as error:
                log.warning("model_not_changed", code=error.code, reason=error.message)

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _check(self, model: str) -> Check | None:
        question = self._versions.entry(model).question
        return None if question is None else partial(check_answer, model=model, question=question)

    def _answers(self, spec: Spec) -> bool:
        deployment = self._deployments.get(spec.model)
        return deployment is not None and any(one.spec is spec for one in deployment.current.supervisors.values())


def ignore(_: Progress) -> None:
    """Nobody watches."""
