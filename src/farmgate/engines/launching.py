"""What the gate says to an engine that is a program of ours, and the one line that it says back.

The arguments carry a Spec; the answer, on standard output, is the address once the model can be asked. One that cannot
load its model says why in its log.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

from farmgate.core.ports import Purpose
from farmgate.engines.adapters import Adapter
from farmgate.engines.engine import Batch, Gpus, Spec

__all__ = [
    "CANNOT_LOAD",
    "LOOPBACK",
    "announce",
    "arguments",
    "command",
    "give_up",
    "keep_output",
    "read_address",
    "read_spec",
    "read_why",
]

LOOPBACK = "127.0.0.1"
CANNOT_LOAD = "cannot load the model: "
WHY = re.compile(rf"^{CANNOT_LOAD}(.+)$", re.MULTILINE)


def command(module: str, spec: Spec, *more: str) -> tuple[str, ...]:
    """The command line of `module` for `spec`; `more` is for arguments that only that module knows.

    What version it is, is the gate's business.
    """
    # -P: a file called json.py in the user's directory is not a module of ours.
    return (
        *(sys.executable, "-P", "-m", module),
        *("--model", str(spec.path)),
        *("--alias", spec.model),
        f"--version={spec.version}",  # a label may begin with a dash
        *("--purpose", spec.purpose.value),
        *("--context", str(spec.context_tokens)),
        *("--parallel", str(spec.parallel)),
        *("--threads", str(spec.threads)),
        *("--device", spec.device),
        *("--gpus", str(spec.gpus.count)),
        *(word for adapter in spec.adapters for word in ("--adapter", f"{adapter.name}={adapter.path}")),
        *("--attribute", spec.attribute),
        *("--batch", str(spec.batch.most)),
        *("--wait-ms", str(spec.batch.wait_ms)),
        *more,
        *("--parent", str(os.getpid())),
    )


def arguments(module: str) -> argparse.ArgumentParser:
    """Reads what `command` wrote, but for `more`: `read_spec` makes a Spec of it, and `parent` is a process's id."""
    parser = argparse.ArgumentParser(prog=module, description="Started by Farmgate itself.")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--version", default="")
    parser.add_argument("--purpose", type=Purpose, required=True)
    parser.add_argument("--context", type=int, required=True)
    parser.add_argument("--parallel", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--gpus", type=int, default=0)
    parser.add_argument("--adapter", type=adapter_in, action="append", default=[])
    parser.add_argument("--attribute", default="")
    parser.add_argument("--batch", type=int, default=Batch().most)
    parser.add_argument("--wait-ms", type=float, default=Batch().wait_ms)
    parser.add_argument("--parent", type=int, required=True)
    return parser


def adapter_in(text: str) -> Adapter:
    name, _, path = text.partition("=")
    return Adapter(name, Path(path))


def read_spec(given: argparse.Namespace) -> Spec:
    return Spec(
        model=given.alias,
        version=given.version,
        path=given.model,
        attribute=given.attribute,
        purpose=given.purpose,
        context_tokens=given.context,
        parallel=given.parallel,
        threads=given.threads,
        device=given.device,
        gpus=Gpus(count=given.gpus),
        adapters=tuple(given.adapter),
        batch=Batch(most=given.batch, wait_ms=given.wait_ms),
    )


def keep_output() -> int:
    """A descriptor for `announce`. Libraries print wherever they like: from now on all of that is log."""
    answer = os.dup(1)
    os.dup2(2, 1)
    return answer


def announce(answer: int, url: str) -> None:
    """Say that the engine can be asked at `url`. Closes the descriptor."""
    with os.fdopen(answer, "wb") as out:
        out.write(json.dumps({"url": url}).encode() + b"\n")


def read_address(line: bytes) -> str | None:
    """The URL that `announce` wrote; None for any other line, and for what is not on this machine."""
    try:
        said = json.loads(line)
    except ValueError:
        return None
    url = said.get("url") if isinstance(said, dict) else None
    return url if isinstance(url, str) and urlsplit(url).hostname == LOOPBACK else None


def give_up(why: object) -> int:
    """Tell in the log why there is no model; gives the exit code."""
    sys.stderr.write(f"{CANNOT_LOAD}{why}\n")
    return 1


def read_why(log: str) -> str | None:
    """What `give_up` told, where that stands at the end of a log."""
    found = WHY.search(log)
    return None if found is None else found[1].strip()
