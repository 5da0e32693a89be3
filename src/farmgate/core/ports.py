"""The seams between rooms: what a room needs from a neighbour it may not import."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeAlias

from farmgate.core.model import DeviceState, HealthStatus, ModelInfo, ModelState, Served
from farmgate.core.reply import Reply
from farmgate.core.request import Request
from farmgate.core.usage import Call

__all__ = [
    "Clock",
    "Counted",
    "Counting",
    "Journal",
    "KeptResponse",
    "Lease",
    "Lender",
    "OwnWeights",
    "Places",
    "Progress",
    "Purpose",
    "Report",
    "Responses",
    "Target",
    "Weights",
]


class Target(Protocol):
    """Everything that answers: a provider, a stage, the whole chain."""

    async def send(self, request: Request) -> Reply:
        """Answer, or raise FarmError. The caller closes the Reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How many tokens a request has before it is answered, and by whom they were counted; `estimated`: by nobody."""

    tokens: int
    provider: str
    model: str
    estimated: bool = False


Counting: TypeAlias = Callable[[Request], Awaitable[Counted]]
"""Counts the tokens of a request without answering it. Raises FarmError."""
Clock: TypeAlias = Callable[[], float]
"""Seconds on a clock that never goes back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a long task is. `total` is None while unknown; both count bytes where they count anything."""

    status: str
    completed: int = 0
    total: int | None = None


Report: TypeAlias = Callable[[Progress], None]
"""Called from the event loop, as often as the task likes; it must be quick."""


class Purpose(StrEnum):
    """What an engine is started for: one process serves chat and completions, another embeddings, a third ranks.

    INFER: whatever a model takes that is no language model, and all else that it can; one process for everything.
    """

    GENERATE = "generate"
    EMBED = "embed"
    RERANK = "rerank"
    INFER = "infer"


class Lease(Protocol):
    """An engine's address, held while one request uses it. Release it exactly once; more does no harm."""

    @property
    def url(self) -> str:
        """Base URL of a server that speaks OpenAI, without `/v1` and without a slash at the end."""

    @property
    def key(self) -> str:
        """The engine's own API key; empty when it has none."""

    @property
    def fields(self) -> Mapping[str, object]:
        """What the body of a request for text must hold beside what the caller said: it tells the engine which adapter
        is meant, or that none is. No caller may say it."""

    def release(self, *, answered: bool = False) -> None:
        """`answered`: the engine said all it had to say, so that it is known to be well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """How many requests a model answers at the same time, how many may wait for that, and for how many seconds.

    `model`: whose places they are; those of an adapter are its model's.
    """

    model: str
    parallel: int
    queue: int
    patience_s: float


class Lender(Protocol):
    """Engines, seen from a provider: they lend an address and keep the model running behind it."""

    async def lease(self, model: str, *, purpose: Purpose = Purpose.GENERATE) -> Lease:
        """Start the model if it is not running and wait until it is ready.

        Raises ModelNotFound when there are no such weights and EngineUnavailable when the engine is not
        installed, crashed and waits for its next start, or did not become ready.
        """

    async def load(self, model: str, report: Report) -> None:
        """Make the model ready without using it."""

    async def unload(self, model: str) -> None:
        """End what runs of the model, once those who are at it are done. A later lease starts it again."""

    async def swap(self, model: str, version: str | None, report: Report) -> None:
        """Let another version answer, or the same one loaded anew: it comes up beside, and takes over when it answers.

        Raises InvalidValue where there is no such version, ModelBusy during another change, and whatever keeps the new
        one from coming up; nothing changes then.
        """

    async def rollback(self, model: str, report: Report) -> None:
        """Go back to the version before. Raises NotFound where there was none."""

    def served(self, model: str) -> Served:
        """The version of a model that answers. Nothing is started. Raises ModelNotFound, and EngineUnavailable."""

    def places(self, model: str) -> Places | None:
        """How many requests a model takes; None where there is no such model. Asked for every request."""

    def states(self) -> tuple[ModelState, ...]:
        """Every process of a model, with who uses it."""

    def devices(self) -> tuple[DeviceState, ...]:
        """What models can be loaded on, as it is now."""

    def models(self) -> tuple[ModelInfo, ...]:
        """Every model whose weights are on disk, with `loaded` telling whether it runs now."""

    def state(self) -> tuple[HealthStatus, str | None]:
        """How the engine is, and what to do about it where it is not well."""

    async def close(self) -> None:
        """End every engine process. Returns when they are gone."""


class Journal(Protocol):
    """Where every upstream call is written down, before it is made and when it ends. Writing never raises."""

    def began(self, call: Call) -> None: ...

    def ended(self, call: Call) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptResponse:
    """A response somebody may go on from. `response` is its JSON object, `items` the JSON list of its own input.

    `previous_id`: the response it goes on from. `provider`: the one that gave it in this form and knows its id too.
    `item_ids`: every item in it that has one.
    """

    id: str
    previous_id: str | None
    provider: str | None
    created_unix: int
    item_ids: tuple[str, ...]
    response: bytes
    items: bytes


class Responses(Protocol):
    """Where responses are kept, for as long as there is room and time. What one owner keeps no other can find."""

    @property
    def keeps(self) -> bool:
        """Whether anything is kept at all."""

    def keep(self, owner: str, kept: KeptResponse) -> None:
        """Found from now on. Never raises: an answer is worth more than its copy."""

    async def find(self, owner: str, id: str) -> KeptResponse | None: ...

    async def find_item(self, owner: str, item_id: str) -> KeptResponse | None:
        """The response an item is in."""

    async def forget(self, owner: str, id: str) -> bool:
        """Delete one. False when there is none by that id."""


class Weights(Protocol):
    """Model files on this machine."""

    def models(self) -> tuple[ModelInfo, ...]: ...

    def path(self, model: str) -> Path | None:
        """The GGUF file of a pulled model, or of a path given as the name; None when there is none."""

    async def pull(self, model: str, report: Report) -> Path:
        """Get a model that Farmgate knows, resuming what an earlier try left. Raises FarmError that names what was
        tried. Safe for names that callers send."""

    def remove(self, model: str) -> bool:
        """Delete a pulled model, or what an unfinished pull left of one. False when there is nothing by that name."""


class OwnWeights(Weights, Protocol):
    """The same for whoever runs this machine: files and addresses they name are opened. Never for callers' words."""

    def source(self, text: str) -> Path | None:
        """What an engine is given for a source in the configuration; None where it is not there, or not pulled yet."""

    async def fetch(self, source: str, report: Report, *, name: str | None = None) -> str:
        """Get a model from the hub, an address or a path, and the name it has here: `name`, or one made from it.

        Raises FarmError: InvalidValue for a source or a name that cannot be used, or a name that is taken.
        """
