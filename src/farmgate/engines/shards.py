"""A model in several files: `x-00001-of-00003.gguf` and its like belong together, and the first one leads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from farmgate.engines.folder import folder_bytes

__all__ = ["Shard", "shard_in", "shards_of", "weights_bytes"]

# As `gguf-split` of llama.cpp and the hub's own libraries write it.
SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\.gguf|\.safetensors)")
MOST_SHARDS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One file of several, by what its name says. `number` counts from 1."""

    stem: str
    number: int
    count: int
    kind: str

    def name(self, number: int) -> str:
        """The name of another one of them."""
        return f"{self.stem}-{number:05}-of-{self.count:05}{self.kind}"


def shard_in(name: str) -> Shard | None:
    """What a file's name, or its path, says; None where it is not one of several."""
    found = SHARD.fullmatch(name)
    if found is None:
        return None
    number, count = int(found[2]), int(found[3])
    return Shard(stem=found[1], number=number, count=count, kind=found[4]) if 1 <= number <= count else None


def shards_of(path: Path) -> tuple[Path, ...]:
    """Every file of the GGUF model whose first file this is; the file itself where it is the only one."""
    shard = shard_in(path.name)
    if shard is None or shard.count > MOST_SHARDS:
        return (path,)
    return tuple(path.with_name(shard.name(number)) for number in range(1, shard.count + 1))


def weights_bytes(path: Path) -> int:
    """The size of a model's weights: a GGUF file, the first of several, or the folder of a checkpoint.

    Raises OSError where one of its files is not there.
    """
    return folder_bytes(path) if path.is_dir() else sum(file.stat().st_size for file in shards_of(path))
