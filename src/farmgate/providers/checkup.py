"""How a provider is: it is looked at for a few seconds at most, and what goes wrong is an answer too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from farmgate.core.errors import FarmError
from farmgate.core.model import Health, HealthStatus
from farmgate.providers.transport import Upstream

__all__ = ["checked_up"]


async def checked_up(
    look: Awaitable[Health],
    upstream: Upstream,
    *,
    within_s: float,
    undone: str = "answer",
    known: tuple[str, ...] = (),
) -> Health:
    """What `look` finds; unhealthy where it raises or takes too long. `undone`: what was not done in time; `known`: the
    models there are all the same."""
    try:
        async with asyncio.timeout(within_s):
            return await look
    except FarmError as error:
        detail = error.message
    except TimeoutError:
        detail = f"{upstream.name} ({upstream.address}) did not {undone} within {within_s:g} s."
    return Health(name=upstream.name, status=HealthStatus.UNHEALTHY, models=known, detail=detail)
