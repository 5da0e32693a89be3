from __future__ import annotations

import json
from pathlib import Path

import pytest

from farmgate.engines.hf.folder import (
    CannotLoad,
    Pooling,
    check_adapter,
    check_checkpoint,
    pooling_of,
)

GUIDE = Path(__file__).parents[3] / "models/guide-1"


def put(folder: Path, name: str, told: object) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(told if isinstance(told, str) else json.dumps(told))


def test_a_checkpoint_of_safetensors_is_one() -> None:
    check_checkpoint(GUIDE)


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({}, "no config.json"),
        ({"config.json": "{"}, "no config.json"),
        ({"config.json": [1]}, "no config.json"),
        ({"config.json": {"model_type": "llama"}}, "no *.safetensors"),
        ({"config.json": {"model_type": "llama"}, "pytorch_model.bin": ""}, "pickled"),
        ({"config.json": {"auto_map": {"AutoModel": "own.Model"}}, "m.safetensors": ""}, "code of its own"),
    ],
)
def test_what_is_none_is_told_with_what_to_do(tmp_path: Path, files: dict[str, object], why: str) -> None:
    for name, told in files.items():
        put(tmp_path, name, told)
    with pytest.raises(CannotLoad) as caught:
        check_checkpoint(tmp_path)
    assert why in caught.value.message


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    put(tmp_path, "model.gguf", "")
    with pytest.raises(CannotLoad, match="no folder"):
        check_checkpoint(tmp_path / "model.gguf")


def test_an_adapter_is_one_of_lora_in_safetensors(tmp_path: Path) -> None:
    with pytest.raises(CannotLoad, match=r"adapter_config\.json"):
        check_adapter(tmp_path)
    put(tmp_path, "adapter_config.json", {"peft_type": "IA3"})
    with pytest.raises(CannotLoad, match="IA3"):
        check_adapter(tmp_path)
    put(tmp_path, "adapter_config.json", {"peft_type": "LORA"})
    with pytest.raises(CannotLoad, match=r"adapter_model\.safetensors"):
        check_adapter(tmp_path)
    put(tmp_path, "adapter_model.safetensors", "")
    check_adapter(tmp_path)


@pytest.mark.parametrize(
    ("mode", "pooling"),
    [("mean_tokens", Pooling.MEAN), ("cls_token", Pooling.FIRST), ("lasttoken", Pooling.LAST)],
)
def test_vectors_are_pooled_as_their_makers_say(tmp_path: Path, mode: str, pooling: Pooling) -> None:
    put(tmp_path, "1_Pooling/config.json", {"word_embedding_dimension": 4, f"pooling_mode_{mode}": True})
    assert pooling_of(tmp_path) is pooling


def test_who_says_nothing_gets_the_mean(tmp_path: Path) -> None:
    assert pooling_of(tmp_path) is Pooling.MEAN


@pytest.mark.parametrize("modes", [["max_tokens"], ["mean_tokens", "cls_token"], []])
def test_another_way_is_refused_rather_than_done_wrong(tmp_path: Path, modes: list[str]) -> None:
    put(tmp_path, "1_Pooling/config.json", {f"pooling_mode_{mode}": True for mode in modes})
    with pytest.raises(CannotLoad, match="pooled by"):
        pooling_of(tmp_path)
