"""Opens gates and serves them: what the command line asks for."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, assert_never

from farmgate.admin.prices import Beside
from farmgate.app.declaring import absent_models, declared_models
from farmgate.app.entries import check_entries, find_entries
from farmgate.app.gate import Gate, Shared
from farmgate.app.known import known_beside
from farmgate.app.pressure import Watch
from farmgate.app.reloading import Reloading
from farmgate.app.running import Running
from farmgate.app.tending import Tending
from farmgate.config import Config, ConfigError
from farmgate.config.process import variables
from farmgate.config.reloads import Reload, Source
from farmgate.core.errors import FarmError
from farmgate.core.ports import Journal, Lender, Report
from farmgate.core.usage import Call
from farmgate.engines.lifecycle import Engines
from farmgate.engines.pulling.hub import HUB_URL, Hub
from farmgate.engines.pulling.weights import ModelStore
from farmgate.flow.health import Ward
from farmgate.stores.journal import FileJournal, MemoryJournal, read_calls
from farmgate.stores.responses import DiskResponses, MemoryResponses, NoResponses
from farmgate.surfaces.cli.house import Finding, OpenGate
from farmgate.surfaces.http.server import Server, ServerSettings, listen
from farmgate.telemetry import Telemetry, configure_logging, log, log_like_a_command
from farmgate.work.jobs import Jobs

if TYPE_CHECKING:
    # What is behind it (pydantic's models) is imported for the first request that needs it.
    from farmgate.surfaces.http.admin import Administration

__all__ = ["House", "warm_up"]

DAY_S = 86_400.0
TEND_EVERY_S = 3600.0
KeptResponses: TypeAlias = DiskResponses | MemoryResponses | NoResponses


class House:
    """Fills the command line's House."""

    def __init__(self) -> None:
        self._stores: dict[Path, ModelStore] = {}
        self._started: list[Callable[[], object]] = []

    # ----------------------------------------------------------------------------------- what is on this machine

    def has_engine(self) -> bool:
        return find_spec("xllamacpp") is not None

    def weights(self, config: Config) -> ModelStore:
        directory = config.home / "models"
        found = self._stores.get(directory)
        if found is None:
            found = self._stores[directory] = ModelStore(directory, hub=hub_of(config))
        return found

    def register(self, config: Config, path: Path) -> str:
        return self.weights(config).register(path)

    def check(self, config: Config) -> tuple[str, ...]:
        return (*check_entries(config), *absent_models(declared_models(config), self.weights(config).source))

    def calls(self, config: Config) -> Iterator[Call]:
        return read_calls(config.home / "journal")

    def prices(self, config: Config) -> Beside:
        return known_beside(config)

    def listen(self, host: str, port: int) -> socket.socket:
        return listen(host, port)

    async def prepare(self, config: Config, report: Callable[[str], Report]) -> tuple[Finding, ...]:
        from farmgate.app.prepare import prepare

        return await prepare(config, self.weights(config), report, self._started)

    # ----------------------------------------------------------------------------------- gates

    @contextlib.asynccontextmanager
    async def open(self, config: Config) -> AsyncIterator[OpenGate]:
        log_like_a_command()
        async with self._shared(config, is_draining=lambda: False) as shared:
            gate = await self._build(config, shared)
            try:
                yield gate
            finally:
                await gate.stop()

    async def serve(
        self,
        config: Config,
        sock: socket.socket,
        *,
        ready: Callable[[OpenGate, Callable[[], None]], None],
        reload: Source | None = None,
        reloaded: Callable[[Reload, OpenGate], None] | None = None,
    ) -> None:
        log_as(config)
        draining = asyncio.Event()
        administration: Callable[[], Administration | None] = lambda: reloading  # noqa: E731 - made further down
        async with self._shared(config, is_draining=draining.is_set, administration=administration) as shared:
            # Before there is a task group: what is wrong with the configuration is told as it is, not in a group.
            gate = await self._build(config, shared)
            gate.catalog.learn_soon()

            async def build(fresh: Config) -> Gate:
                try:
                    made = await self._build(fresh, shared)
                finally:
                    # Every gate counts its own when it is made, one that comes to nothing too.
                    shared.telemetry.count_in_flight = lambda: running.in_flight
                    shared.telemetry.count_waiting = lambda: running.waiting
                made.catalog.learn_soon()
                return made

            def told(reload: Reload, gate: Gate) -> None:
                log_as(reload.config)
                if reloaded is not None:
                    reloaded(reload, gate)

            running = Running(gate)
            reloading = Reloading(running, build, reload, shared.telemetry)
            async with asyncio.TaskGroup() as tasks:

                def drain_began() -> None:
                    draining.set()
                    # Whoever watches a job would hold the drain until the job ends.
                    tasks.create_task(shared.jobs.close())

                server = Server(running, server_settings(config), drain_began=drain_began)
                helpers = [
                    tasks.create_task(warm_up(gate.default, shared.engines)),
                    tasks.create_task(reloading.run(told)),
                ]
                helpers.append(tasks.create_task(Tending(lambda: running.gate).run()))
                helpers.append(tasks.create_task(Watch(shared.pressure).run()))
                shared.telemetry.is_shedding = lambda: shared.pressure.lacks is not None
                try:
                    await server.serve(sock, lambda: ready(gate, server.stop))
                finally:
                    for helper in helpers:
                        helper.cancel()
                    await running.stop()
                    await self._stop_what_was_started()

    async def _build(self, config: Config, shared: Shared) -> Gate:
        check_entries(config)
        has_models = bool(shared.weights.models() or config.models)
        # Some engines of the models that are declared need nothing; each tells by itself what it lacks.
        has_engine = self.has_engine() or bool(config.models)
        entries = await find_entries(config, has_models=has_models, has_engine=has_engine)
        take_back = shared.declare(config)
        try:
            return await started(Gate(config, entries, shared))
        except BaseException:
            take_back()
            raise

    @contextlib.asynccontextmanager
    async def _shared(
        self,
        config: Config,
        *,
        is_draining: Callable[[], bool],
        administration: Callable[[], Administration | None] = lambda: None,
    ) -> AsyncIterator[Shared]:
        telemetry = Telemetry()
        weights = self.weights(config)
        engines = Engines(weights, log_directory=config.home / "log", environment=variables())
        jobs = Jobs(time.time)
        journal = open_journal(config, telemetry)
        responses = open_responses(config, telemetry)
        tending = [asyncio.create_task(work) for work in (tend(responses), engines.keep_hours(), engines.hearing.run())]
        try:
            yield Shared(
                telemetry=telemetry,
                journal=journal,
                responses=responses,
                jobs=jobs,
                engines=engines,
                ward=Ward(),
                weights=weights,
                fetch=weights.fetch,
                is_draining=is_draining,
                administration=administration,
                declare=partial(declare, engines, weights),
            )
        finally:
            for task in tending:
                task.cancel()
            await jobs.close()
            await responses.close()
            await engines.close()
            if isinstance(journal, FileJournal):
                journal.close()

    async def _stop_what_was_started(self) -> None:
        while self._started:
            stop = self._started.pop()
            result = stop()
            if asyncio.iscoroutine(result):
                await result


async def started(gate: Gate) -> Gate:
    """The gate, once it knows what its providers have; stopped where that fails."""
    try:
        await gate.start()
    except BaseException:
        await gate.stop()
        raise
    return gate


def hub_of(config: Config) -> Hub:
    """The hub that models are pulled from, by the variables its other clients go by. Raises ConfigError."""
    token = config.variable("HF_TOKEN") or config.variable("HUGGING_FACE_HUB_TOKEN")
    try:
        return Hub(config.variable("HF_ENDPOINT") or HUB_URL, token=token)
    except ValueError as error:
        raise ConfigError(f"HF_ENDPOINT or HF_TOKEN cannot be used: {error}") from error


def declare(engines: Engines, weights: ModelStore, config: Config) -> Callable[[], None]:
    """Gives what takes it back. Models whose files are not there are told: the others are served."""
    before, now = engines.declared, declared_models(config)
    for reason in absent_models(now, weights.source):
        log.warning("model_left_out", reason=reason)
    engines.declare(now)
    return lambda: engines.declare(before)


def log_as(config: Config) -> None:
    """Log what the configuration says, as it says."""
    configure_logging(level=config.log.level, as_json=config.log.format == "json")


def open_journal(config: Config, telemetry: Telemetry) -> Journal:
    """The journal in the data directory, or one in memory where it is switched off or cannot be written."""
    if not config.journal.enabled:
        return MemoryJournal(keep=0)
    try:
        return FileJournal(
            config.home / "journal",
            segment_bytes=config.journal.segment_bytes,
            keep_segments=config.journal.keep_segments,
            failed=telemetry.journal_failed,
        )
    except OSError as error:
        # Fail open: answers are worth more than their records; `doctor` and the metrics tell.
        telemetry.journal_failed(error)
        return MemoryJournal(keep=0)


def open_responses(config: Config, telemetry: Telemetry) -> KeptResponses:
    """Where responses are kept, as the configuration says."""
    wanted = config.responses
    keep_s = wanted.keep_days * DAY_S
    match wanted.store:
        case "off":
            return NoResponses()
        case "memory":
            return MemoryResponses(keep_s=keep_s, keep_bytes=wanted.keep_bytes, clock=time.time)
        case "disk":
            return DiskResponses(
                config.home / "responses",
                keep_s=keep_s,
                keep_bytes=wanted.keep_bytes,
                clock=time.time,
                failed=telemetry.response_lost,
            )
        case _:
            assert_never(wanted.store)


async def tend(responses: KeptResponses) -> None:
    """Delete responses that are too old, also while nobody asks. Runs until cancelled."""
    while True:
        await responses.tend()
        await asyncio.sleep(TEND_EVERY_S)


def server_settings(config: Config) -> ServerSettings:
    limits, drain = config.server.limits, config.server.drain
    return ServerSettings(
        header_bytes=limits.header_bytes,
        header_timeout_s=limits.header_timeout_s,
        client_stall_s=limits.client_stall_s,
        pre_stop_s=drain.pre_stop_s,
        drain_s=drain.timeout_s,
    )


async def warm_up(default: tuple[str, str | None] | None, lender: Lender) -> None:
    """Load the model that answers by default, for what it can, so that the first caller need not wait for it."""
    if default is None or default[0] != "local" or default[1] is None:
        return
    try:
        await lender.load(default[1], lambda _: None)
    except FarmError as error:
        log.warning("warm_up_failed", model=default[1], code=error.code, reason=error.message)
