"""What a model certainly cannot, as its files say it: nothing is started to find that out."""

from __future__ import annotations

import mmap
from functools import lru_cache
from pathlib import Path

from farmgate.core.model import Capability
from farmgate.engines.folder import config_of
from farmgate.engines.found import Found
from farmgate.engines.gguf import Header, NotGguf, read_header
from farmgate.engines.python.reading import lacks_of

__all__ = ["lacks_of_found"]

WRITES = frozenset({Capability.CHAT, Capability.COMPLETION})
TEXT = frozenset({Capability.VISION, Capability.AUDIO})
"""What no engine of ours is given the weights for."""
RANKED = 4
"""`pooling_type` of a model that was made to rank."""
HEADS = (b"cls.weight", b"cls.output.weight")
"""Tensors of a ranker whose metadata does not say that it is one."""
HEAD_BYTES = 64 << 20
"""How far into a file the names of its tensors are looked for: they come behind the words of its tokenizer."""
WRITERS = ("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")


def lacks_of_found(found: Found, engine: str) -> frozenset[Capability]:
    """`engine`: whom it is served by. Nothing is said of what the files do not tell."""
    match engine:
        case "python":
            return lacks_of(found.path, found.attribute)
        case "onnx":
            return TEXT | WRITES | {Capability.RERANK}
        case _ if found.path.suffix == ".gguf":
            return TEXT | lacks_of_gguf(found.path)
        case _:
            return TEXT | {Capability.RERANK} | (frozenset() if may_write(found.path) else WRITES)


def may_write(folder: Path) -> bool:
    """Whether the checkpoint is of a model that writes text, or does not say."""
    told = config_of(folder).get("architectures")
    names = [name for name in told if isinstance(name, str)] if isinstance(told, list) else []
    return not names or any(name.endswith(WRITERS) for name in names)


def lacks_of_gguf(path: Path) -> frozenset[Capability]:
    try:
        stat = path.stat()
        return lacking(path, stat.st_mtime_ns, stat.st_size)
    except (OSError, ValueError):
        return frozenset()


@lru_cache(maxsize=256)
def lacking(path: Path, _mtime_ns: int, _size: int) -> frozenset[Capability]:
    try:
        header = read_header(path)
    except NotGguf:
        # Of another version: the engine may know it.
        return frozenset()
    if ranks(path, header):
        return WRITES | {Capability.EMBEDDING}
    return frozenset({Capability.RERANK}) | (WRITES if header.is_causal is False else frozenset())


def ranks(path: Path, header: Header) -> bool:
    """A ranker says so, or is an encoder with a head that gives scores."""
    if header.pooling is not None:
        return header.pooling == RANKED
    return header.is_causal is False and any(has_tensor(path, name) for name in HEADS)


def has_tensor(path: Path, name: bytes) -> bool:
    """Names are written behind their length: looked for as they stand there, they are found in a moment."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(len(name).to_bytes(8, "little") + name, 0, HEAD_BYTES) >= 0
