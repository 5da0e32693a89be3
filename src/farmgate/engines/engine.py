"""An engine is a program that serves one model file over HTTP on this machine.

Another engine is another module like llamacpp.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from farmgate.core.ports import Purpose
from farmgate.engines.adapters import Adapter

__all__ = [
    "CONTEXT_BYTES",
    "PASSED_ON",
    "TEXT",
    "Batch",
    "Dtype",
    "Engine",
    "Gpus",
    "Launch",
    "Quantize",
    "Spec",
    "minimal_environment",
]

TEXT: frozenset[Purpose] = frozenset({Purpose.GENERATE, Purpose.EMBED})
"""What engines of language models are started for."""

Dtype: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]
"""`auto`: as the checkpoint has it on a GPU, float32 on a processor."""
Quantize: TypeAlias = Literal["none", "4bit", "8bit"]
"""Weights made smaller while they are loaded; on a GPU, by bitsandbytes."""
CONTEXT_BYTES = 512 * 2**20
"""What a process has on each GPU it uses, before there is a model."""

# What a program needs to find libraries and devices. No credential ever is among them.
PASSED_ON = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT"),
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
    *("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What is computed at once: at most so many inputs, and none waits longer than `wait_ms` for others to come."""

    most: int = 32
    wait_ms: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpus:
    """What a process was given: on how many GPUs it is; none: the processor.

    From 0 to 1: `share`, how much of each is its own; `share_of_free`, how much of what is free on each before it
    starts it may take for the model itself. Of several that are not alike it is the most.
    """

    count: int = 0
    share: float = 0.0
    share_of_free: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One process: which model, for what, how large. `context_tokens` is per slot; `parallel` counts the slots.

    `attribute`: what in the file at `path` is the model, where the file is code.
    `device`: auto, cpu, gpu, or one device by its name. What a process sees of them is decided before it starts.
    `adapters`: those its command tells of. `arguments`: more for a server's command.
    `memory_bytes`: what it takes, where its owner knows better than its files tell.
    `dtype`, `quantize`: of the numbers, for transformers. `sleeps`: instead of leaving, for vllm
    and sglang.
    `gpus`: known once it has its room, when it is launched.
    """

    model: str
    path: Path
    purpose: Purpose
    context_tokens: int
    parallel: int
    threads: int
    version: str = ""
    device: str = "auto"
    adapters: tuple[Adapter, ...] = ()
    arguments: tuple[str, ...] = ()
    memory_bytes: int | None = None
    attribute: str = ""
    batch: Batch = field(default_factory=Batch)
    dtype: Dtype = "auto"
    quantize: Quantize = "none"
    sleeps: bool = False
    gpus: Gpus = field(default_factory=Gpus)

    @property
    def label(self) -> str:
        """Tells this process from every other of the machine."""
        return f"{self.model}@{self.version} ({self.purpose})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How to start a process. `key` goes in as the first line of its standard input, where no other process reads it.

    Standard input then stays open for as long as the parent lives: its end is the order to die.
    """

    command: tuple[str, ...]
    key: str
    environment: Mapping[str, str]


class Engine(Protocol):
    """Pure knowledge about one kind of engine; the supervisor does the rest."""

    @property
    def name(self) -> str: ...

    @property
    def runs_on(self) -> frozenset[str]:
        """Which kinds of devices: cpu, gpu."""

    @property
    def gpu_bytes(self) -> int:
        """What a process of it has on each GPU beside the model: context, graphs, what a step computes."""

    @property
    def purposes(self) -> frozenset[Purpose]:
        """What a process of it is started for. INFER alone: one process does all that its model can."""

    def missing(self) -> str | None:
        """What to do to have this engine; None when it is installed."""

    def runs_here(self, environment: Mapping[str, str]) -> frozenset[str]:
        """Of `runs_on`, what it can as it is installed. It may have to look, for seconds: not in the event loop."""

    def gpu_counts(self, spec: Spec) -> tuple[int, ...]:
        """On how many GPUs it can have this model, an equal share on each; the fewest first."""

    def launch(self, spec: Spec, *, key: str, environment: Mapping[str, str]) -> Launch: ...

    def address(self, line: bytes) -> str | None:
        """The base URL, if this line of its standard output says that it is ready; None for any other line."""

    def complaint(self, log: str) -> str | None:
        """Why it could not start and what to do, where the end of its log says so in words it is known for."""


def minimal_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of the gate's own environment an engine may see."""
    return {name: environment[name] for name in PASSED_ON if name in environment}
