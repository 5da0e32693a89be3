"""What an engine is told of its adapters, and what is known of their files before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.engines.adapting import folder_adapter, gguf_adapter
from tests.unit.engines.fakes import gguf

from farmgate.core.ports import Purpose
from farmgate.engines.adapters import (
    Adapter,
    CannotAdapt,
    adapters_bytes,
    check_folder,
    check_gguf,
    modules_of,
    rank_of,
)
from farmgate.engines.command import COMMANDS
from farmgate.engines.engine import Launch, Spec
from farmgate.engines.llamacpp import GgufAdapters
from farmgate.engines.needs import expected_bytes
from farmgate.engines.served_adapters import SGLANG, VLLM
from farmgate.engines.transformers import PeftAdapters

FORMAL, PIRATE = Adapter("formal", Path("/a/formal")), Adapter("pirate", Path("/a/pirate"))


def spec(*adapters: Adapter, path: Path = Path("/models/m")) -> Spec:
    purpose = Purpose.GENERATE
    return Spec(model="m", path=path, purpose=purpose, context_tokens=64, parallel=1, threads=1, adapters=adapters)


def launched(name: str, *adapters: Adapter) -> Launch:
    return COMMANDS[name].launch(spec(*adapters), key="k", environment={"PATH": "/bin"})


# ------------------------------------------------------------------------------------------------------------ files


def test_a_folder_is_an_adapter_of_lora_in_safetensors(tmp_path: Path) -> None:
    with pytest.raises(CannotAdapt, match=r"no adapter_config\.json"):
        check_folder(tmp_path)
    good = folder_adapter(tmp_path / "good")
    check_folder(good.path)
    (good.path / "adapter_model.safetensors").unlink()
    with pytest.raises(CannotAdapt, match=r"no adapter_model\.safetensors"):
        check_folder(good.path)
    with pytest.raises(CannotAdapt, match="of type IA3: only LORA"):
        check_folder(folder_adapter(tmp_path / "other", peft_type="IA3").path)
    (good.path / "adapter_config.json").write_text("[" * 100_000)
    with pytest.raises(CannotAdapt, match="that can be read"):
        check_folder(good.path)


def test_a_gguf_file_is_an_adapter_for_a_model_of_its_architecture(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(gguf())
    check_gguf(gguf_adapter(tmp_path / "good.gguf").path, model)
    for adapter, why in (
        (gguf_adapter(tmp_path / "model-2.gguf", kind="model"), "not an adapter but a model"),
        (gguf_adapter(tmp_path / "old.gguf", kind=None), "not an adapter but a model"),
        (gguf_adapter(tmp_path / "qwen.gguf", architecture="qwen2"), "for models of qwen2, and this one is of llama"),
        (folder_adapter(tmp_path / "folder"), "is a folder: llama.cpp takes an adapter as a GGUF file"),
    ):
        with pytest.raises(CannotAdapt, match=why):
            check_gguf(adapter.path, model)
    (tmp_path / "text.gguf").write_text("this is no model at all, is it")
    with pytest.raises(CannotAdapt, match="not a GGUF file"):
        check_gguf(tmp_path / "text.gguf", model)
    with pytest.raises(FileNotFoundError):
        check_gguf(tmp_path / "none.gguf", model)


def test_rank_and_layers_are_read_from_the_folder(tmp_path: Path) -> None:
    adapter = folder_adapter(tmp_path / "a", rank=8, modules=("q_proj", "v_proj"), rank_pattern={"x": 24})
    assert rank_of(adapter.path) == 24
    assert modules_of(adapter.path) == {"q_proj", "v_proj"}
    assert modules_of(folder_adapter(tmp_path / "b", target_modules="all-linear").path) == {"all-linear"}
    assert rank_of(tmp_path) == 0


def test_their_files_count_for_the_memory_of_the_model(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(gguf())
    adapters = folder_adapter(tmp_path / "a"), gguf_adapter(tmp_path / "b.gguf"), FORMAL
    size = adapters_bytes(adapters)
    assert size == len(b"weights") + (tmp_path / "b.gguf").stat().st_size, "what is not there is nothing"
    plain, adapted = spec(path=tmp_path / "m.gguf"), spec(*adapters, path=tmp_path / "m.gguf")
    assert 0 < expected_bytes(adapted) - expected_bytes(plain) <= size * 1.1 + 1


# -------------------------------------------------------------------------------------------------------- llama.cpp


def test_llamacpp_is_told_the_scale_of_each_in_every_request() -> None:
    taking = GgufAdapters()
    assert taking.fields((), None) == {}, "nothing is said where there is none"
    plain = taking.fields((FORMAL, PIRATE), None)
    assert plain == {"lora": [{"id": 0, "scale": 0.0}, {"id": 1, "scale": 0.0}]}
    pirate = taking.fields((FORMAL, PIRATE), "pirate")
    assert pirate == {"lora": [{"id": 0, "scale": 0.0}, {"id": 1, "scale": 1.0}]}


def test_llamacpp_changes_its_adapters_with_a_new_start_alone() -> None:
    taking = GgufAdapters()
    assert taking.can_become((FORMAL, PIRATE), (PIRATE, FORMAL))
    assert not taking.can_become((FORMAL,), (FORMAL, PIRATE))
    assert not taking.can_become((FORMAL,), ())


# ----------------------------------------------------------------------------------------------------- transformers


def test_transformers_takes_any_while_it_runs() -> None:
    taking = PeftAdapters()
    assert not taking.is_told_at_start
    assert taking.can_become((), (FORMAL,))
    added, removed = taking.add("m", FORMAL), taking.remove("m", FORMAL)
    assert (added.method, added.path) == ("POST", "/adapters")
    assert added.body == {"name": "formal", "path": "/a/formal"}
    assert (removed.method, removed.path) == ("DELETE", "/adapters/formal")
    assert taking.fields((), "formal") == {}, "it knows model:adapter as callers write it"


# ------------------------------------------------------------------------------------------------ servers of others


@pytest.mark.parametrize("name", ["vllm", "sglang"])
def test_without_adapters_a_server_keeps_no_room_for_them(name: str) -> None:
    launch = launched(name)
    assert "--enable-lora" not in launch.command
    assert launch.environment == {"PATH": "/bin"}


def test_vllm_is_started_with_its_adapters_and_may_take_others(tmp_path: Path) -> None:
    adapters = folder_adapter(tmp_path / "a=b, c", rank=20), folder_adapter(tmp_path / "formal", rank=4)
    launch = launched("vllm", *adapters)
    words = list(launch.command)
    assert words[words.index("--max-lora-rank") + 1] == "32", "the next of those it knows"
    assert "--enable-lora" in words
    first, second = (json.loads(word) for word in words[words.index("--lora-modules") + 1 :])
    assert first == {"name": "m:a=b, c", "path": str(tmp_path / "a=b, c"), "base_model_name": "m"}
    assert second["name"] == "m:formal"
    assert launch.environment == {"PATH": "/bin", "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}
    added, removed = VLLM.add("m", adapters[1]), VLLM.remove("m", adapters[1])
    assert (added.method, added.path) == ("POST", "/v1/load_lora_adapter")
    assert added.body == {"lora_name": "m:formal", "lora_path": str(tmp_path / "formal")}
    assert (removed.path, removed.body) == ("/v1/unload_lora_adapter", {"lora_name": "m:formal"})


def test_sglang_is_started_with_its_adapters_and_may_take_others() -> None:
    words = list(launched("sglang", FORMAL, PIRATE).command)
    assert words[words.index("--enable-lora") :] == [
        *("--enable-lora", "--lora-paths", "formal=/a/formal", "pirate=/a/pirate")
    ]
    added, removed = SGLANG.add("m", FORMAL), SGLANG.remove("m", FORMAL)
    assert (added.path, added.body) == ("/load_lora_adapter", {"lora_name": "formal", "lora_path": "/a/formal"})
    assert (removed.path, removed.body) == ("/unload_lora_adapter", {"lora_name": "formal"})


def test_what_a_server_was_started_with_bounds_what_it_can_take(tmp_path: Path) -> None:
    small, same = folder_adapter(tmp_path / "small", rank=4), folder_adapter(tmp_path / "same", rank=8)
    large = folder_adapter(tmp_path / "large", rank=16)
    wide = folder_adapter(tmp_path / "wide", rank=4, modules=("q_proj", "o_proj"))
    for server in (VLLM, SGLANG):
        assert not server.can_become((), (small,)), "it keeps no room for the first one"
        assert server.can_become((), ())
        assert server.can_become((small, same), (same,))
        assert server.can_become((same,), (small, same))
        assert server.can_become((same,), ())
        assert not server.can_become((same,), (same, large))
    assert VLLM.can_become((small,), (small, same)), "there is room for 8 where the largest has 4"
    assert VLLM.can_become((small,), (small, wide))
    assert not SGLANG.can_become((small,), (small, wide))
