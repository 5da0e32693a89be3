"""llama.cpp runs as a child of this interpreter, `python -m farmgate.engines.llamacpp`, and serves one GGUF file.

The gate imports only `LlamaCpp`; xllamacpp is loaded in the child alone.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from farmgate.core.ports import Purpose
from farmgate.engines.child import bind_to_parent
from farmgate.engines.engine import Launch, Spec

__all__ = ["LlamaCpp", "main"]

LOOPBACK = "127.0.0.1"

# An origin no page has: the engine answers the gate, never a web page, not even one that knows the port.
NO_ORIGIN = "http://farmgate.invalid"

WARNINGS = 2

# What llama.cpp logs when it gives up on a file; a line or two on, it only says that it failed.
LOAD_ERROR = re.compile(r"error loading model: (.+)")


@dataclass(frozen=True, slots=True)
class LlamaCpp:
    """The embedded engine, through the package xllamacpp."""

    name: str = "llama.cpp"
    runs_on: frozenset[str] = frozenset({"cpu"})

    def missing(self) -> str | None:
        if importlib.util.find_spec("xllamacpp") is not None:
            return None
        return "the llama.cpp engine is not installed: pip install 'farmgate[local]'"

    def launch(self, spec: Spec, *, key: str, environment: Mapping[str, str]) -> Launch:
        # -P: a file called json.py in the user's directory is not a module of ours.
        command = (
            *(sys.executable, "-P", "-m", "farmgate.engines.llamacpp"),
            *("--model", str(spec.path)),
            *("--alias", spec.model),
            *("--purpose", spec.purpose.value),
            *("--context", str(spec.context_tokens)),
            *("--parallel", str(spec.parallel)),
            *("--threads", str(spec.threads)),
            *("--parent", str(os.getpid())),
        )
        return Launch(command=command, key=key, environment=environment)

    def address(self, line: bytes) -> str | None:
        try:
            said = json.loads(line)
        except ValueError:
            return None
        url = said.get("url") if isinstance(said, dict) else None
        return url if isinstance(url, str) and urlsplit(url).hostname == LOOPBACK else None

    def complaint(self, log: str) -> str | None:
        found = LOAD_ERROR.search(log)
        if found is None:
            return None
        return f"llama.cpp could not load the file: {found[1].strip()}. Get it again, or use another one"


def main(argv: Sequence[str] | None = None) -> int:
    spec, parent = _arguments(argv)
    key = bind_to_parent(parent)
    # llama.cpp prints wherever it likes: all of that is log. What is said to the gate goes out by another way.
    answer = os.dup(1)
    os.dup2(2, 1)
    import xllamacpp

    try:
        server = xllamacpp.Server(parameters(spec, key, xllamacpp))
    except RuntimeError as error:
        sys.stderr.write(f"llama.cpp could not load {spec.path}: {error}\n")
        return 1
    with os.fdopen(answer, "wb") as out:
        out.write(json.dumps({"url": server.listening_address}).encode() + b"\n")
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
    if spec.purpose is Purpose.EMBED:
        # Pooled embeddings and text cannot come from one process: with pooling on, chat answers are wrong.
        p.embedding = True
        p.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        # A text to embed is one batch, so that a batch must hold a whole context.
        p.n_batch = p.n_ubatch = spec.context_tokens
    return p


def _arguments(argv: Sequence[str] | None) -> tuple[Spec, int]:
    parser = argparse.ArgumentParser(prog="farmgate.engines.llamacpp", description="Started by Farmgate itself.")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--purpose", type=Purpose, required=True)
    parser.add_argument("--context", type=int, required=True)
    parser.add_argument("--parallel", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    given = parser.parse_args(argv)
    spec = Spec(
        model=given.alias,
        path=given.model,
        purpose=given.purpose,
        context_tokens=given.context,
        parallel=given.parallel,
        threads=given.threads,
    )
    return spec, given.parent


if __name__ == "__main__":
    sys.exit(main())
