"""Ask the provider the plan names, and let nothing out before it has said something.

Until the first content of an answer has come, whatever goes wrong is told with a true HTTP status.
"""

from __future__ import annotations

from collections.abc import Mapping

from farmgate.core.errors import ModelNotFound
from farmgate.core.ports import Target
from farmgate.core.reply import Event, Reply
from farmgate.core.request import Request
from farmgate.flow.fit import LARGE_BYTES, refuse_misfit
from farmgate.flow.route import Candidate, Catalog, plan

__all__ = ["Attempt", "find", "first_content"]

HELD_BYTES = 64 * 1024


class Attempt:
    """A Target in front of all providers."""

    def __init__(self, targets: Mapping[str, Target], catalog: Catalog) -> None:
        self._targets = targets
        self._catalog = catalog

    async def send(self, request: Request) -> Reply:
        try:
            candidate = plan(request.model, request.provider, self._catalog.view(), request.kind)
        except ModelNotFound:
            candidate = await find(request, self._catalog)
        if candidate.facts is not None or len(request.body.raw) > LARGE_BYTES:
            refuse_misfit(request, candidate, self._catalog)
        reply = await self._targets[candidate.provider].send(
            request.to(provider=candidate.provider, model=candidate.model)
        )
        await first_content(reply)
        return reply


async def find(request: Request, catalog: Catalog) -> Candidate:
    """Who answers to the name in a request. Raises ModelNotFound, ModelNotCapable or InvalidValue."""
    try:
        return plan(request.model, request.provider, catalog.view(), request.kind)
    except ModelNotFound:
        # It may have been pulled a moment ago.
        await catalog.refresh()
        return plan(request.model, request.provider, catalog.view(), request.kind)


async def first_content(reply: Reply) -> None:
    """Wait until an answer has said something or is complete. Closes the reply and raises when it breaks before."""
    if reply.event is not None:
        return
    held: list[Event] = []
    size = 0
    try:
        while True:
            event = await reply.next()
            if event is None:
                break
            held.append(event)
            size += len(event.raw)
            if event.bears_content or size > HELD_BYTES:
                break
    except BaseException as error:
        reply.close(error)
        raise
    reply.hold(held)
