"""A model as its owner wants it served: one entry of `models:` in the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from farmgate.engines.adapters import Adapter
from farmgate.engines.engine import Batch, Dtype, Quantize
from farmgate.engines.hours import Hours
from farmgate.engines.surroundings import Keep

__all__ = ["UNDECLARED", "Declared", "Question"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a new version is asked before it takes over, and the text its answer must hold."""

    ask: str
    expect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """`versions`: sources by label: the name of a pulled model, or a path. `version`: the label that answers.

    `engine`: by name; None: the one that its files are for. What is None is as the machine's own defaults say.
    `prewarm`: started before anybody asks. `hours`: when it is kept loaded; outside of them `keep` holds.
    `kept_s`: how long a version that was replaced stays loaded, so that going back to it is instant.
    `queue`, `queue_s`: how many requests wait for their turn at it, and how many seconds at most.
    `command` and `ready`: of the engine `command`, a server by its own words.
    `dtype`, `quantize`: for transformers. `sleeps`: instead of leaving, for vllm and
    sglang.
    `batch`: for engines that batch here, and not in a library of theirs.
    """

    name: str
    versions: Mapping[str, str]
    version: str
    engine: str | None = None
    device: str = "auto"
    adapters: tuple[Adapter, ...] = ()
    command: tuple[str, ...] = ()
    ready: str = "/health"
    arguments: tuple[str, ...] = ()
    memory_bytes: int | None = None
    context_tokens: int | None = None
    parallel: int | None = None
    threads: int | None = None
    keep: Keep = field(default_factory=Keep)
    kept_s: float = 600.0
    question: Question | None = None
    prewarm: bool = False
    hours: tuple[Hours, ...] = ()
    queue: int = 128
    queue_s: float = 60.0
    batch: Batch = field(default_factory=Batch)
    dtype: Dtype = "auto"
    quantize: Quantize = "none"
    sleeps: bool = False


UNDECLARED = Declared(name="", versions={}, version="")
"""What holds for a pulled model that no entry names."""
