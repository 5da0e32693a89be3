"""What a model takes is guessed from its files, and measured from its process."""

from __future__ import annotations

import json
import os
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.engines.fakes import gguf, text

from farmgate.core.ports import Purpose
from farmgate.engines.engine import CONTEXT_BYTES, Dtype, Quantize, Spec
from farmgate.engines.gguf import parse_header
from farmgate.engines.needs import BASE_BYTES, TORCH_BYTES, expected_bytes, resident_bytes

MODELS = Path(__file__).parents[2] / "models"


def spec(path: Path, *, context: int = 1000, parallel: int = 4) -> Spec:
    return Spec(model="m", path=path, purpose=Purpose.GENERATE, context_tokens=context, parallel=parallel, threads=1)


def numbers(**values: int) -> bytes:
    """The head of a file that says these things of architecture x."""
    pairs = [text("general.architecture") + struct.pack("<I", 8) + text("x")]
    pairs += [text(f"x.{key.replace('__', '.')}") + struct.pack("<II", 4, value) for key, value in values.items()]
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + b"".join(pairs)


def test_a_token_takes_a_key_and_a_value_in_every_layer_and_head() -> None:
    told = numbers(block_count=4, embedding_length=128, attention__head_count=4, attention__head_count_kv=2)
    assert parse_header(told).token_bytes == 2 * 4 * 2 * (32 + 32)


def test_every_part_of_a_model_counts(tmp_path: Path) -> None:
    head = numbers(block_count=1, embedding_length=32, attention__head_count=1)
    (tmp_path / "m-00001-of-00002.gguf").write_bytes(head)
    (tmp_path / "m-00002-of-00002.gguf").write_bytes(bytes(10_000_000))
    first = tmp_path / "m-00001-of-00002.gguf"
    alone = expected_bytes(spec(first)) - expected_bytes(spec(first, context=0))
    assert expected_bytes(spec(first)) == int((len(head) + 10_000_000) * 1.1) + alone + BASE_BYTES


def test_a_head_may_have_a_size_of_its_own_and_every_head_may_be_kept() -> None:
    told = numbers(
        block_count=4, embedding_length=128, attention__head_count=4, attention__key_length=64,
        attention__value_length=16,
    )  # fmt: skip
    assert parse_header(told).token_bytes == 2 * 4 * 4 * (64 + 16)


@pytest.mark.parametrize("without", ["block_count", "embedding_length", "attention__head_count"])
def test_what_the_file_does_not_say_or_says_out_of_reason_is_not_guessed(without: str) -> None:
    values = {"block_count": 4, "embedding_length": 128, "attention__head_count": 4}
    assert parse_header(numbers(**values)).token_bytes is not None
    assert parse_header(numbers(**{**values, without: 0})).token_bytes is None
    assert parse_header(numbers(**{**values, without: 1 << 31})).token_bytes is None
    del values[without]
    assert parse_header(numbers(**values)).token_bytes is None


def test_weights_and_the_cache_of_every_slot_and_the_program_are_counted() -> None:
    file = MODELS / "guide-1.gguf"
    token = 2 * 4 * 2 * (32 + 32)
    assert expected_bytes(spec(file)) == int(file.stat().st_size * 1.1) + 4000 * token + BASE_BYTES


def test_a_file_that_says_nothing_counts_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "x.gguf"
    file.write_bytes(b"something else")
    assert expected_bytes(spec(file)) == 14 + BASE_BYTES
    file.write_bytes(gguf())
    assert expected_bytes(spec(file)) == int(len(gguf()) * 1.1) + BASE_BYTES
    with pytest.raises(OSError, match="No such file"):
        expected_bytes(spec(tmp_path / "none.gguf"))


def test_on_a_gpu_it_counts_what_the_engine_has_there() -> None:
    for path in (MODELS / "guide-1.gguf", MODELS / "guide-1"):
        little, much = (expected_bytes(spec(path), on_host=False, gpu_bytes=count) for count in (1, 1001))
        assert much == little + 1000


def test_a_folder_is_counted_with_its_own_words() -> None:
    folder = MODELS / "guide-1"
    weights = (folder / "model.safetensors").stat().st_size
    cache = 4000 * (2 * 4 * 4 * 2 * 32)
    assert expected_bytes(spec(folder), on_host=False) == int(weights * 1.1) + cache // 2 + CONTEXT_BYTES
    assert expected_bytes(spec(folder)) == int(2 * weights * 1.1) + cache + TORCH_BYTES, "with 32 bits on a processor"


@pytest.mark.parametrize("config", ["", "[]", "{}", json.dumps({"num_attention_heads": 0, "hidden_size": 1})])
def test_a_folder_that_says_nothing_of_itself_counts_as_it_is(tmp_path: Path, config: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(bytes(1000))
    (tmp_path / "config.json").write_text(config)
    assert expected_bytes(spec(tmp_path)) == 1100 + TORCH_BYTES


def checkpoint(folder: Path, numbers: int, *, dtype: str = "bfloat16", **more: object) -> Path:
    """One of so many numbers, 300 of them for 10 tokens going in and coming out."""
    told = {"dtype": dtype, "vocab_size": 10, "hidden_size": 15, **more}
    (folder / "config.json").write_text(json.dumps(told))
    (folder / "model.safetensors").write_bytes(bytes(numbers * (4 if dtype == "float32" else 2)))
    return folder


@pytest.mark.parametrize(
    ("dtype", "on_host", "each"),
    [("auto", True, 4), ("auto", False, 2), ("float32", False, 4), ("bfloat16", True, 2), ("float16", False, 2)],
)
def test_weights_count_as_the_numbers_they_are_computed_with(
    tmp_path: Path, dtype: Dtype, on_host: bool, each: int
) -> None:
    base = TORCH_BYTES if on_host else CONTEXT_BYTES
    heads = {"num_attention_heads": 1, "num_hidden_layers": 1}
    for stored in ("bfloat16", "float32"):
        model = replace(spec(checkpoint(tmp_path, 1300, dtype=stored, **heads)), dtype=dtype)
        own = 4 if stored == "float32" and dtype == "auto" else each
        cache = 4000 * 2 * own * 15
        assert expected_bytes(model, on_host=on_host) == int(1300 * own * 1.1) + cache + base


@pytest.mark.parametrize(("quantize", "bits"), [("4bit", 4.5), ("8bit", 8.5)])
def test_weights_that_are_made_smaller_count_as_small_but_for_those_of_tokens(
    tmp_path: Path, quantize: Quantize, bits: float
) -> None:
    model = replace(spec(checkpoint(tmp_path, 1300)), quantize=quantize)
    assert expected_bytes(model, on_host=False) == int((300 * 2 + int(1000 * bits / 8)) * 1.1) + CONTEXT_BYTES
    tied = replace(spec(checkpoint(tmp_path, 1150, tie_word_embeddings=True)), quantize=quantize)
    assert expected_bytes(tied, on_host=False) == int((150 * 2 + int(1000 * bits / 8)) * 1.1) + CONTEXT_BYTES
    made = replace(spec(checkpoint(tmp_path, 1000, quantization_config={})), quantize=quantize)
    assert expected_bytes(made, on_host=False) == int(2000 * 1.1) + CONTEXT_BYTES, "they are smaller than they say"


def test_what_a_process_holds_is_read_where_the_system_tells_it(tmp_path: Path) -> None:
    here = resident_bytes(os.getpid())
    assert here is not None
    assert here > 10 * 2**20
    assert resident_bytes(os.getpid(), proc=tmp_path) is None
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "statm").write_text("1000 3 2 1")
    assert resident_bytes(7, proc=tmp_path) == 3 * os.sysconf("SC_PAGE_SIZE")
    (tmp_path / "7" / "task" / "7").mkdir(parents=True)
    (tmp_path / "7" / "task" / "7" / "children").write_text("8 9 ")
    (tmp_path / "8").mkdir()
    (tmp_path / "8" / "statm").write_text("1000 4 2 1")
    assert resident_bytes(7, proc=tmp_path) == 7 * os.sysconf("SC_PAGE_SIZE"), "with a child; another has gone"
    (tmp_path / "7" / "statm").write_text("")
    assert resident_bytes(7, proc=tmp_path) is None
