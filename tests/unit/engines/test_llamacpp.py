from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from farmgate.core.ports import Purpose
from farmgate.engines.adapters import Adapter
from farmgate.engines.engine import Gpus, Spec
from farmgate.engines.launching import arguments, read_spec
from farmgate.engines.llamacpp import MODULE, LlamaCpp, parameters

FAKE_PACKAGE = SimpleNamespace(
    CommonParams=lambda: SimpleNamespace(
        model=SimpleNamespace(), cpuparams=SimpleNamespace(), cpuparams_batch=SimpleNamespace()
    ),
    CommonAdapterLoraInfo=lambda path, scale: (path, scale),
    llama_pooling_type=SimpleNamespace(LLAMA_POOLING_TYPE_MEAN="mean", LLAMA_POOLING_TYPE_RANK="rank"),
)


def spec(purpose: Purpose = Purpose.GENERATE) -> Spec:
    path = Path("/models/a b.gguf")
    return Spec(model="a-b", path=path, purpose=purpose, context_tokens=2048, parallel=4, threads=2)


def test_the_command_line_carries_the_whole_spec_and_not_the_key() -> None:
    launch = LlamaCpp().launch(spec(Purpose.EMBED), key="secret", environment={})
    assert "secret" not in launch.command
    given = arguments(MODULE).parse_args(launch.command[4:])
    assert read_spec(given) == spec(Purpose.EMBED)
    assert given.parent > 0


def test_the_context_is_per_slot_and_the_door_is_closed_to_strangers() -> None:
    p = parameters(spec(), "secret", FAKE_PACKAGE)
    assert p.n_ctx == 8192
    assert p.n_parallel == 4
    assert p.hostnames == ["127.0.0.1"]
    assert p.port == 0
    assert p.api_keys == ["secret"]
    assert p.cors_origins == "http://farmgate.invalid"
    assert not hasattr(p, "embedding")


def test_on_a_gpu_it_has_all_layers_there_and_on_a_processor_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parameters(replace(spec(), gpus=Gpus(count=1)), "k", FAKE_PACKAGE).n_gpu_layers > 1000
    assert parameters(spec(), "k", FAKE_PACKAGE).n_gpu_layers == 0
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not hasattr(parameters(spec(), "k", FAKE_PACKAGE), "n_gpu_layers"), "one memory for both: as it likes"
    assert parameters(replace(spec(), device="cpu"), "k", FAKE_PACKAGE).n_gpu_layers == 0


@pytest.mark.parametrize(
    ("package", "kinds"),
    [
        ("[{'name': 'CUDA0'}, {'name': 'CPU'}]", {"cpu", "gpu"}),
        ("[{'name': 'CPU'}]", {"cpu"}),
        ("[{'name': 'Vulkan0'}]", {"cpu"}),
        ("[]", {"cpu"}),
        ("missing", {"cpu"}),
    ],
)
def test_it_runs_on_gpus_where_the_installed_package_does(tmp_path: Path, package: str, kinds: set[str]) -> None:
    asked = tmp_path / "asked"
    (tmp_path / "xllamacpp.py").write_text(
        f"open({str(asked)!r}, 'a').write('x')\nprint('loading')\ndef get_device_info(): return {package}\n"
    )
    environment = {"PYTHONPATH": str(tmp_path)}
    assert LlamaCpp().runs_here(environment) == kinds
    assert LlamaCpp().runs_here(environment) == kinds
    assert asked.read_text() == "x", "and is asked once"
    assert "xllamacpp" not in sys.modules


def test_the_package_that_is_installed_here_is_for_processors() -> None:
    assert LlamaCpp().runs_here({}) == {"cpu"}


def test_one_that_does_not_say_runs_on_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert LlamaCpp().runs_here({"NEVER": "asked"}) == {"cpu"}


def test_adapters_are_loaded_and_used_by_nobody_who_does_not_name_them() -> None:
    adapters = Adapter("formal", Path("/a=b/f.gguf")), Adapter("pirate", Path("/p.gguf"))
    launch = LlamaCpp().launch(replace(spec(), adapters=adapters), key="k", environment={})
    p = parameters(read_spec(arguments(MODULE).parse_args(launch.command[4:])), "secret", FAKE_PACKAGE)
    assert p.lora_adapters == [("/a=b/f.gguf", 0.0), ("/p.gguf", 0.0)]
    assert (p.cache_ram_mib, p.cache_idle_slots) == (0, False)
    assert not hasattr(parameters(spec(), "secret", FAKE_PACKAGE), "cache_ram_mib"), "without them prompts are kept"


@pytest.mark.parametrize(("purpose", "pooling"), [(Purpose.EMBED, "mean"), (Purpose.RERANK, "rank")])
def test_vectors_and_scores_are_pooled_and_a_batch_holds_a_context(purpose: Purpose, pooling: str) -> None:
    p = parameters(spec(purpose), "secret", FAKE_PACKAGE)
    assert p.embedding is True
    assert p.pooling_type == pooling
    assert p.n_batch == p.n_ubatch == 2048


@pytest.mark.parametrize(
    "line",
    [b"", b"loading\n", b"[1]\n", b'{"url": 7}\n', b'{"url": "http://10.0.0.1:80"}\n', b'{"url": "/x"}\n', b"\xff\n"],
)
def test_only_a_loopback_address_is_an_address(line: bytes) -> None:
    assert LlamaCpp().address(line) is None


def test_the_address_is_read_from_its_line() -> None:
    assert LlamaCpp().address(b'{"url": "http://127.0.0.1:4000"}\n') == "http://127.0.0.1:4000"


def test_a_missing_package_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert LlamaCpp().missing() == "the llama.cpp engine is not installed: pip install 'farmgate[local]'"


def test_the_gate_does_not_load_the_engine() -> None:
    script = (
        "import farmgate.engines.lifecycle, farmgate.engines.pulling.weights, sys; print('xllamacpp' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_child_whose_parent_is_somebody_else_ends_at_once() -> None:
    arguments = list(LlamaCpp().launch(spec(), key="k", environment={}).command)
    arguments[-1] = "1"
    done = subprocess.run(arguments, input=b"k\n", capture_output=True, timeout=20)
    assert (done.returncode, done.stdout) == (0, b"")


def test_of_a_damaged_file_the_log_is_read_for_the_one_line_that_tells_why() -> None:
    log = (
        "0.00.028 E llama_model_load: error loading model: tensor 'blk.11' data is not within the file bounds, "
        "model is corrupted or incomplete\n0.00.029 E llama_model_load_from_file_impl: failed to load model\n"
    )
    assert LlamaCpp().complaint(log) == (
        "llama.cpp could not load the file: tensor 'blk.11' data is not within the file bounds, model is corrupted or "
        "incomplete. Get it again, or use another one"
    )
    assert LlamaCpp().complaint("something else went wrong\n") is None
