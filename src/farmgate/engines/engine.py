"""An engine is a program that serves one model file over HTTP on this machine.

Another engine is another module like llamacpp.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from farmgate.core.ports import Purpose

__all__ = ["PASSED_ON", "Engine", "Launch", "Spec", "minimal_environment"]

# What a program needs to find libraries and devices. No credential ever is among them.
PASSED_ON = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT"),
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
    *("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One process: which model, for what, how large. `context_tokens` is per slot; `parallel` counts the slots.

    `device`: auto, cpu, gpu, or one device by its name. What a process sees of them is decided before it starts.
    `adapters`: folders of LoRA adapters, for an engine that knows them; llama.cpp has no use for one.
    """

    model: str
    path: Path
    purpose: Purpose
    context_tokens: int
    parallel: int
    threads: int
    version: str = ""
    device: str = "auto"
    adapters: tuple[Path, ...] = ()

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

    def missing(self) -> str | None:
        """What to do to have this engine; None when it is installed."""

    def launch(self, spec: Spec, *, key: str, environment: Mapping[str, str]) -> Launch: ...

    def address(self, line: bytes) -> str | None:
        """The base URL, if this line of its standard output says that it is ready; None for any other line."""

    def complaint(self, log: str) -> str | None:
        """Why it could not start and what to do, where the end of its log says so in words it is known for."""


def minimal_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of the gate's own environment an engine may see."""
    return {name: environment[name] for name in PASSED_ON if name in environment}
