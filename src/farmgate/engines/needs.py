"""How much memory a model takes: guessed before it is loaded, from its files; measured after."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from farmgate.engines.adapters import adapters_bytes
from farmgate.engines.engine import CONTEXT_BYTES, Spec
from farmgate.engines.folder import NUMBER_BYTES, folder_bytes, folder_token_bytes, number_bytes, vocabulary_numbers
from farmgate.engines.gguf import NotGguf, read_header
from farmgate.engines.shards import weights_bytes

__all__ = ["expected_bytes", "family", "resident_bytes"]

MIB = 2**20
BASE_BYTES = 64 * MIB
"""A process with llama.cpp and no model in it."""
TORCH_BYTES = 450 * MIB
"""A process with torch and transformers and no model in it."""
BITS = {"4bit": 4.5, "8bit": 8.5}
"""Of a number that was made smaller, with what is kept beside to make it large again."""
WORK_SHARE = 0.1
"""What computing takes on top of the weights."""


def expected_bytes(spec: Spec, *, on_host: bool = True, gpu_bytes: int = CONTEXT_BYTES) -> int:
    """Weights, the cache of keys and values for every token of every slot, and the program; what its owner says goes
    before all of that. `on_host`: a processor computes with 32 bits what may lie in a folder with 16. `gpu_bytes`: what
    the program has on a GPU.

    Raises OSError when the files cannot be read.
    """
    if spec.memory_bytes is not None:
        return spec.memory_bytes
    tokens = spec.context_tokens * spec.parallel
    base = BASE_BYTES if on_host else gpu_bytes
    adapters = adapters_bytes(spec.adapters)
    if spec.path.is_dir():
        each = NUMBER_BYTES.get(spec.dtype) or (4 if on_host else number_bytes(spec.path) or 4)
        cache = tokens * folder_token_bytes(spec.path, each)
        weights = folder_weights(spec, each) + adapters
        return int(weights * (1 + WORK_SHARE)) + cache + (TORCH_BYTES if on_host else base)
    if spec.path.suffix == ".onnx":
        # Large weights lie in files beside the graph, which begin with its name.
        weights = sum(file.stat().st_size for file in spec.path.parent.glob(f"{spec.path.stem}*") if file.is_file())
        return int(weights * (1 + WORK_SHARE)) + base
    weights = weights_bytes(spec.path) + adapters
    with suppress(NotGguf):
        return int(weights * (1 + WORK_SHARE)) + tokens * (read_header(spec.path).token_bytes or 0) + base
    return weights + base


def folder_weights(spec: Spec, each: int) -> int:
    """Bytes of a checkpoint's weights when they are loaded with so many bytes for each number."""
    stored = number_bytes(spec.path)
    weights = folder_bytes(spec.path)
    if stored is None:
        return weights
    numbers = weights // stored
    smaller = 0 if spec.quantize == "none" else max(0, numbers - vocabulary_numbers(spec.path))
    return (numbers - smaller) * each + int(smaller * BITS.get(spec.quantize, 0) / 8)


def resident_bytes(pid: int, proc: Path = Path("/proc")) -> int | None:
    """What a process and all it has started have in memory now; None where the system does not tell, or there is no
    such process."""
    with suppress(OSError, ValueError, IndexError):
        own = int((proc / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return own + sum(resident_bytes(child, proc) or 0 for child in children(pid, proc))
    return None


def family(pid: int, proc: Path = Path("/proc")) -> frozenset[int]:
    """A process and all it has started, as far as the system tells."""
    return frozenset({pid}).union(*(family(child, proc) for child in children(pid, proc)))


def children(pid: int, proc: Path) -> list[int]:
    with suppress(OSError, ValueError):
        told = [file.read_text() for file in (proc / str(pid) / "task").glob("*/children")]
        return [int(child) for text in told for child in text.split()]
    return []
