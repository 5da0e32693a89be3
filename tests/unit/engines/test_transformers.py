from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from farmgate.core.ports import Purpose
from farmgate.engines.adapters import Adapter
from farmgate.engines.engine import Gpus, Spec
from farmgate.engines.launching import arguments, read_spec
from farmgate.engines.transformers import MODULE, Transformers

SPEC = Spec(
    model="law",
    path=Path("/models/a b"),
    purpose=Purpose.EMBED,
    context_tokens=2048,
    parallel=4,
    threads=2,
    device="cuda:1",
    adapters=(Adapter("one", Path("/adapters/one")), Adapter("two", Path("/adapters/a=b"))),
)


def test_the_command_line_carries_the_whole_spec_and_not_the_key() -> None:
    launch = Transformers().launch(
        replace(SPEC, dtype="bfloat16", quantize="4bit"), key="secret", environment={"PATH": "/bin"}
    )
    assert "secret" not in launch.command
    parser = arguments(MODULE)
    parser.add_argument("--dtype")
    parser.add_argument("--quantize")
    given = parser.parse_args(launch.command[4:])
    assert read_spec(given) == SPEC
    assert (given.dtype, given.quantize) == ("bfloat16", "4bit")
    assert launch.command[:4] == (sys.executable, "-P", "-m", MODULE)


def test_it_is_told_on_how_many_gpus_it_is() -> None:
    launch = Transformers().launch(replace(SPEC, gpus=Gpus(count=3)), key="k", environment={})
    assert launch.command[launch.command.index("--gpus") + 1] == "3"
    assert Transformers().gpu_counts(SPEC) == (1, 2, 3, 4, 5, 6, 7, 8)


def test_it_reads_a_folder_and_asks_no_hub() -> None:
    environment = Transformers().launch(SPEC, key="k", environment={"PATH": "/bin"}).environment
    assert environment["PATH"] == "/bin"
    assert environment["HF_HUB_OFFLINE"] == "1"


def test_what_is_missing_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    cure = "the transformers engine is not installed: pip install 'farmgate[transformers]'"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else object())
    assert Transformers().missing() == cure
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    assert Transformers().missing() is None


def test_the_address_is_read_from_its_line() -> None:
    assert Transformers().address(b'{"url": "http://127.0.0.1:4000"}\n') == "http://127.0.0.1:4000"
    assert Transformers().address(b"Loading weights: 100%\n") is None


def test_of_a_failed_start_the_one_line_that_tells_why_is_found() -> None:
    log = "some warning\ncannot load the model: /models/x has no *.safetensors\nanother\n"
    told = Transformers().complaint(log)
    assert told == "transformers could not load the model: /models/x has no *.safetensors"
    assert Transformers().complaint("Traceback\n") is None


def test_the_gate_does_not_load_what_the_child_loads() -> None:
    script = (
        "import farmgate.engines.transformers, sys\n"
        "print({'torch', 'transformers', 'farmgate.engines.hf'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
