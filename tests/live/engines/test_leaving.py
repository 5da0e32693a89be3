"""Whoever leaves, callers or the gate, leaves nothing behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.live.engines.running import MODELS, Running, asked, starting
from tools.guide_model.words import everything

CHAT = "/v1/chat/completions"
LONG = everything(1).question


@pytest.fixture
def single(tmp_path: Path) -> Iterator[Running]:
    """One answer at a time."""
    with starting(MODELS / "guide-1", tmp_path, parallel=1) as running:
        yield running


@pytest.mark.parametrize("stream", [True, False])
def test_a_place_is_free_again_when_its_caller_goes_away(single: Running, stream: bool) -> None:
    whole = single.chat(LONG)["usage"]["completion_tokens"]
    connection, answer = single.connect("POST", CHAT, asked(LONG, stream=stream))
    single.until("tokens_total", lambda told: told > whole + 5)
    if stream:
        answer().readline()
    connection.close()
    single.until("cancelled_total", lambda told: told == 1)
    assert single.metric("running") == 0
    assert single.metric("tokens_total") < 2 * whole
    assert single.said("Hello", max_tokens=3)


def test_who_waits_in_line_and_goes_away_is_never_served(single: Running) -> None:
    with single.streaming(CHAT, asked(LONG)) as first:
        next(first)
        waiting, _ = single.connect("POST", CHAT, asked(LONG))
        single.until("waiting", lambda told: told == 1)
        waiting.close()
    single.until("cancelled_total", lambda told: told == 2)
    assert (single.metric("running"), single.metric("waiting")) == (0, 0)


def test_a_long_prompt_is_left_in_the_middle(single: Running) -> None:
    """A prompt is read in pieces; who goes away meanwhile holds up nobody."""
    connection, _ = single.connect("POST", "/v1/completions", {"prompt": "a b c d " * 120, "max_tokens": 1})
    connection.close()
    assert single.said("Hello", max_tokens=3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_told_to_die_it_is_gone_at_once_even_while_it_writes(tmp_path: Path, number: signal.Signals) -> None:
    with starting(MODELS / "guide-1", tmp_path) as running, running.streaming(CHAT, asked(LONG)) as first:
        next(first)
        running.process.send_signal(number)
        assert running.process.wait(timeout=5) == -number
        assert not Path(f"/proc/{running.process.pid}/status").exists()


PARENT = """
import sys
from pathlib import Path
from tests.live.engines.running import MODELS, starting

with starting(MODELS / "guide-1", Path(sys.argv[1])) as running:
    print(running.process.pid, flush=True)
    input()
"""


def test_it_never_outlives_a_gate_that_is_killed(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(MODELS.parents[1])}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    assert parent.stdout is not None
    with parent:
        child = os.pidfd_open(int(parent.stdout.readline()))
        try:
            parent.kill()
            assert select.select([child], [], [], 20)[0] == [child]
        finally:
            os.close(child)
