"""Writes a Llama checkpoint as GGUF, for llama.cpp. Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.numpy import load_file

__all__ = ["write_gguf"]

NAMES = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
ENDS = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
LAYER = "model.layers."


def write_gguf(checkpoint: Path, path: Path, *, name: str) -> None:
    """The same weights in the other format: 16 bits where they are matrices."""
    config = json.loads((checkpoint / "config.json").read_text())
    writer = gguf.GGUFWriter(path, "llama")
    add_shape(writer, config, name)
    add_tokenizer(writer, checkpoint, config)
    for tensor, values in load_file(checkpoint / "model.safetensors").items():
        writer.add_tensor(*converted(tensor, values, config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_shape(writer: Any, config: dict[str, Any], name: str) -> None:
    writer.add_name(name)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    rope = config.get("rope_parameters") or {}
    writer.add_rope_freq_base(float(rope.get("rope_theta", config.get("rope_theta", 10000.0))))
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)


def add_tokenizer(writer: Any, checkpoint: Path, config: dict[str, Any]) -> None:
    told = json.loads((checkpoint / "tokenizer.json").read_text())
    special = {token["id"] for token in told["added_tokens"]}
    words = sorted(told["model"]["vocab"].items(), key=lambda item: item[1])
    kinds = [gguf.TokenType.CONTROL if number in special else gguf.TokenType.NORMAL for _, number in words]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in told["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([word for word, _ in words])
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_add_bos_token(False)
    writer.add_chat_template((checkpoint / "chat_template.jinja").read_text())


def converted(tensor: str, values: Any, config: dict[str, Any]) -> tuple[str, Any]:
    """A tensor's name and values as llama.cpp wants them."""
    if tensor in ENDS:
        name = ENDS[tensor]
    else:
        layer, _, rest = tensor.removeprefix(LAYER).partition(".")
        part = rest.removesuffix(".weight")
        name = f"blk.{layer}.{NAMES[part]}.weight"
        if part == "self_attn.q_proj":
            values = interleaved(values, config["num_attention_heads"])
        elif part == "self_attn.k_proj":
            values = interleaved(values, config["num_key_value_heads"])
    return name, values.astype(np.float32 if values.ndim == 1 else np.float16)


def interleaved(values: Any, heads: int) -> Any:
    """Rotary pairs side by side, where the checkpoint has them half a head apart."""
    rows, columns = values.shape
    return values.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
