"""Transformers runs as a child of this interpreter, `python -m farmgate.engines.hf`, and serves one folder of weights.

The gate imports only `Transformers`; torch and transformers are loaded in the child alone.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from farmgate.core.ports import Purpose
from farmgate.engines.adapters import PLAIN, Adapter, Order, check_folder
from farmgate.engines.engine import CONTEXT_BYTES, TEXT, Launch, Spec
from farmgate.engines.launching import command, read_address, read_why

__all__ = ["MODULE", "Transformers"]

MODULE = "farmgate.engines.hf"
NEEDED = ("torch", "transformers", "safetensors")


# It reads a folder and asks nobody. Tokenizers fork no threads of their own: one thread is all that uses them. And a
# thread that has nothing to do sleeps: by default it spins, and two engines on two cores then write a seventh each.
SURROUNDINGS = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_WAIT_POLICY": "PASSIVE",
    "PYTHONUNBUFFERED": "1",
}


SPLITS = tuple(range(1, 9))


@dataclass(frozen=True, slots=True)
class PeftAdapters:
    """Ours takes adapters while it runs, and by that way alone: one that it cannot load does not keep it from coming
    up."""

    is_told_at_start: bool = False

    def check(self, adapter: Adapter, model: Path) -> None:
        check_folder(adapter.path)

    def can_become(self, given: Sequence[Adapter], wanted: Sequence[Adapter]) -> bool:
        return True

    def add(self, model: str, adapter: Adapter) -> Order:
        return Order(method="POST", path="/adapters", body={"name": adapter.name, "path": str(adapter.path)})

    def remove(self, model: str, adapter: Adapter) -> Order:
        return Order(method="DELETE", path=f"/adapters/{adapter.name}", body={})

    def fields(self, given: Sequence[Adapter], name: str | None) -> Mapping[str, object]:
        """It is called there what callers call it."""
        return PLAIN


@dataclass(frozen=True, slots=True)
class Transformers:
    """Any checkpoint that the transformers library knows, from a local folder of safetensors."""

    name: str = "transformers"
    runs_on: frozenset[str] = frozenset({"cpu", "gpu"})
    gpu_bytes: int = CONTEXT_BYTES
    purposes: frozenset[Purpose] = TEXT
    taking: PeftAdapters = PeftAdapters()

    def missing(self) -> str | None:
        if all(importlib.util.find_spec(package) is not None for package in NEEDED):
            return None
        return "the transformers engine is not installed: pip install 'farmgate[transformers]'"

    def runs_here(self, environment: Mapping[str, str]) -> frozenset[str]:
        return self.runs_on

    def gpu_counts(self, spec: Spec) -> tuple[int, ...]:
        """Its layers are dealt out, whatever their number."""
        return SPLITS

    def launch(self, spec: Spec, *, key: str, environment: Mapping[str, str]) -> Launch:
        # Of the GPUs it sees only those it has room on: whichever was meant is the first.
        seen = replace(spec, device="cuda") if spec.device.startswith("gpu") else spec
        told = command(MODULE, seen, "--dtype", spec.dtype, "--quantize", spec.quantize)
        return Launch(command=told, key=key, environment={**environment, **SURROUNDINGS})

    def address(self, line: bytes) -> str | None:
        return read_address(line)

    def complaint(self, log: str) -> str | None:
        why = read_why(log)
        return None if why is None else f"transformers could not load the model: {why}"
