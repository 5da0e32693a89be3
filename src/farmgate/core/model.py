"""A model as callers see it, and a provider's state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from farmgate.core.money import Price

__all__ = [
    "CHAT_CAPABILITIES",
    "LONGEST_NAME",
    "Capability",
    "DeviceState",
    "EngineLoad",
    "Facts",
    "Health",
    "HealthStatus",
    "ModelInfo",
    "ModelState",
    "Served",
]

LONGEST_NAME = 2048
"""Characters of an ARN, the longest name of a model any provider has."""

FULL = 0.95
"""Of the key-value cache: from here on engines put requests off, or begin some of them anew."""


class Capability(StrEnum):
    """What a model or provider can be asked for: kinds of answers first, named as `Kind` names them, then what a chat
    may hold, then what can be done with the model itself.
    """

    CHAT = "chat"
    COMPLETION = "completion"
    EMBEDDING = "embedding"
    RERANK = "rerank"
    MODERATION = "moderation"
    IMAGE = "image"
    SPEECH = "speech"
    TRANSCRIPTION = "transcription"
    INFER = "infer"
    TOOLS = "tools"
    VISION = "vision"
    AUDIO = "audio"
    FILES = "files"
    STRUCTURED = "structured"
    REASONING = "reasoning"
    LOAD = "load"
    PULL = "pull"

    # Enum's own hash is a Python function, and capabilities are looked up for each request.
    __hash__ = str.__hash__


CHAT_CAPABILITIES = (
    Capability.TOOLS,
    Capability.VISION,
    Capability.AUDIO,
    Capability.FILES,
    Capability.STRUCTURED,
    Capability.REASONING,
)
"""What some models that chat can and others cannot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a model. What it can and what it `lacks` are told apart: a capability in neither is unknown."""

    context_tokens: int | None = None
    max_output_tokens: int | None = None
    capabilities: frozenset[Capability] = frozenset()
    lacks: frozenset[Capability] = frozenset()
    price: Price | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo(Facts):
    """One model of one provider. `loaded` is None where the provider cannot tell; sizes are of the weights.

    `parent`: the model that an adapter is of. `loaded_context_tokens` is what it has now; it may be loaded anew with
    more, up to `context_tokens`. `leaves_s`: seconds until it leaves memory if nobody uses it; None: it stays, or that
    is not told. Of what was pulled: `source`, as its owner wrote it, the `revision` it was at, and
    its `licence`.
    """

    name: str
    provider: str
    parent: str | None = None
    size_bytes: int | None = None
    description: str | None = None
    loaded: bool | None = None
    loaded_context_tokens: int | None = None
    leaves_s: float | None = None
    created_unix: int = 0
    source: str | None = None
    revision: str | None = None
    licence: str | None = None

    @property
    def window_tokens(self) -> int | None:
        """The context it was loaded with, else the longest it can have."""
        return self.loaded_context_tokens or self.context_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLoad:
    """How busy an inference engine is: requests in its queue and in its batch, and how much of its key-value cache is
    used, from 0 to 1. None: it does not tell."""

    waiting: float | None = None
    running: float | None = None
    cache_used: float | None = None

    @property
    def is_full(self) -> bool:
        """Whether one more request would have to wait for its turn or for memory."""
        return (self.waiting or 0.0) > 0 or (self.cache_used or 0.0) >= FULL

    @property
    def requests(self) -> float:
        """Those it has to do with, as far as it tells."""
        return (self.waiting or 0.0) + (self.running or 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelState:
    """One version of a model on this machine, for one purpose: what its process is, and who uses it.

    `memory`: bytes by device, measured or, until it is loaded, expected. `answers`: whether callers of the name get
    this version. `ttl_left_s`: when it leaves if nobody uses it; None: it stays until another needs the room.
    `load_s`: how long its last start took. `tokens_per_s`: answered lately. `adapters`: those it has. `engine_load`:
    what the engine itself tells, where it does.
    """

    name: str
    version: str
    purpose: str
    engine: str
    state: str
    answers: bool
    memory: Mapping[str, int]
    pid: int | None = None
    in_flight: int = 0
    waiting: int = 0
    starts: int = 0
    ttl_left_s: float | None = None
    pinned: bool = False
    priority: int = 0
    failure: str | None = None
    load_s: float | None = None
    tokens_per_s: float = 0.0
    adapters: tuple[str, ...] = ()
    engine_load: EngineLoad | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A model of this machine, as who asks it for an inference sees it.

    `version`: the one that answers, now or as soon as it is loaded. `infers`: it takes tensors. `is_ready`: loaded.
    """

    name: str
    version: str
    engine: str
    infers: bool
    is_ready: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """What models can be loaded on: a GPU, or the memory of this machine. Sizes in bytes; None: it does not tell.

    `models`: what our models hold or were promised, by model. `utilisation`: from 0 to 1.
    """

    name: str
    title: str
    total: int
    free: int
    models: Mapping[str, int]
    utilisation: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None


class HealthStatus(StrEnum):
    """`loading`: will be healthy by itself soon."""

    HEALTHY = "healthy"
    LOADING = "loading"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A provider's state now; `detail` tells what is wrong and what to do about it."""

    name: str
    status: HealthStatus
    models: tuple[str, ...] = ()
    detail: str | None = None
