"""ONNX Runtime runs as a child of this interpreter, `python -m farmgate.engines.onnx`, and serves one graph.

The gate imports only `Onnx`; onnxruntime is loaded in the child alone.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass

from farmgate.core.ports import Purpose
from farmgate.engines.engine import CONTEXT_BYTES, Launch, Spec
from farmgate.engines.launching import command, read_address, read_why

__all__ = ["MODULE", "Onnx"]

MODULE = "farmgate.engines.onnx"
NEEDED = ("onnxruntime", "numpy", "tokenizers")


@dataclass(frozen=True, slots=True)
class Onnx:
    """Any graph whose inputs and outputs are tensors."""

    name: str = "onnx"
    runs_on: frozenset[str] = frozenset({"cpu"})
    gpu_bytes: int = CONTEXT_BYTES
    purposes: frozenset[Purpose] = frozenset({Purpose.INFER})

    def missing(self) -> str | None:
        if all(importlib.util.find_spec(package) is not None for package in NEEDED):
            return None
        return "the onnx engine is not installed: pip install 'farmgate[onnx]'"

    def runs_here(self, environment: Mapping[str, str]) -> frozenset[str]:
        return self.runs_on

    def gpu_counts(self, spec: Spec) -> tuple[int, ...]:
        return (1,)

    def launch(self, spec: Spec, *, key: str, environment: Mapping[str, str]) -> Launch:
        # Tokenizers fork no threads of their own: one thread is all that uses them.
        own = {"PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false"}
        return Launch(command=command(MODULE, spec), key=key, environment={**environment, **own})

    def address(self, line: bytes) -> str | None:
        return read_address(line)

    def complaint(self, log: str) -> str | None:
        why = read_why(log)
        return None if why is None else f"ONNX Runtime could not load the graph: {why}"
