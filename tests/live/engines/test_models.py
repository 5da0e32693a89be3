"""Models of other kinds, tiny and untaught: what can share steps does, what cannot is written alone, all is right."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tests.live.engines.reference import Reference
from tests.live.engines.running import MODELS, StartFailed, asked, at_once, starting

from farmgate.engines.engine import Quantize

SMALL: dict[str, Any] = {
    "vocab_size": 640,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
KINDS: dict[str, tuple[type[Any], dict[str, Any], bool]] = {
    "mistral": (transformers.MistralConfig, SMALL | {"sliding_window": 8}, True),
    "qwen3": (transformers.Qwen3Config, SMALL, True),
    "gemma2": (transformers.Gemma2Config, SMALL | {"sliding_window": 8}, True),
    "gpt2": (
        transformers.GPT2Config,
        {"vocab_size": 640, "n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 256, "eos_token_id": 2},
        True,
    ),
    "mamba": (
        transformers.MambaConfig,
        {"vocab_size": 640, "hidden_size": 64, "num_hidden_layers": 2, "state_size": 8, "eos_token_id": 2},
        False,
    ),
}
PROMPTS = ["How do I", "Tell me everything that there is to know about it, from the beginning.", "x", "the sea the sea"]


def made(kind: str, folder: Path, *, seed: int = 0) -> Path:
    """An untaught model with the guide's tokenizer."""
    config, told, _ = KINDS[kind]
    torch.manual_seed(seed)
    model: Any = transformers.AutoModelForCausalLM.from_config(config(**told))
    for weights in model.parameters():
        if weights.dim() > 1:
            # Untaught models say the same whatever they are asked, unless their weights are large.
            torch.nn.init.normal_(weights, std=0.2)
    at = folder / kind
    model.save_pretrained(at)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(MODELS / "guide-1" / name, at)
    return at


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_write_what_generate_writes(kind: str, tmp_path: Path) -> None:
    folder = made(kind, tmp_path)
    reference = Reference(folder)
    alone = [reference.complete(prompt, most_tokens=40) for prompt in PROMPTS]
    assert len(set(alone)) == len(PROMPTS)
    with starting(folder, tmp_path, parallel=4, context_tokens=128) as running:

        def complete(prompt: str, **more: object) -> str:
            body = {"prompt": prompt, "max_tokens": 40, "temperature": 0, **more}
            return str(running.post("/v1/completions", body)["choices"][0]["text"])

        assert at_once([lambda prompt=prompt: complete(prompt) for prompt in PROMPTS]) == alone  # type: ignore[misc]
        one = complete(PROMPTS[0], temperature=1, seed=3)
        assert one == complete(PROMPTS[0], temperature=1, seed=3)
        assert one != alone[0]
        assert ("one answer at a time" in running.log.read_text()) is not KINDS[kind][2]
        _, props = running.call("GET", "/props")
        assert props["total_slots"] == (4 if KINDS[kind][2] else 1)


def test_who_is_written_alone_can_be_left_too(tmp_path: Path) -> None:
    folder = made("mamba", tmp_path)
    with starting(folder, tmp_path, context_tokens=20_000) as running:
        body = {"prompt": "x", "max_tokens": 15_000, "temperature": 2, "stream": True}
        connection, answer = running.connect("POST", "/v1/completions", body)
        answer().readline()
        connection.close()
        running.until("cancelled_total", lambda told: told == 1)
        assert running.metric("running") == 0


def test_a_model_without_a_template_completes_and_does_not_chat(tmp_path: Path) -> None:
    folder = made("gpt2", tmp_path)
    (folder / "chat_template.jinja").unlink()
    with starting(folder, tmp_path) as running:
        status, told = running.call("POST", "/v1/chat/completions", asked("Hello"))
        assert (status, told["error"]["code"]) == (400, "not_supported")
        assert "no chat template" in told["error"]["message"]
        assert running.post("/v1/completions", {"prompt": "x", "max_tokens": 2})


def test_sixteen_bits_are_possible_where_they_are_asked(tmp_path: Path) -> None:
    with starting(MODELS / "guide-1", tmp_path, dtype="bfloat16") as running:
        assert "bfloat16" in running.log.read_text()
        assert running.said("How do I get a model?")


def broken(name: str, folder: Path) -> Path:
    at = folder / name
    shutil.copytree(MODELS / "guide-1", at)
    weights = at / "model.safetensors"
    match name:
        case "pickled":
            weights.rename(at / "pytorch_model.bin")
        case "cut":
            weights.write_bytes(weights.read_bytes()[:100_000])
        case "unknown":
            (at / "config.json").write_text('{"model_type": "never-heard-of", "architectures": ["Nothing"]}')
        case "no-tokenizer":
            (at / "tokenizer.json").unlink()
    return at


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("pickled", "only pickled weights"),
        ("cut", "could not load the model"),
        ("unknown", "never-heard-of"),
        ("no-tokenizer", "could not load the model"),
    ],
)
def test_what_cannot_be_loaded_is_told_in_one_sentence(name: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(StartFailed) as caught, starting(broken(name, tmp_path), tmp_path):
        pass
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(
    ("quantize", "device", "why"),
    [
        ("none", "gpu1", "torch sees no GPU"),
        ("none", "tpu", "no device 'tpu'"),
        ("4bit", "auto", "need a GPU"),
    ],
)
def test_what_needs_a_gpu_says_so(quantize: Quantize, device: str, why: str, tmp_path: Path) -> None:
    with (
        pytest.raises(StartFailed, match=why),
        starting(MODELS / "guide-1", tmp_path, quantize=quantize, device=device),
    ):
        pass
