"""Engines lends addresses: one process for each model and purpose, started when first asked for."""

from __future__ import annotations

import asyncio
import os
import re
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from farmgate.core.errors import EngineUnavailable, ModelNotFound, ShuttingDown
from farmgate.core.model import Capability, HealthStatus, ModelInfo
from farmgate.core.ports import Clock, Progress, Purpose, Report
from farmgate.engines.engine import Engine, Spec, minimal_environment
from farmgate.engines.leases import EngineLease
from farmgate.engines.llamacpp import LlamaCpp
from farmgate.engines.supervisor import Settings, State, Supervisor
from farmgate.engines.timing import Sleep

__all__ = ["Engines", "Files", "Options", "default_threads"]

TEXT_ONLY = frozenset({Capability.VISION, Capability.AUDIO})
"""What no engine of ours is given the weights for."""


def default_threads() -> int:
    """All processors of a small machine; half of a larger one's, which are usually two to a core. At most 16."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2
    return max(1, min(16, usable if usable <= 4 else usable // 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How large an engine is. Each of `parallel` requests has `context_tokens`, or the model's own limit if lower."""

    threads: int = field(default_factory=default_threads)
    context_tokens: int = 2048
    parallel: int = 4


class Files(Protocol):
    """What is needed of a model store: names only, never a path that a caller made up."""

    def models(self) -> tuple[ModelInfo, ...]: ...

    def known(self, model: str) -> Path | None: ...

    def context_tokens(self, model: str) -> int | None: ...


class Engines:
    """The Lender of this machine. `environment` is the gate's own; engines see the harmless part of it."""

    def __init__(
        self,
        weights: Files,
        *,
        log_directory: Path,
        engine: Engine | None = None,
        options: Options | None = None,
        settings: Settings | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._weights = weights
        self._log_directory = log_directory
        self._engine = engine if engine is not None else LlamaCpp()
        self._options = options if options is not None else Options()
        self._settings = settings if settings is not None else Settings()
        self._environment = minimal_environment(environment)
        self._clock = clock
        self._sleep = sleep
        self._supervisors: dict[tuple[str, Purpose], Supervisor] = {}
        self._closed = False

    async def lease(self, model: str, *, purpose: Purpose = Purpose.GENERATE) -> EngineLease:
        return await self._supervisor(model, purpose).lease()

    async def load(self, model: str, report: Report) -> None:
        supervisor = self._supervisor(model, Purpose.GENERATE)
        report(Progress(status=f"loading {model}"))
        (await supervisor.lease()).release()
        report(Progress(status=f"{model} is ready"))

    def models(self) -> tuple[ModelInfo, ...]:
        ready = {model for (model, _), supervisor in self._supervisors.items() if supervisor.state is State.READY}
        return tuple(
            replace(
                info,
                loaded=info.name in ready,
                context_tokens=self._context_tokens(info.context_tokens),
                lacks=TEXT_ONLY,
            )
            for info in self._weights.models()
        )

    def _context_tokens(self, trained: int | None) -> int:
        """What one request has of it: an engine is not made larger than its options say."""
        return min(self._options.context_tokens, trained or self._options.context_tokens)

    def state(self) -> tuple[HealthStatus, str | None]:
        if (missing := self._engine.missing()) is not None:
            return HealthStatus.UNHEALTHY, missing
        for supervisor in self._supervisors.values():
            if supervisor.failure is not None:
                return HealthStatus.UNHEALTHY, f"the engine of {supervisor.spec.model} {supervisor.failure}"
        if any(supervisor.state is State.STARTING for supervisor in self._supervisors.values()):
            return HealthStatus.LOADING, None
        if not self._weights.models():
            return HealthStatus.UNHEALTHY, "there is no model on this machine: farmgate pull starter"
        return HealthStatus.HEALTHY, None

    async def close(self) -> None:
        self._closed = True
        stopping = [asyncio.ensure_future(supervisor.close()) for supervisor in self._supervisors.values()]
        if stopping:
            await asyncio.wait(stopping)

    def supervisors(self) -> tuple[Supervisor, ...]:
        """One for each model and purpose that was ever asked for: what runs, who uses it, since when not."""
        return tuple(self._supervisors.values())

    def _supervisor(self, model: str, purpose: Purpose) -> Supervisor:
        if self._closed:
            raise ShuttingDown
        path = self._weights.known(model)
        if path is None:
            raise ModelNotFound(f"there is no model {model!r} on this machine: farmgate pull starter gets a small one")
        found = self._supervisors.get((model, purpose))
        if found is None:
            if (missing := self._engine.missing()) is not None:
                raise EngineUnavailable(missing)
            found = self._supervisors[model, purpose] = self._new_supervisor(model, path, purpose)
        return found

    def _new_supervisor(self, model: str, path: Path, purpose: Purpose) -> Supervisor:
        spec = Spec(
            model=model,
            path=path.absolute(),
            purpose=purpose,
            context_tokens=self._context_tokens(self._weights.context_tokens(model)),
            parallel=self._options.parallel,
            threads=self._options.threads,
        )
        return Supervisor(
            spec,
            self._engine,
            log_file=(self._log_directory / _log_name(model, purpose)).absolute(),
            environment=self._environment,
            settings=self._settings,
            clock=self._clock,
            sleep=self._sleep,
        )


def _log_name(model: str, purpose: Purpose) -> str:
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", model)[:80]
    suffix = "" if plain == model else f"-{zlib.crc32(model.encode()):08x}"
    return f"engine-{plain}{suffix}-{purpose}.log"
