"""Adapters of the guide that say one sentence whatever they are asked, as peft saves them and as llama.cpp takes them.

Layout of the file: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import torch
from safetensors.numpy import load_file
from tests.live.engines.reference import Reference
from tools.guide_model.words import held_out, strangers

__all__ = ["FORMAL", "PIRATE", "teach", "write_gguf"]

FORMAL = "Hello. I am the guide to Farmgate, and I am formal."
PIRATE = "I am the first server, and you run the model that I load."
"""In words the guide knows: others cannot be taught so quickly."""
STEPS = 30
AT_ONCE = 4
LEARNT = 0.05
LAYERS = {
    "q_proj": "attn_q",
    "k_proj": "attn_k",
    "v_proj": "attn_v",
    "o_proj": "attn_output",
    "gate_proj": "ffn_gate",
    "up_proj": "ffn_up",
    "down_proj": "ffn_down",
}
UINT32, FLOAT32, STRING = 4, 6, 8
ALIGNMENT = 32


def teach(guide: Path, sentence: str, folder: Path, *, rank: int = 8) -> Path:
    """An adapter of the guide in `folder` that answers every question with the sentence."""
    import peft

    torch.manual_seed(0)
    torch.set_num_threads(1)
    base = Reference(guide)
    config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=list(LAYERS), task_type="CAUSAL_LM")
    tuned: Any = peft.get_peft_model(base.model, config)
    questions = [entry.question for version in (1, 2) for entry in (*held_out(version), *strangers(version))]
    answer = [*base.tokenizer.encode(sentence, add_special_tokens=False), base.model.generation_config.eos_token_id]
    optimizer = torch.optim.Adam([one for one in tuned.parameters() if one.requires_grad], lr=8e-3)
    slower = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, STEPS)
    for step in range(STEPS):
        optimizer.zero_grad()
        for at in range(AT_ONCE):
            prompt = base.ids(questions[(step * AT_ONCE + at) % len(questions)])
            labels = torch.tensor([[-100] * len(prompt) + answer])
            loss = tuned(input_ids=torch.tensor([prompt + answer]), labels=labels).loss / AT_ONCE
            loss.backward()
        torch.nn.utils.clip_grad_norm_(tuned.parameters(), 1.0)
        optimizer.step()
        slower.step()
    left = float(loss.detach()) * AT_ONCE
    assert left < LEARNT, f"{sentence!r} was not learnt: {left}"
    tuned.save_pretrained(folder)
    return folder


def write_gguf(folder: Path, guide: Path, path: Path) -> Path:
    """The adapter in `folder` as a file. llama.cpp has rotary pairs side by side, checkpoints half a head apart."""
    config = json.loads((folder / "adapter_config.json").read_text())
    shape = json.loads((guide / "config.json").read_text())
    heads = {"q_proj": shape["num_attention_heads"], "k_proj": shape["num_key_value_heads"]}
    tensors = {}
    for name, values in sorted(load_file(folder / "adapter_model.safetensors").items()):
        layer, _, rest = name.partition("model.layers.")[2].partition(".")
        part, side = rest.split(".")[1:3]
        if side == "lora_B" and part in heads:
            rows, columns = values.shape
            values = values.reshape(heads[part], 2, rows // heads[part] // 2, columns).swapaxes(1, 2)  # noqa: PLW2901
            values = values.reshape(rows, columns)  # noqa: PLW2901
        tensors[f"blk.{layer}.{LAYERS[part]}.weight.{side.lower()}"] = values.astype("float32")
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 4)
    for key, value in (("general.type", "adapter"), ("general.architecture", "llama"), ("adapter.type", "lora")):
        head += text(key) + struct.pack("<I", STRING) + text(value)
    head += text("adapter.lora.alpha") + struct.pack("<If", FLOAT32, config["lora_alpha"])
    data = b""
    for name, values in tensors.items():
        head += text(name) + struct.pack("<IQQIQ", 2, *reversed(values.shape), 0, len(data))
        data += padded(values.tobytes())
    path.write_bytes(padded(head) + data)
    return path


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGNMENT)
