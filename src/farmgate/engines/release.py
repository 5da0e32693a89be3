"""One version of a model: what it is made of, and its processes, one for each purpose."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from farmgate.core.errors import ModelNotCapable
from farmgate.core.model import Capability
from farmgate.core.ports import Lease, Purpose
from farmgate.engines.adapters import Adapter
from farmgate.engines.adapting import Adaptation
from farmgate.engines.engine import Batch, Dtype, Engine, Quantize, Spec
from farmgate.engines.states import State
from farmgate.engines.supervisor import Supervisor
from farmgate.engines.surroundings import Keep, Sleeper, Sleeps

__all__ = ["MakeSupervisor", "Release", "Version"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What one version is made of and how large its processes are. Equal ones need no new process.

    `label` tells it from other versions of the same name. `device`: auto, cpu, gpu, or one device by its name.
    `attribute`: what in the file at `path` is the model, where the file is code. `lacks`: what its files say that it
    cannot.
    """

    name: str
    label: str
    path: Path
    engine: Engine
    context_tokens: int
    parallel: int
    threads: int
    device: str = "auto"
    adapters: tuple[Adapter, ...] = ()
    arguments: tuple[str, ...] = ()
    memory_bytes: int | None = None
    attribute: str = ""
    batch: Batch = field(default_factory=Batch)
    lacks: frozenset[Capability] = frozenset()
    dtype: Dtype = "auto"
    quantize: Quantize = "none"
    sleeps: bool = False

    @property
    def sleeper(self) -> Sleeper | None:
        """How its processes sleep, where they are to and can."""
        return self.engine.sleeper if self.sleeps and isinstance(self.engine, Sleeps) else None

    @property
    def first(self) -> Purpose:
        """What a process is started for when nobody has asked yet: to write, or else what it can."""
        if Capability.CHAT not in self.lacks:
            return Purpose.GENERATE
        return Purpose.RERANK if Capability.EMBEDDING in self.lacks else Purpose.EMBED

    def purpose(self, wanted: Purpose) -> Purpose:
        """What the process is started for that does what is wanted. Raises ModelNotCapable where none does."""
        purposes = self.engine.purposes
        if wanted in purposes:
            return wanted
        if Purpose.INFER in purposes:
            return Purpose.INFER
        what = "takes no tensors" if wanted is Purpose.INFER else "does not rank documents"
        raise ModelNotCapable(f"{self.name} {what}: {self.engine.name} cannot.", param="model")

    def is_but_for_adapters(self, other: Version) -> bool:
        """Whether it is the same, whatever adapters either has."""
        return replace(self, adapters=other.adapters) == other

    def spec(self, purpose: Purpose) -> Spec:
        return Spec(
            model=self.name,
            version=self.label,
            path=self.path,
            purpose=purpose,
            context_tokens=self.context_tokens,
            parallel=self.parallel,
            threads=self.threads,
            device=self.device,
            # Vectors and ranks are the model's own.
            adapters=self.adapters if purpose is Purpose.GENERATE else (),
            arguments=self.arguments,
            memory_bytes=self.memory_bytes,
            attribute=self.attribute,
            batch=self.batch,
            dtype=self.dtype,
            quantize=self.quantize,
            sleeps=self.sleeps,
        )

    def log_name(self, purpose: Purpose) -> str:
        """What the log of its process for that is called: a name may hold what no file's may, and two stay two."""
        told = self.name if self.label == self.name else f"{self.name}@{self.label}"
        plain = re.sub(r"[^A-Za-z0-9._@-]", "-", told)[:80]
        suffix = "" if plain == told else f"-{zlib.crc32(told.encode()):08x}"
        return f"engine-{plain}{suffix}-{purpose}.log"


MakeSupervisor: TypeAlias = Callable[[Version, Purpose, Keep], Supervisor]


class Release:
    """A version with its processes, made when first asked for. `adaptation`: where its engine takes adapters."""

    def __init__(
        self, version: Version, make: MakeSupervisor, keep: Keep, *, adaptation: Adaptation | None = None
    ) -> None:
        self.version = version
        self.adaptation = adaptation
        self._make = make
        self._keep = keep
        self._lends = True
        self._supervisors: dict[Purpose, Supervisor] = {}

    @property
    def supervisors(self) -> Mapping[Purpose, Supervisor]:
        return self._supervisors

    @property
    def failed(self) -> bool:
        """Whether a process of it rests after a crash."""
        return any(one.state is State.FAILED for one in self._supervisors.values())

    @property
    def keep(self) -> Keep:
        return self._keep

    @keep.setter
    def keep(self, keep: Keep) -> None:
        self._keep = keep
        for supervisor in self._supervisors.values():
            supervisor.keep = keep

    def has(self, adapter: str) -> bool:
        """Whether it is to have an adapter of that name."""
        return self.adaptation is not None and self.adaptation.wants(adapter)

    def adapt(self, adapters: tuple[Adapter, ...]) -> bool:
        """Have these adapters from now on. False, and nothing is done, where that takes another process."""
        if self.adaptation is None:
            return False
        process = self._supervisors.get(Purpose.GENERATE)
        is_running = process is not None and process.state not in {State.ON_DISK, State.FAILED}
        if is_running and not self.adaptation.can_become(adapters):
            return False
        self.version = replace(self.version, adapters=adapters)
        self.adaptation.want(adapters, is_running=is_running)
        return True

    async def lease(self, purpose: Purpose, adapter: str | None) -> Lease:
        """Raises ModelNotCapable, EngineUnavailable, ModelTooLarge, ShuttingDown."""
        lease = await self.supervisor(purpose).lease()
        if self.adaptation is None or purpose is not Purpose.GENERATE:
            return lease
        return await self.adaptation.take(lease, adapter)

    def forgive(self) -> None:
        """Forget the crashes of its processes."""
        for supervisor in self._supervisors.values():
            supervisor.forgive()

    def lend(self, lends: bool) -> None:
        """Whether callers are let in; where not, whoever waits to be gets ShuttingDown."""
        self._lends = lends
        for supervisor in self._supervisors.values():
            supervisor.lend(lends)

    def supervisor(self, purpose: Purpose) -> Supervisor:
        """The process that does what is wanted. Raises ModelNotCapable."""
        purpose = self.version.purpose(purpose)
        found = self._supervisors.get(purpose)
        if found is None:
            found = self._supervisors[purpose] = self._make(self.version, purpose, self._keep)
            found.lend(self._lends)
        return found

    async def leave(self, within_s: float, *, rest: bool = False) -> None:
        """End the processes once those who are at them are done, at the latest after that time; `rest`: have those
        sleep that can."""
        await asyncio.gather(*(supervisor.leave(within_s, rest=rest) for supervisor in self._supervisors.values()))

    async def close(self) -> None:
        """End the processes now; nothing is lent any more, and none is started for another purpose."""
        self.lend(False)
        await asyncio.gather(*(supervisor.close() for supervisor in self._supervisors.values()))
        if self.adaptation is not None:
            await self.adaptation.close()
