"""The engines that are programs of ours: how they are started, and that the gate loads nothing of what they load."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from farmgate.core.ports import Purpose
from farmgate.engines.engine import Batch, Engine, Spec
from farmgate.engines.launching import CANNOT_LOAD, arguments, read_spec
from farmgate.engines.onnx.engine import Onnx
from farmgate.engines.python.engine import Python

SPEC = Spec(
    model="a-b",
    version="-v2",
    path=Path("/models/a b.py"),
    attribute="Model",
    purpose=Purpose.INFER,
    context_tokens=2048,
    parallel=4,
    threads=2,
    device="gpu1",
    batch=Batch(most=7, wait_ms=2.5),
)
SLOW = """
import threading

class Model:
    def load(self):
        print("loads")
        threading.Event().wait()
"""
OURS: tuple[Engine, ...] = (Python(), Onnx())


@pytest.mark.parametrize("engine", OURS, ids=lambda engine: engine.name)
def test_the_command_line_carries_the_whole_spec_and_not_the_key(engine: Engine) -> None:
    launch = engine.launch(SPEC, key="secret", environment={"PATH": "/bin"})
    assert "secret" not in launch.command
    assert launch.command[1] == "-P"
    given = arguments("x").parse_args(launch.command[4:])
    assert read_spec(given) == SPEC
    assert given.parent == os.getpid()
    assert launch.environment["PATH"] == "/bin"
    assert engine.purposes == {Purpose.INFER}


def test_code_takes_as_many_threads_as_it_is_told() -> None:
    assert Python().launch(SPEC, key="k", environment={}).environment["OMP_NUM_THREADS"] == "2"


@pytest.mark.parametrize("engine", OURS, ids=lambda engine: engine.name)
@pytest.mark.parametrize("line", [b"", b"loading\n", b'{"url": "http://10.0.0.1:80"}\n'])
def test_only_a_loopback_address_is_an_address(engine: Engine, line: bytes) -> None:
    assert engine.address(line) is None
    assert engine.address(b'{"url": "http://127.0.0.1:4000"}\n') == "http://127.0.0.1:4000"


def test_a_missing_package_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert Onnx().missing() == "the onnx engine is not installed: pip install 'farmgate[onnx]'"
    assert Python().missing() is None


def test_why_a_graph_could_not_be_loaded_is_in_one_line_of_the_log() -> None:
    assert Onnx().complaint(f"noise\n{CANNOT_LOAD}no graph\n") == "ONNX Runtime could not load the graph: no graph"
    assert Onnx().complaint("noise") is None


def test_the_gate_loads_nothing_of_what_they_load() -> None:
    script = "import farmgate.engines.lifecycle, sys; print({'onnxruntime', 'numpy', 'uvicorn'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_child_whose_parent_is_somebody_else_ends_at_once() -> None:
    command = list(Python().launch(SPEC, key="k", environment={}).command)
    command[-1] = "1"
    done = subprocess.run(command, input=b"k\n", capture_output=True, timeout=20)
    assert (done.returncode, done.stdout) == (0, b"")


def test_a_child_ends_with_its_parent_also_while_its_class_loads_for_ever(tmp_path: Path) -> None:
    file = tmp_path / "slow_model.py"
    file.write_text(SLOW)
    spec = Spec(model="m", path=file, attribute="Model", purpose=Purpose.INFER, context_tokens=1, parallel=1, threads=1)
    launch = Python().launch(spec, key="k", environment={"PATH": os.environ["PATH"]})
    child = subprocess.Popen(
        launch.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=launch.environment
    )
    with child:
        assert child.stdin is not None
        assert child.stderr is not None
        child.stdin.write(b"k\n")
        child.stdin.flush()
        try:
            # What it prints is log.
            assert child.stderr.readline() == b"loads\n"
            child.stdin.close()
            assert child.wait(timeout=10) == 0
        finally:
            child.kill()
