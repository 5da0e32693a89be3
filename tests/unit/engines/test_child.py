from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.unit.engines.fakes import FAKE_ENGINE

from farmgate.engines.child import LOG_MAX_BYTES, _keep_log_small


def test_a_child_ends_when_its_input_does_even_where_the_kernel_does_not_help() -> None:
    child = subprocess.Popen(
        [sys.executable, str(FAKE_ENGINE), "serves", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b"key\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"warming up\n"
        assert child.poll() is None
        child.stdin.close()
        try:
            assert child.wait(timeout=10) == 0
        finally:
            child.kill()


def test_a_child_that_gets_no_key_ends() -> None:
    done = subprocess.run(
        [sys.executable, str(FAKE_ENGINE), "serves", str(os.getpid())],
        input=b"half a k",
        capture_output=True,
        timeout=20,
    )
    assert (done.returncode, done.stdout) == (0, b"")


def test_a_log_that_has_grown_too_long_starts_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("ab", buffering=0) as log:
        log.truncate(LOG_MAX_BYTES)
        _keep_log_small(log.fileno())
        assert path.stat().st_size == LOG_MAX_BYTES
        log.write(b"one more\n")
        _keep_log_small(log.fileno())
        log.write(b"new\n")
    assert path.read_bytes() == b"new\n"
