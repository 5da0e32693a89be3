"""How much memory a model takes: guessed before it is loaded, from its files; measured after."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from farmgate.engines.engine import Spec
from farmgate.engines.folder import folder_bytes, folder_token_bytes
from farmgate.engines.gguf import NotGguf, read_header

__all__ = ["expected_bytes", "resident_bytes"]

MIB = 2**20
BASE_BYTES = 64 * MIB
"""A process with llama.cpp and no model in it."""
TORCH_BYTES = 450 * MIB
"""A process with torch and transformers and no model in it."""
WORK_SHARE = 0.1
"""What computing takes on top of the weights."""


def expected_bytes(spec: Spec) -> int:
    """Weights, the cache of keys and values for every token of every slot, and the program. 0 where no file tells.

    Raises OSError when the files cannot be read.
    """
    tokens = spec.context_tokens * spec.parallel
    if spec.path.is_dir():
        weights = folder_bytes(spec.path)
        return int(weights * (1 + WORK_SHARE)) + tokens * folder_token_bytes(spec.path) + TORCH_BYTES
    weights = spec.path.stat().st_size
    with suppress(NotGguf):
        return int(weights * (1 + WORK_SHARE)) + tokens * (read_header(spec.path).token_bytes or 0) + BASE_BYTES
    return weights + BASE_BYTES


def resident_bytes(pid: int, proc: Path = Path("/proc")) -> int | None:
    """What a process has in memory now; None where the system does not tell, or there is no such process."""
    with suppress(OSError, ValueError, IndexError):
        return int((proc / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None
