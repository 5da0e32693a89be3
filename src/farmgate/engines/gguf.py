"""The head of a GGUF file says which architecture it holds and how much context it was trained for.

Source of the layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MAGIC", "Header", "NotGguf", "is_gguf", "parse_header", "read_header"]

MAGIC = b"GGUF"

# A tokenizer's word list is megabytes long and comes after everything wanted here.
READ_BYTES = 256 * 1024
MAX_KEYS = 65_536
MAX_TEXT_BYTES = 1 << 20
MAX_CONTEXT_TOKENS = 1 << 30
MAX_SIZE = 1 << 20
MAX_ARRAY_DEPTH = 4

_TEXT, _ARRAY = 8, 9
_NUMBERS = {0: "B", 1: "b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "B", 10: "<Q", 11: "<q", 12: "<d"}


class NotGguf(ValueError):
    """The bytes are not the head of a GGUF file of version 2 or 3."""


class _CutOff(Exception):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """None where the file does not say, or says it after the part that was read.

    `kind`: model, adapter and the like.
    `token_bytes`: what one token of context takes in the cache of keys and values, at 2 bytes a number. `pooling`: what
    becomes of the vectors of all tokens, by llama.cpp's numbers. `is_causal`: False where each token sees those behind
    it, so that it writes no text.
    """

    kind: str | None = None
    architecture: str | None = None
    name: str | None = None
    context_tokens: int | None = None
    token_bytes: int | None = None
    pooling: int | None = None
    is_causal: bool | None = None


def is_gguf(path: Path) -> bool:
    """Whether a readable file at `path` starts as GGUF does. Never raises."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except (OSError, ValueError):
        return False


def read_header(path: Path) -> Header:
    """Raises NotGguf, or OSError when the file cannot be read. Reads at most 256 KiB."""
    with path.open("rb") as file:
        return parse_header(file.read(READ_BYTES))


def parse_header(data: bytes) -> Header:
    """What the first bytes of a file say. Cut off after 24 bytes or more it says less, never something else."""
    cursor = _Cursor(data)
    try:
        if cursor.take(4) != MAGIC or cursor.number(4) not in {2, 3}:
            raise NotGguf("this is not a GGUF file of version 2 or 3")
        cursor.number(10)
        keys = cursor.number(10)
    except _CutOff:
        raise NotGguf("the file ends within its first 24 bytes") from None
    if keys > MAX_KEYS:
        raise NotGguf(f"the file claims {keys} metadata keys")
    return _header(_values(cursor, int(keys)))


def _values(cursor: _Cursor, keys: int) -> dict[str, object]:
    values: dict[str, object] = {}
    try:
        for _ in range(keys):
            key = cursor.text()
            if key.startswith("tokenizer."):
                break
            values[key] = cursor.value(int(cursor.number(4)))
    except _CutOff:
        pass
    return values


def _header(values: dict[str, object]) -> Header:
    architecture = values.get("general.architecture")
    name = values.get("general.name")
    kind = values.get("general.type")
    context = values.get(f"{architecture}.context_length")
    known = isinstance(context, int) and 0 < context <= MAX_CONTEXT_TOKENS
    pooling, causal = values.get(f"{architecture}.pooling_type"), values.get(f"{architecture}.attention.causal")
    return Header(
        kind=kind if isinstance(kind, str) else None,
        architecture=architecture if isinstance(architecture, str) else None,
        name=name if isinstance(name, str) else None,
        context_tokens=context if known and isinstance(context, int) else None,
        token_bytes=_token_bytes(values, architecture),
        pooling=pooling if isinstance(pooling, int) else None,
        is_causal=bool(causal) if isinstance(causal, int) else None,
    )


def _token_bytes(values: dict[str, object], architecture: object) -> int | None:
    def told(key: str) -> int | None:
        value = values.get(f"{architecture}.{key}")
        return value if isinstance(value, int) and 0 < value <= MAX_SIZE else None

    layers, heads, width = told("block_count"), told("attention.head_count"), told("embedding_length")
    # Where each layer has its own number of heads, the file holds a list: more than it takes is expected then.
    kept_heads = told("attention.head_count_kv") or heads
    if layers is None or heads is None or kept_heads is None or width is None:
        return None
    of_key = told("attention.key_length") or width // heads
    of_value = told("attention.value_length") or width // heads
    return 2 * layers * kept_heads * (of_key + of_value)


class _Cursor:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise _CutOff
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def number(self, kind: int) -> int | float:
        layout = _NUMBERS.get(kind)
        if layout is None:
            raise NotGguf(f"the file holds a value of unknown type {kind}")
        found: int | float = struct.unpack(layout, self.take(struct.calcsize(layout)))[0]
        return found

    def text(self) -> str:
        length = self.number(10)
        if length > MAX_TEXT_BYTES:
            raise NotGguf(f"the file claims a text of {length} bytes")
        return self.take(int(length)).decode("utf-8", "replace")

    def value(self, kind: int, depth: int = 0) -> object:
        if kind == _TEXT:
            return self.text()
        if kind == _ARRAY:
            self._skip_array(depth)
            return None
        return self.number(kind)

    def _skip_array(self, depth: int) -> None:
        kind, count = int(self.number(4)), int(self.number(10))
        if kind in _NUMBERS:
            self.take(count * struct.calcsize(_NUMBERS[kind]))
            return
        if depth >= MAX_ARRAY_DEPTH:
            raise NotGguf("the file nests arrays too deeply")
        # Every element of a text or nested array takes bytes, so the data bounds this loop, not `count`.
        for _ in range(count):
            self.value(kind, depth + 1)
