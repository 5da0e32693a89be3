"""What a supervised process lives in: its room, how long it stays, who asks it first and who puts it to sleep."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol, TypeAlias, runtime_checkable

from farmgate.core.errors import FarmError
from farmgate.engines.backoff import Backoff
from farmgate.engines.engine import Spec
from farmgate.engines.leases import Address

__all__ = ["Keep", "MakeRoom", "Room", "Settings", "Sleeper", "Sleeps", "Warm", "again", "unasked", "unlimited"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How long things may take, in seconds.

    `wanted_s`: an engine that crashes starts again by itself when it was used this recently.
    """

    start_timeout_s: float = 180.0
    stop_grace_s: float = 2.0
    wanted_s: float = 300.0
    backoff: Backoff = field(default_factory=Backoff)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """How long a model stays when nobody uses it: `ttl_s` seconds after its last request, or, without, until another
    needs the room. `pinned`: for ever. Of two that could leave, the one of the lower `priority` does."""

    ttl_s: float | None = None
    pinned: bool = False
    priority: int = 0


class Room(Protocol):
    """The memory a process may use, held for as long as it lives."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What tells the process which devices it may use."""

    def placed(self, spec: Spec) -> Spec:
        """A process's own words for where it is."""

    def settle(self, pid: int) -> None:
        """It is loaded: what it uses takes the place of what was expected."""

    def may_sleep(self) -> bool:
        """Whether the memory of the machine has room for its weights; if so, that is its own from now on."""

    def asleep(self, pid: int) -> None:
        """Its weights are in the memory of the machine: what it had on GPUs is others', but for a small rest."""

    def waking(self, pid: int) -> AbstractAsyncContextManager[None]:
        """Room for it where it was, while this is open, and its own when that ends well. Raises EngineUnavailable when
        none came free in time."""


class Sleeper(Protocol):
    """Has a process give up its GPUs without ending, and take them back. Each raises EngineDied."""

    async def sleep(self, address: Address) -> None: ...

    async def wake(self, address: Address) -> None: ...


@runtime_checkable
class Sleeps(Protocol):
    """An engine whose processes may be able to sleep; `sleeper` None: those of this one cannot."""

    @property
    def sleeper(self) -> Sleeper | None: ...


MakeRoom: TypeAlias = Callable[[Spec, Keep], AbstractAsyncContextManager[Room]]
"""Waits until there is room. Raises ModelTooLarge, or EngineUnavailable when none came free in time."""
Warm: TypeAlias = Callable[[Spec, Address], Awaitable[None]]
"""Asks a process that has just come up for something, so that it is known to answer. Raises EngineDied."""


def again(error: FarmError) -> FarmError:
    """The same refusal for one more caller: an exception that several raise collects the tracebacks of all."""
    return type(error)(error.message, param=error.param, retry_after_s=error.retry_after_s)


class Anything:
    """Room without end."""

    environment: Mapping[str, str] = MappingProxyType({})

    def placed(self, spec: Spec) -> Spec:
        return spec

    def settle(self, pid: int) -> None:
        """Nobody counts."""

    def may_sleep(self) -> bool:
        return True

    def asleep(self, pid: int) -> None:
        """Nobody counts."""

    @asynccontextmanager
    async def waking(self, pid: int) -> AsyncIterator[None]:
        yield


@asynccontextmanager
async def unlimited(_spec: Spec, _keep: Keep) -> AsyncIterator[Room]:
    """For a machine whose memory nobody keeps books of."""
    yield Anything()


async def unasked(_spec: Spec, _address: Address) -> None:
    """Take its word that it is ready."""
