"""What a model cannot is read in its files, and never guessed."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from tests.unit.engines.fakes import gguf, text

from farmgate.core.model import Capability
from farmgate.engines.abilities import lacks_of_found
from farmgate.engines.found import Found

MODELS = Path(__file__).parent.parent.parent / "models"
WRITES = {Capability.CHAT, Capability.COMPLETION}
ASKED = WRITES | {Capability.EMBEDDING, Capability.RERANK}


def lacks(path: Path, engine: str = "llamacpp") -> set[Capability]:
    return set(lacks_of_found(Found(path=path, engine=engine), engine)) & ASKED


def encoder(tmp_path: Path, *, pooling: int | None = None, causal: bool = False, after: bytes = b"") -> Path:
    pairs = [text("general.architecture") + struct.pack("<I", 8) + text("bert")]
    pairs.append(text("bert.attention.causal") + struct.pack("<IB", 7, causal))
    if pooling is not None:
        pairs.append(text("bert.pooling_type") + struct.pack("<II", 4, pooling))
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + b"".join(pairs) + after)
    return path


def test_a_model_that_writes_embeds_and_does_not_rank() -> None:
    assert lacks(MODELS / "guide-1.gguf") == {Capability.RERANK}


def test_a_ranker_is_known_by_its_head_of_scores() -> None:
    assert lacks(MODELS / "ranker.gguf") == WRITES | {Capability.EMBEDDING}


def test_an_encoder_embeds_and_writes_nothing(tmp_path: Path) -> None:
    assert lacks(encoder(tmp_path)) == WRITES | {Capability.RERANK}


def test_what_it_says_of_its_pooling_goes_before_its_tensors(tmp_path: Path) -> None:
    assert lacks(encoder(tmp_path, pooling=4, causal=True)) == WRITES | {Capability.EMBEDDING}
    assert lacks(encoder(tmp_path, pooling=1, after=text("cls.weight"))) == WRITES | {Capability.RERANK}


def test_a_word_that_only_looks_like_the_tensor_makes_no_ranker(tmp_path: Path) -> None:
    assert lacks(encoder(tmp_path, after=b"about cls.weight")) == WRITES | {Capability.RERANK}


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    path = encoder(tmp_path)
    assert Capability.RERANK in lacks(path)
    path = encoder(tmp_path, after=text("cls.output.weight"))
    assert Capability.RERANK not in lacks(path)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF" + bytes(40), gguf()[:30], b"something else"])
def test_what_cannot_be_read_is_nothing_known(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    assert not lacks(path) - {Capability.RERANK}
    assert not lacks(tmp_path / "gone.gguf")


@pytest.mark.parametrize(
    ("architectures", "lacking"),
    [
        (["LlamaForCausalLM"], {Capability.RERANK}),
        (["Qwen2_5_VLForConditionalGeneration"], {Capability.RERANK}),
        (["BertModel"], WRITES | {Capability.RERANK}),
        ([], {Capability.RERANK}),
        ("LlamaForCausalLM", {Capability.RERANK}),
        ([7], {Capability.RERANK}),
    ],
)
def test_a_checkpoint_says_whether_it_writes(tmp_path: Path, architectures: object, lacking: set[Capability]) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": architectures}))
    assert lacks(tmp_path, "transformers") == lacking
