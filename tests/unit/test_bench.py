"""`make bench` runs what bench/README.md tells of, and says what it lacks before it begins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.run import PEERS, missing, steps

BENCH = Path(__file__).parents[2] / "bench"


def test_the_benchmarks_run_in_turn_and_are_there() -> None:
    scripts = [Path(command[1]) for _, command in steps(PEERS)]
    assert [script.name for script in scripts] == ["compare.py", "tls.py", "translated.py", "work.py"]
    assert all(script.is_file() and script.parent == BENCH for script in scripts)


def test_what_is_not_installed_is_named_with_its_package() -> None:
    assert missing(lambda tool: None if tool == "wrk" else f"/usr/bin/{tool}") == ["wrk"]
    ran = subprocess.run([sys.executable, BENCH / "run.py"], env={"PATH": "/nowhere"}, capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stderr.startswith("the benchmarks need cc, curl, ")
    assert "apt-get install gcc curl " in ran.stderr
