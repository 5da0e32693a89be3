"""What the folder of a checkpoint says of itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from farmgate.engines.folder import folder_bytes, folder_context_tokens, folder_token_bytes
from farmgate.engines.found import engine_for
from farmgate.engines.pulling.weights import ModelStore

GUIDE = Path(__file__).parents[2] / "models" / "guide-1"


def test_a_real_one_tells_its_size_and_context() -> None:
    assert folder_bytes(GUIDE) == (GUIDE / "model.safetensors").stat().st_size
    assert folder_context_tokens(GUIDE) == 1024
    assert folder_token_bytes(GUIDE) == 2 * 4 * 4 * 2 * 32


def test_a_model_of_several_parts_tells_them_of_its_text(tmp_path: Path) -> None:
    text = {"num_attention_heads": 2, "hidden_size": 8, "num_hidden_layers": 3, "max_position_embeddings": 99}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "x", "text_config": text}))
    assert folder_context_tokens(tmp_path) == 99
    assert folder_token_bytes(tmp_path) == 2 * 4 * 3 * 2 * 4


@pytest.mark.parametrize("config", ["", "[]", "{}", "[" * 100_000, '{"max_position_embeddings": -1}'])
def test_one_that_says_nothing_is_not_guessed(tmp_path: Path, config: str) -> None:
    assert folder_context_tokens(tmp_path) is None
    (tmp_path / "config.json").write_text(config)
    assert folder_context_tokens(tmp_path) is None
    assert folder_token_bytes(tmp_path) == 0
    assert folder_bytes(tmp_path) == 0


def test_a_folder_is_a_source_for_the_operator_and_no_name_for_a_caller(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, sources=())
    assert store.source(str(GUIDE)) == GUIDE
    assert store.known(str(GUIDE)) is None
    assert store.source(str(tmp_path)) is None, "there is no config.json in it"
    assert store.source("\0") is None
    assert store.context_tokens(GUIDE) == 1024
    assert engine_for(GUIDE) == "transformers"
    assert engine_for(GUIDE.with_suffix(".gguf")) == "llamacpp"
