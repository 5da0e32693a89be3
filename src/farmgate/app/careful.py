"""Providers seen with care: one of a user's own may raise anything, and must not take the others with it."""

from __future__ import annotations

from farmgate.core.errors import FarmError, UpstreamError, UpstreamTimeout
from farmgate.core.event import Event
from farmgate.core.model import EngineLoad, Health, HealthStatus, ModelInfo
from farmgate.core.reply import Reply
from farmgate.core.request import Request
from farmgate.providers.provider import Learner, Provider, TellsLoad
from farmgate.telemetry import log

__all__ = ["CarefulEar", "CarefulSource", "CarefulTarget", "careful_close", "careful_health", "careful_kinds"]


class CarefulTarget:
    """A Target in front of a user's own provider. It raises only FarmError."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def send(self, request: Request) -> Reply:
        name = self._provider.name
        try:
            reply = await self._provider.send(request)
        except FarmError:
            raise
        except Exception as error:
            raise failed(name, error) from error
        return reply if reply.event is not None else watched(reply, name)


def watched(reply: Reply, name: str) -> Reply:
    """The same answer, piece by piece, whose failures are told as the provider's."""

    async def following() -> Event | None:
        try:
            return await reply.next()
        except FarmError:
            raise
        except Exception as error:
            raise failed(name, error) from error

    same = Reply(following, provider=reply.provider, model=reply.model, close=reply.close, streams=reply.streams)
    same.dropped, same.content_type = reply.dropped, reply.content_type
    return same


def failed(name: str, error: Exception) -> UpstreamError:
    """Its words may hold anything, a prompt too: only its kind is told, and its place is logged."""
    if isinstance(error, TimeoutError):
        return UpstreamTimeout(f"{name} did not answer in time.")
    log.traceback(error)
    return UpstreamError(f"{name} failed: its code raised {type(error).__name__}. The log has the place.")


class CarefulSource:
    """A provider's list of models. Raises nothing but FarmError."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def models(self) -> tuple[ModelInfo, ...]:
        try:
            return await self._provider.models()
        except (FarmError, TimeoutError):
            raise
        except Exception as error:
            log.traceback(error)
            raise UpstreamError(f"{self._provider.name} could not list its models: {type(error).__name__}.") from error

    async def learn(self) -> None:
        if isinstance(self._provider, Learner):
            await self._provider.learn()


def careful_kinds(provider: Provider) -> frozenset[str] | None:
    """The kinds of answers a provider says it gives; None where it does not say."""
    said = getattr(provider, "capabilities", None)
    return frozenset(map(str, said)) if isinstance(said, frozenset | set) else None


async def careful_health(provider: Provider) -> Health:
    """A provider's state; one that cannot tell it is not well."""
    try:
        return await provider.health()
    except Exception as error:  # noqa: BLE001 - see above; its words may hold anything, so only its kind is told
        log.traceback(error)
        detail = f"It could not tell how it is: {type(error).__name__}."
        return Health(name=provider.name, status=HealthStatus.UNHEALTHY, detail=detail)


class CarefulEar:
    """Hears how busy the engines of providers are. One that fails to tell is warned of once, until it can again."""

    def __init__(self) -> None:
        self._failing: set[str] = set()

    async def hear(self, name: str, provider: TellsLoad) -> EngineLoad | None:
        """None where nothing is known."""
        try:
            load = await provider.engine_load()
        except FarmError:
            return None
        except Exception as error:  # noqa: BLE001 - see above
            if name not in self._failing:
                log.warning("engine_load_unknown", provider=name, reason=type(error).__name__)
            self._failing.add(name)
            return None
        self._failing.discard(name)
        return load


async def careful_close(provider: Provider) -> None:
    """Close a provider, so that the others after it are closed too."""
    try:
        await provider.close()
    except Exception as error:  # noqa: BLE001 - see above
        log.error("provider_not_closed", provider=provider.name, reason=type(error).__name__)
        log.traceback(error)
