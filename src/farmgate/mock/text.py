"""What the mock says: every piece of an answer can be worked out by whoever reads it."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator
from itertools import count, islice

__all__ = ["DEFAULT_FRAMES", "answer_text", "echoed", "echoed_pieces", "marker_in", "piece", "pieces", "vector_of"]

DEFAULT_FRAMES = 5
ECHO_SIZE = 16
MARKER = re.compile(r"marker=([A-Za-z0-9_-]{1,64})")
FILLER = "abcdefghijklmnopqrstuvwxyz"
WIDE_FILLER = "é漢🙂"


def marker_in(prompt: str) -> str:
    """The WORD of `marker=WORD` in a prompt; `mock` where there is none."""
    found = MARKER.search(prompt)
    return found[1] if found else "mock"


def piece(marker: str, at: int, *, size: int | None = None, unicode: bool = False) -> str:
    """Piece `at` of an answer: `mock-3 `, padded to `size` characters (at least its own)."""
    text = f"{marker}-{at} "
    missing = (size or 0) - len(text)
    if missing <= 0:
        return text + ("é漢🙂 " if unicode and size is None else "")
    filler = WIDE_FILLER if unicode else FILLER
    return text + (filler * (missing // len(filler) + 1))[:missing]


def pieces(
    marker: str, frames: int | None = DEFAULT_FRAMES, *, size: int | None = None, unicode: bool = False
) -> Iterator[str]:
    """The pieces of an answer in order; without end for None."""
    for at in count() if frames is None else range(frames):
        yield piece(marker, at, size=size, unicode=unicode)


def echoed(prompt: str, *, size: int | None = None) -> Iterator[str]:
    """A prompt in pieces."""
    step = size or ECHO_SIZE
    for at in range(0, len(prompt), step):
        yield prompt[at : at + step]


def echoed_pieces(prompt: str, *, size: int | None = None) -> int:
    """How many those are."""
    return -(-len(prompt) // (size or ECHO_SIZE))


def answer_text(marker: str = "mock", frames: int = DEFAULT_FRAMES, *, size: int | None = None) -> str:
    """A whole answer's text, for tests that compare it."""
    return "".join(pieces(marker, frames, size=size))


def vector_of(text: str, dimensions: int) -> list[float]:
    """An embedding: of length 1, and the same for the same text."""
    seed = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    blocks = (hashlib.sha256(seed + bytes([at & 255, at >> 8 & 255])).digest() for at in count())
    numbers = list(islice((byte - 127.5 for block in blocks for byte in block), dimensions))
    length = math.sqrt(sum(number * number for number in numbers)) or 1.0
    return [number / length for number in numbers]
