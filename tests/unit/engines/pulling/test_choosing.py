"""Which files are taken of a repository: pure, on lists of names and sizes."""

from __future__ import annotations

import pytest

from farmgate.core.locator import HubModel, parse_locator
from farmgate.engines.pulling.choosing import choose
from farmgate.engines.pulling.quantisation import quantisation_in
from farmgate.engines.pulling.repository import Repository, RepositoryFile
from farmgate.engines.pulling.sources import NotThere

SHARDS = [f"big-Q4_K_M-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
CHECKPOINT = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "generation_config.json"]


def repository(*paths: str, size: int = 1_000_000_000) -> Repository:
    files = tuple(RepositoryFile(path=path, size_bytes=size) for path in paths)
    return Repository(name="owner/name", commit="0" * 40, licence=None, files=files)


def chosen(paths: list[str], text: str = "hf:owner/name") -> list[str]:
    locator = parse_locator(text)
    assert isinstance(locator, HubModel)
    return [file.path for file in choose(repository(*paths), locator).files]


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("model-Q4_K_M.gguf", "Q4_K_M"),
        ("model.q4_k_m.gguf", "Q4_K_M"),
        ("Llama-3.2-1B-Instruct-IQ3_XXS.gguf", "IQ3_XXS"),
        ("model_Q8_0.gguf", "Q8_0"),
        ("model-f16.gguf", "F16"),
        ("model-fp16.gguf", "F16"),
        ("model.BF16.gguf", "BF16"),
        ("gpt-oss-20b-MXFP4.gguf", "MXFP4"),
        ("Qwen3-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("Q4_K_M/model.gguf", "Q4_K_M"),
        ("Q8_0/model-Q4_0.gguf", "Q4_0"),
        ("model.gguf", None),
        ("q4wen-chat.gguf", None),
        ("FAQ4_0.gguf", None),
    ],
)
def test_a_name_says_how_it_is_quantised(path: str, label: str | None) -> None:
    assert quantisation_in(path) == label


def test_one_file_needs_no_choice() -> None:
    choice = choose(repository("README.md", "model.gguf"), HubModel(repository="owner/name"))
    assert [file.path for file in choice.files] == ["model.gguf"]
    assert (choice.told, choice.is_checkpoint) == ("", False)


def test_of_several_the_preferred_is_taken_and_the_others_are_named() -> None:
    paths = ["m-F16.gguf", "m-Q8_0.gguf", "m-Q4_K_M.gguf", "m-Q2_K.gguf", "mmproj-m-F16.gguf", "m.imatrix.gguf"]
    choice = choose(repository(*paths), HubModel(repository="owner/name"))
    assert [file.path for file in choice.files] == ["m-Q4_K_M.gguf"]
    assert choice.told == (
        "taking Q4_K_M (1.0 GB); there is also Q8_0 (1.0 GB), Q2_K (1.0 GB), F16 (1.0 GB): hf:owner/name:... names one"
    )


@pytest.mark.parametrize(
    ("paths", "taken"),
    [
        (["m-Q8_0.gguf", "m-Q5_K_M.gguf"], "m-Q5_K_M.gguf"),
        (["m-F16.gguf", "m-Q8_0.gguf"], "m-Q8_0.gguf"),
        (["m-IQ1_S.gguf", "m-F16.gguf"], "m-F16.gguf"),
        (["m.gguf", "m-Q3_K_M.gguf"], "m-Q3_K_M.gguf"),
    ],
)
def test_without_the_first_choice_there_are_others(paths: list[str], taken: str) -> None:
    assert chosen(paths) == [taken]


@pytest.mark.parametrize("text", ["hf:owner/name:Q8_0", "hf:owner/name:q8_0", "hf:owner/name:m-Q8_0.gguf"])
def test_one_can_be_named_by_its_quantisation_or_its_file(text: str) -> None:
    assert chosen(["m-Q4_K_M.gguf", "m-Q8_0.gguf"], text) == ["m-Q8_0.gguf"]


def test_a_file_can_be_named_without_its_folder_where_that_is_clear() -> None:
    assert chosen(["a/m-Q8_0.gguf", "a/m-Q4_0.gguf"], "hf:owner/name:m-Q8_0.gguf") == ["a/m-Q8_0.gguf"]
    with pytest.raises(NotThere, match=r"several: name one, such as hf:owner/name:a/m-Q8_0\.gguf"):
        chosen(["a/m-Q8_0.gguf", "b/m-Q8_0.gguf"], "hf:owner/name:m-Q8_0.gguf")


def test_two_models_with_the_same_quantisation_are_not_guessed_between() -> None:
    with pytest.raises(NotThere, match=r"has several models: name one, such as hf:owner/name:small-Q4_K_M\.gguf"):
        chosen(["small-Q4_K_M.gguf", "xlarge-Q4_K_M.gguf", "small-Q8_0.gguf"])


def test_what_is_not_there_is_told_with_what_is() -> None:
    with pytest.raises(NotThere, match=r"owner/name has no Q5_0\. It has Q4_K_M \(1.0 GB\), Q8_0"):
        chosen(["m-Q4_K_M.gguf", "m-Q8_0.gguf"], "hf:owner/name:Q5_0")
    with pytest.raises(NotThere, match="It has no GGUF files"):
        chosen(CHECKPOINT, "hf:owner/name:m.gguf")


@pytest.mark.parametrize("text", ["hf:owner/name", "hf:owner/name:Q4_K_M", f"hf:owner/name:{SHARDS[0]}"])
def test_every_part_of_a_model_in_parts_comes_in_its_order(text: str) -> None:
    assert chosen(["README.md", *reversed(SHARDS), "big-Q8_0.gguf"], text) == SHARDS


def test_any_part_names_them_all() -> None:
    assert chosen(SHARDS, f"hf:owner/name:{SHARDS[2]}") == SHARDS


def test_a_model_that_lacks_a_part_is_not_taken() -> None:
    assert chosen([*SHARDS[:2], "m-Q2_K.gguf"]) == ["m-Q2_K.gguf"]
    with pytest.raises(NotThere, match="neither GGUF files nor a checkpoint"):
        chosen(SHARDS[1:])


def test_a_checkpoint_comes_with_what_an_engine_reads_and_without_code_or_pickles() -> None:
    beside = [
        *("special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "tokenizer.model", "vocab.txt"),
        *(
            "chat_template.jinja",
            "chat_template.json",
            "1_Pooling/config.json",
            "modules.json",
            "LICENSE",
            "LICENSE.txt",
        ),
        *("preprocessor_config.json", "sentence_bert_config.json", "config_sentence_transformers.json", "spiece.model"),
    ]
    not_taken = [
        *("README.md", ".gitattributes", "pytorch_model.bin", "model.pt", "modeling_owner.py", "tokenization_x.py"),
        *("onnx/model.onnx", "original/model.safetensors", "tf_model.h5", "flax_model.msgpack", "training_args.bin"),
        *("consolidated.safetensors", "model.fp16.safetensors", "configuration_owner.py", "runs/config.json"),
    ]
    assert set(chosen([*CHECKPOINT, *beside, *not_taken])) == {*CHECKPOINT, *beside}


def test_the_parts_of_a_checkpoint_all_come() -> None:
    parts = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    paths = ["config.json", "model.safetensors.index.json", *parts, "consolidated-00001-of-00001.safetensors"]
    assert chosen(paths) == ["config.json", "model.safetensors.index.json", *parts]
    with pytest.raises(NotThere, match=r"lacks model-00002-of-00002\.safetensors"):
        chosen(["config.json", parts[0]])


def test_weights_by_another_name_are_taken_where_there_are_no_others() -> None:
    assert chosen(["config.json", "weights.safetensors"]) == ["config.json", "weights.safetensors"]


@pytest.mark.parametrize(
    ("paths", "why"),
    [
        (["config.json", "pytorch_model.bin"], "only pickled weights, which can run code"),
        (["adapter_config.json", "adapter_model.safetensors"], "is an adapter, not a model"),
        (["README.md"], "neither GGUF files nor a checkpoint"),
        (["model.safetensors"], "neither GGUF files nor a checkpoint"),
        ([], "neither GGUF files nor a checkpoint"),
    ],
)
def test_a_repository_without_a_model_that_can_be_used_says_why(paths: list[str], why: str) -> None:
    with pytest.raises(NotThere, match=why):
        chosen(paths)
