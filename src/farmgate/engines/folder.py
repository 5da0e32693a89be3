"""What the folder of a checkpoint says of itself, in its `config.json`, as Hugging Face writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = [
    "NUMBER_BYTES",
    "attention_heads",
    "config_of",
    "folder_bytes",
    "folder_context_tokens",
    "folder_token_bytes",
    "number_bytes",
    "read_json",
    "vocabulary_numbers",
]

MOST_JSON_BYTES = 16 << 20
NUMBER_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def folder_bytes(folder: Path) -> int:
    """The size of its weights."""
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def folder_context_tokens(folder: Path) -> int | None:
    """The context it was trained for; None where it does not say."""
    told = config_of(folder).get("max_position_embeddings")
    return told if isinstance(told, int) and told > 0 else None


def folder_token_bytes(folder: Path, each: int = 4) -> int:
    """What a token takes in the cache of keys and values, `each` of which has so many bytes; 0 where the folder does
    not say."""
    told = config_of(folder)
    try:
        heads = int(told["num_attention_heads"])
        size = int(told.get("head_dim") or told["hidden_size"] // heads)
        layers, kept = int(told["num_hidden_layers"]), int(told.get("num_key_value_heads") or heads)
    except (ValueError, KeyError, TypeError, ZeroDivisionError):
        return 0
    return 2 * each * layers * kept * size


def attention_heads(folder: Path) -> int | None:
    """How many there are in a layer; None where the folder does not say."""
    told = config_of(folder).get("num_attention_heads")
    return told if isinstance(told, int) and told > 0 else None


def number_bytes(folder: Path) -> int | None:
    """What each of its numbers takes; None where it does not say, or they were made smaller already."""
    told = config_of(folder)
    return (
        None if "quantization_config" in told else NUMBER_BYTES.get(str(told.get("dtype") or told.get("torch_dtype")))
    )


def vocabulary_numbers(folder: Path) -> int:
    """Of its numbers, those of the tokens themselves, which stay as they are when the others are made smaller."""
    told = config_of(folder)
    size, count = told.get("hidden_size"), told.get("vocab_size")
    if not isinstance(size, int) or not isinstance(count, int):
        return 0
    return max(0, size * count) * (1 if told.get("tie_word_embeddings") is True else 2)


def config_of(folder: Path) -> dict[str, Any]:
    """Its configuration; empty where there is none that can be read. A model of several parts has one for its text."""
    told = read_json(folder / "config.json") or {}
    text = told.get("text_config")
    return {**told, **text} if isinstance(text, dict) else told


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file; None where there is none that can be read."""
    try:
        if path.stat().st_size > MOST_JSON_BYTES:
            return None
        told = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None
