"""llama.cpp runs as a child of this interpreter, `python -m farmgate.engines.llamacpp`, and serves one GGUF file.

The gate imports only `LlamaCpp`; xllamacpp is loaded in the child alone.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from farmgate.core.ports import Purpose
from farmgate.engines.adapters import Adapter, Order, check_gguf
from farmgate.engines.child import bind_to_parent
from farmgate.engines.engine import TEXT, Launch, Spec
from farmgate.engines.launching import LOOPBACK, announce, arguments, command, keep_output, read_address, read_spec
from farmgate.telemetry import log

__all__ = ["LlamaCpp", "main"]

MODULE = "farmgate.engines.llamacpp"

# An origin no page has: the engine answers the gate, never a web page, not even one that knows the port.
NO_ORIGIN = "http://farmgate.invalid"

WARNINGS = 2

# Threads that wait for each other spin a little, and then sleep. By default they spin on, and where several models, or
# the gate itself, want the same cores, on those of others: an answer of half a second took up to a minute. Where they
# sleep at once, a model alone is four times slower.
SURROUNDINGS = {"GOMP_SPINCOUNT": "1000"}

ALL_LAYERS = 9999
GPU_BYTES = 2**30
"""What it has on a GPU beside weights, keys and values: context, and what the largest vocabularies take for a batch."""
# Which devices the installed build computes on: most are for processors alone, some for CUDA, whose names begin so.
ASK_DEVICES = """
import xllamacpp
print(*("CUDA" for one in xllamacpp.get_device_info() if one["name"].startswith("CUDA")))
"""
ASK_WITHIN_S = 60.0

# What llama.cpp logs when it gives up on a file; a line or two on, it only says that it failed.
LOAD_ERROR = re.compile(r"error loading model: (.+)")


@cache
def sees_gpus(environment: tuple[tuple[str, str], ...]) -> bool:
    """Whether the installed xllamacpp can use NVIDIA GPUs. A child is asked, once: it would be 100 MB in the gate."""
    command = (sys.executable, "-P", "-c", ASK_DEVICES)
    try:
        asked = subprocess.run(  # noqa: S603 - our own words
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ASK_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning("engine_devices_unknown", engine="llama.cpp", reason=str(error))
        return False
    return asked.returncode == 0 and asked.stdout.split()[-1:] == [b"CUDA"]


@dataclass(frozen=True, slots=True)
class GgufAdapters:
    """llama.cpp is given its adapters when it starts, and each request says how much of which it wants."""

    is_told_at_start: bool = True

    def check(self, adapter: Adapter, model: Path) -> None:
        check_gguf(adapter.path, model)

    def can_become(self, given: Sequence[Adapter], wanted: Sequence[Adapter]) -> bool:
        return set(given) == set(wanted)

    def add(self, model: str, adapter: Adapter) -> Order:
        raise NotImplementedError("llama.cpp takes no adapter while it runs")

    def remove(self, model: str, adapter: Adapter) -> Order:
        raise NotImplementedError("llama.cpp keeps its adapters while it runs")

    def fields(self, given: Sequence[Adapter], name: str | None) -> Mapping[str, object]:
        """Of every one, so that none is left from the request before."""
        told = [{"id": at, "scale": float(adapter.name == name)} for at, adapter in enumerate(given)]
        return {"lora": told} if told else {}


@dataclass(frozen=True, slots=True)
class LlamaCpp:
    """The embedded engine, through the package xllamacpp."""

    name: str = "llama.cpp"
    runs_on: frozenset[str] = frozenset({"cpu", "gpu"})
    gpu_bytes: int = GPU_BYTES
    purposes: frozenset[Purpose] = TEXT | {Purpose.RERANK}
    taking: GgufAdapters = GgufAdapters()

    def missing(self) -> str | None:
        if importlib.util.find_spec("xllamacpp") is not None:
            return None
        return "the llama.cpp engine is not installed: pip install 'farmgate[local]'"

    def runs_here(self, environment: Mapping[str, str]) -> frozenset[str]:
        return self.runs_on if sees_gpus(tuple(sorted(environment.items()))) else frozenset({"cpu"})

    def gpu_counts(self, spec: Spec) -> tuple[int, ...]:
        return (1,)

    def launch(self, spec: Spec, *, key: str, environment: Mapping[str, str]) -> Launch:
        return Launch(command=command(MODULE, spec), key=key, environment={**environment, **SURROUNDINGS})

    def address(self, line: bytes) -> str | None:
        return read_address(line)

    def complaint(self, log: str) -> str | None:
        found = LOAD_ERROR.search(log)
        if found is None:
            return None
        return f"llama.cpp could not load the file: {found[1].strip()}. Get it again, or use another one"


def main(argv: Sequence[str] | None = None) -> int:
    given = arguments(MODULE).parse_args(argv)
    spec = read_spec(given)
    key = bind_to_parent(given.parent)
    answer = keep_output()
    import xllamacpp

    try:
        server = xllamacpp.Server(parameters(spec, key, xllamacpp))
    except RuntimeError as error:
        sys.stderr.write(f"llama.cpp could not load {spec.path}: {error}\n")
        return 1
    announce(answer, server.listening_address)
    threading.Event().wait()
    return 0


def parameters(spec: Spec, key: str, xllamacpp: Any) -> Any:
    """xllamacpp.CommonParams for `spec`. Its context is shared out evenly over the slots."""
    p = xllamacpp.CommonParams()
    p.model.path = str(spec.path)
    p.model_alias = [spec.model]
    p.n_parallel = spec.parallel
    p.n_ctx = spec.context_tokens * spec.parallel
    p.cpuparams.n_threads = spec.threads
    p.cpuparams_batch.n_threads = spec.threads
    p.hostnames = [LOOPBACK]
    p.port = 0
    p.api_keys = [key]
    p.cors_origins = NO_ORIGIN
    p.endpoint_metrics = True
    p.endpoint_slots = False
    p.ui = False
    p.warmup = False
    p.verbosity = WARNINGS
    if spec.gpus.count:
        p.n_gpu_layers = ALL_LAYERS
    elif spec.device != "auto" or sys.platform != "darwin":
        # There the GPU's memory is the machine's, and it decides for itself.
        p.n_gpu_layers = 0
    if spec.adapters:
        # Without a word on it, a request is answered by all of them.
        p.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(adapter.path), 0.0) for adapter in spec.adapters]
        # What is kept of earlier prompts is found again by its words, whichever adapter it was computed with.
        p.cache_ram_mib = 0
        p.cache_idle_slots = False
    kinds = xllamacpp.llama_pooling_type
    pooling = {Purpose.EMBED: kinds.LLAMA_POOLING_TYPE_MEAN, Purpose.RERANK: kinds.LLAMA_POOLING_TYPE_RANK}
    if spec.purpose in pooling:
        # Pooled vectors and text cannot come from one process: with pooling on, chat answers are wrong.
        p.embedding = True
        p.pooling_type = pooling[spec.purpose]
        # A text to embed or to rank is one batch, so that a batch must hold a whole context.
        p.n_batch = p.n_ubatch = spec.context_tokens
    return p


if __name__ == "__main__":
    sys.exit(main())
