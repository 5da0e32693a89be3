"""Runs unmodified clients one after another, each in its own locked environment, and says how it went."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent
TESTS = HOUSE / "tests/live/clients"
ENVIRONMENTS = HOUSE / ".venv-clients"
LONGEST_S = 240

# What these libraries would send home if nobody said no.
QUIET = {
    "ANONYMIZED_TELEMETRY": "False",
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_DISABLE_TRACKING": "true",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "LANGCHAIN_TRACING_V2": "false",
    "LANGSMITH_TRACING": "false",
    "OTEL_SDK_DISABLED": "true",
}


def main(names: list[str]) -> int:
    started = time.monotonic()
    failed = [name for name in names if not passes(name)]
    passed = len(names) - len(failed)
    for name in failed:
        print(f"clients: {name} FAILED; again: make clients CLIENTS={name}")
    print(f"clients: {time.monotonic() - started:.0f} s in all")
    print(f"clients: {passed} passed, {len(failed)} failed")
    return 1 if failed else 0


def passes(name: str) -> bool:
    """Run one client's tests, within the time, and see that it reached for nothing but loopback."""
    own = ENVIRONMENTS / name / "bin/python"
    python = own if own.exists() else HOUSE / ".venv/bin/python"
    print(f"clients: {name}", flush=True)
    with tempfile.TemporaryDirectory(prefix=f"farmgate-{name}-") as home:
        reached = Path(home) / "reached"
        command = [str(python), "-m", "pytest", "-v", "--no-header", str(TESTS / f"test_{name}.py")]
        try:
            done = subprocess.run(command, cwd=TESTS, env=environment(home, reached), timeout=LONGEST_S, check=False)
        except subprocess.TimeoutExpired:
            print(f"clients: {name} was not done after {LONGEST_S} s")
            return False
        if reached.exists():
            print(f"clients: {name} tried to reach {', '.join(sorted(set(reached.read_text().split())))}")
            return False
    return done.returncode == 0


def environment(home: str, reached: Path) -> dict[str, str]:
    """Nobody's keys and settings, no telemetry, and a guard in each process that is started."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    guard = TESTS / "guard"
    return {
        **kept,
        **QUIET,
        "HOME": home,
        "PYTHONPATH": str(guard),
        "NODE_OPTIONS": f"--import={guard / 'loopback.mjs'}",
        "REACHED": str(reached),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
