"""What the command line needs of the rest of the house. app.py fills it; commands never import an adapter."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from farmgate.admin.prices import Beside
from farmgate.config import Config
from farmgate.config.reloads import Reload, Source
from farmgate.core.model import Health, ModelInfo
from farmgate.core.ports import OwnWeights, Report, Target
from farmgate.core.usage import Call
from farmgate.flow.explain import Explanation, Question

__all__ = ["Finding", "House", "OpenGate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the start panel: a provider that is there, or one that is missing and how to get it.

    `url` and `key_variable` say where one that nobody configured was found.
    """

    name: str
    is_there: bool
    text: str
    url: str | None = None
    key_variable: str | None = None


class OpenGate(Protocol):
    """A gate in this process."""

    @property
    def target(self) -> Target:
        """Where requests go."""

    @property
    def findings(self) -> tuple[Finding, ...]: ...

    @property
    def default(self) -> tuple[str, str | None] | None:
        """Provider and model that answer when none is named."""

    @property
    def is_demo(self) -> bool:
        """Nothing but the demo can answer."""

    def models(self) -> list[ModelInfo]: ...

    async def refresh(self) -> None:
        """Look again at what the providers have."""

    async def health(self) -> Mapping[str, Health]: ...

    def explain(self, question: Question) -> Explanation:
        """Who would be asked now. Nobody is asked. Raises FarmError as the asking would."""

    async def load(self, model: str, provider: str | None, report: Report) -> None:
        """Make a model ready, pulling it first where the provider can. Raises FarmError."""


class House(Protocol):
    """Opens gates, serves them, and shows what is on this machine."""

    def open(self, config: Config) -> AbstractAsyncContextManager[OpenGate]:
        """A gate for one command, without a server."""

    def listen(self, host: str, port: int) -> socket.socket:
        """Raises OSError with a message that says what to do."""

    async def serve(
        self,
        config: Config,
        sock: socket.socket,
        *,
        ready: Callable[[OpenGate, Callable[[], None]], None],
        reload: Source | None = None,
        reloaded: Callable[[Reload, OpenGate], None] | None = None,
    ) -> None:
        """Serve until SIGTERM, SIGINT or the stop that `ready` is given (called once answers can be given).

        `reload` is looked at every half second; requests in flight keep what they started with. `reloaded` hears of
        every reload, those that changed nothing and those that failed included.
        """

    async def prepare(self, config: Config, report: Callable[[str], Report]) -> tuple[Finding, ...]:
        """Start what `autoStart` names and pull what `autoPull` names.

        `report(title)` gives the Report for one pull. What was started is stopped when this process ends.
        """

    def weights(self, config: Config) -> OwnWeights:
        """The models pulled to this machine."""

    def has_engine(self) -> bool:
        """Whether the embedded engine is installed."""

    def register(self, config: Config, path: Path) -> str:
        """Make a GGUF file known to gates opened from here on; gives the name it is called by."""

    def check(self, config: Config) -> tuple[str, ...]:
        """What will not work as the providers are configured. Raises ConfigError for those that there are not."""

    def calls(self, config: Config) -> Iterator[Call]:
        """Every call in the journal."""

    def prices(self, config: Config) -> Beside:
        """What calls cost, as the configuration states it or as it is published."""
