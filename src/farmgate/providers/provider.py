"""The seam every provider fills: a Target that can also say what it has and how it is."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from farmgate.core.errors import NotSupported
from farmgate.core.model import Capability, EngineLoad, Health, ModelInfo
from farmgate.core.ports import Report
from farmgate.core.reply import Reply
from farmgate.core.request import Kind, Request

__all__ = ["SAID_IN", "CountsTokens", "Learner", "Provider", "ProviderBase", "TellsLoad", "Unloads"]

SAID_IN = {Kind.CHAT: "messages", Kind.COMPLETION: "prompt", Kind.EMBEDDING: "input"}
"""The field of a request that its provider found too long or of a kind it does not take."""


@runtime_checkable
class Provider(Protocol):
    """Who answers. One instance per entry of `ai.providers`, for as long as its configuration lasts.

    Custom providers (`provider: my_module:MyProvider`, or an entry point in `farmgate.providers`) are called with one
    argument, a ProviderSettings, and give a Provider; `ProviderBase` fills what they leave out.
    """

    name: str
    capabilities: frozenset[Capability]

    async def send(self, request: Request) -> Reply:
        """Chat, complete or embed, as `request.kind` says; stream if `request.stream`.

        `request.model` is this provider's own name for the model. A whole answer may be given for a stream and the
        other way round: the surface folds or cuts it. Raises FarmError.
        """

    async def models(self) -> tuple[ModelInfo, ...]:
        """What can be asked for, as the provider tells it now. Raises FarmError."""

    async def load(self, model: str, report: Report) -> None:
        """Make a model ready, getting it first where the provider can. Raises NotSupported where it cannot."""

    async def health(self) -> Health:
        """How it is now, in at most a few seconds. Never raises."""

    async def close(self) -> None:
        """Free everything held."""


@runtime_checkable
class CountsTokens(Protocol):
    """A provider that can say how many tokens a conversation has without answering it."""

    async def count_tokens(self, request: Request) -> int | None:
        """The tokens; None where it cannot say for this one. Raises FarmError."""


@runtime_checkable
class Learner(Protocol):
    """A provider that can find out more of its models than it takes to list them."""

    async def learn(self) -> None:
        """Find out what `models` tells from then on, in a few seconds. Raises FarmError."""


@runtime_checkable
class TellsLoad(Protocol):
    """A provider whose engine tells how busy it is."""

    async def engine_load(self) -> EngineLoad | None:
        """How busy it is now, in a second; None where it does not tell. Raises FarmError."""


@runtime_checkable
class Unloads(Protocol):
    """A provider whose models can be taken out of memory."""

    async def unload(self, model: str) -> None:
        """Take a model out of memory. Requests that are at it end first. Raises FarmError."""


class ProviderBase:
    """What most providers have in common: no load, nothing more to learn, nothing to close."""

    name: str = ""
    capabilities: frozenset[Capability] = frozenset({Capability.CHAT})

    async def load(self, model: str, report: Report) -> None:
        """Raises NotSupported."""
        raise NotSupported(f"{self.name} has no models to load: it serves them by itself.", param="provider")

    async def learn(self) -> None:
        """There is no more to find out."""

    async def close(self) -> None:
        """Nothing is held."""
