"""What the folder of a checkpoint says of itself, in its `config.json`, as Hugging Face writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["attention_heads", "folder_bytes", "folder_context_tokens", "folder_token_bytes", "is_half"]

NUMBER_BYTES = 4
"""Of a key or a value: on a CPU they are kept in full precision."""


def folder_bytes(folder: Path) -> int:
    """The size of its weights."""
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def folder_context_tokens(folder: Path) -> int | None:
    """The context it was trained for; None where it does not say."""
    told = config_of(folder).get("max_position_embeddings")
    return told if isinstance(told, int) and told > 0 else None


def folder_token_bytes(folder: Path) -> int:
    """What a token takes in the cache of keys and values; 0 where the folder does not say."""
    told = config_of(folder)
    try:
        heads = int(told["num_attention_heads"])
        size = int(told.get("head_dim") or told["hidden_size"] // heads)
        layers, kept = int(told["num_hidden_layers"]), int(told.get("num_key_value_heads") or heads)
    except (ValueError, KeyError, TypeError, ZeroDivisionError):
        return 0
    return 2 * NUMBER_BYTES * layers * kept * size


def attention_heads(folder: Path) -> int | None:
    """How many there are in a layer; None where the folder does not say."""
    told = config_of(folder).get("num_attention_heads")
    return told if isinstance(told, int) and told > 0 else None


def is_half(folder: Path) -> bool:
    """Whether its numbers have 16 bits each."""
    told = config_of(folder)
    return (told.get("dtype") or told.get("torch_dtype")) in ("float16", "bfloat16")


def config_of(folder: Path) -> dict[str, Any]:
    """Its configuration; empty where there is none that can be read. A model of several parts has one for its text."""
    try:
        told = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(told, dict):
        return {}
    text = told.get("text_config")
    return {**told, **text} if isinstance(text, dict) else told
