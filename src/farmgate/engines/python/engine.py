"""A class in a Python file runs as a child of this interpreter, `python -m farmgate.engines.python`.

The gate imports only `Python`; the operator's file is loaded in the child alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from farmgate.core.ports import Purpose
from farmgate.engines.engine import CONTEXT_BYTES, Launch, Spec
from farmgate.engines.launching import command, read_address, read_why

__all__ = ["MODULE", "Python"]

MODULE = "farmgate.engines.python"


@dataclass(frozen=True, slots=True)
class Python:
    """Any class with some of `load`, `predict`, `stream`, `chat` and `embed`. Only the configuration names one."""

    name: str = "python"
    runs_on: frozenset[str] = frozenset({"cpu", "gpu"})
    gpu_bytes: int = CONTEXT_BYTES
    purposes: frozenset[Purpose] = frozenset({Purpose.INFER})

    def missing(self) -> str | None:
        return None

    def runs_here(self, environment: Mapping[str, str]) -> frozenset[str]:
        return self.runs_on

    def gpu_counts(self, spec: Spec) -> tuple[int, ...]:
        return (1,)

    def launch(self, spec: Spec, *, key: str, environment: Mapping[str, str]) -> Launch:
        # What it prints is in its log at once; the libraries that it may use take so many threads and no more.
        own = {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": str(spec.threads)}
        return Launch(command=command(MODULE, spec), key=key, environment={**environment, **own})

    def address(self, line: bytes) -> str | None:
        return read_address(line)

    def complaint(self, log: str) -> str | None:
        why = read_why(log)
        return None if why is None else f"the class could not be used: {why}"
