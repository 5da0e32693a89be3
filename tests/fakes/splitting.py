"""A GGUF model in two files, made of one as `gguf-split --no-tensor-first-split` of llama.cpp makes them.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct

__all__ = ["in_two"]

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
TEXT, ARRAY, ALIGNMENT = 8, 9, 32


class Walk:
    """A place in a file, moved over what stands there."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def number(self, layout: str) -> int:
        found: int = struct.unpack_from(layout, self.data, self.at)[0]
        self.at += struct.calcsize(layout)
        return found

    def text(self) -> None:
        length = self.number("<Q")
        self.at += length

    def value(self, kind: int) -> None:
        if kind == TEXT:
            self.text()
        elif kind == ARRAY:
            kind, count = self.number("<I"), self.number("<Q")
            if kind in SIZES:
                self.at += count * SIZES[kind]
            else:
                for _ in range(count):
                    self.value(kind)
        else:
            self.at += SIZES[kind]


def in_two(model: bytes, stem: str) -> dict[str, bytes]:
    """The files by their names: what is known of the model in the first, its tensors in the second."""
    magic, version, tensors, pairs = struct.unpack_from("<4sIQQ", model)
    walk = Walk(model, 24)
    for _ in range(pairs):
        walk.text()
        walk.value(walk.number("<I"))
    end_of_pairs = walk.at
    for _ in range(tensors):
        walk.text()
        dimensions = walk.number("<I")
        walk.at += 8 * dimensions + 4 + 8
    start_of_data = -(-walk.at // ALIGNMENT) * ALIGNMENT
    first = struct.pack("<4sIQQ", magic, version, 0, pairs + 3) + model[24:end_of_pairs] + split(0, tensors)
    second = struct.pack("<4sIQQ", magic, version, tensors, 3) + split(1, tensors) + model[end_of_pairs : walk.at]
    return {
        f"{stem}-00001-of-00002.gguf": padded(first),
        f"{stem}-00002-of-00002.gguf": padded(second) + model[start_of_data:],
    }


def split(number: int, tensors: int) -> bytes:
    return (
        pair("split.no", 2, "<H", number)
        + pair("split.count", 2, "<H", 2)
        + pair("split.tensors.count", 5, "<i", tensors)
    )


def pair(key: str, kind: int, layout: str, value: int) -> bytes:
    return struct.pack("<Q", len(key)) + key.encode() + struct.pack("<I", kind) + struct.pack(layout, value)


def padded(head: bytes) -> bytes:
    return head + bytes(-len(head) % ALIGNMENT)
