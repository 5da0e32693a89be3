#!/usr/bin/env python3
"""The benchmarks of README.md in turn: side by side with peers, behind a TLS upstream, in other dialects, and counted instead of timed.

    .venv/bin/python bench/run.py                       # or: make bench
    .venv/bin/python bench/run.py nginx                 # beside these peers only
    make bench ARGS='nginx tensorzero'

Takes about seven minutes and two quiet cores; peers are installed from their packages at the first run.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
PORT = 8000
PEERS = ("nginx", "tensorzero", "litellm")
# Each program with the Debian package it comes in.
TOOLS = {"cc": "gcc", "curl": "curl", "taskset": "util-linux", "wrk": "wrk", "nginx": "nginx", "openssl": "openssl"}


def missing(find: Callable[[str], str | None] = shutil.which) -> list[str]:
    return [tool for tool in TOOLS if find(tool) is None]


def steps(peers: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """What is run, in order: a title and a command."""
    python, own = sys.executable, f"{BIN / 'farmgate'} serve --config {HERE / 'farm.config.yaml'} --port {PORT}"
    yield "side by side", [python, str(HERE / "compare.py"), *peers, "--own", own]
    yield "a TLS upstream, 500 streams", [python, str(HERE / "tls.py")]
    yield "other dialects in, 500 streams", [python, str(HERE / "translated.py")]
    yield "work: function calls, which do not depend on the machine", [python, str(HERE / "work.py")]


def is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("peers", nargs="*", default=list(PEERS), help=f"default: {' '.join(PEERS)}")
    peers = options.parse_args().peers
    if lacking := missing():
        packages = " ".join(TOOLS[tool] for tool in lacking)
        print(f"the benchmarks need {', '.join(lacking)}: apt-get install {packages}", file=sys.stderr)
        return 1
    if not is_free(PORT):
        print(f"the benchmarks need 127.0.0.1:{PORT}: stop what listens there", file=sys.stderr)
        return 1
    for title, command in steps(peers):
        print(f"\n## {title}\n", flush=True)
        if (code := subprocess.run(command, check=False).returncode) != 0:
            print(f"{Path(command[1]).name} failed with exit code {code}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
