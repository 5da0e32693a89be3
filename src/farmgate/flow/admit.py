"""May it start? At most so many requests at once; what comes above is told to come back."""

from __future__ import annotations

from farmgate.core.errors import Overloaded
from farmgate.core.ports import Target
from farmgate.core.reply import Reply
from farmgate.core.request import Request
from farmgate.telemetry import Telemetry

__all__ = ["Admit"]

RETRY_AFTER_S = 1.0


class Admit:
    """A Target that lets a bounded number of requests through to another. A slot is held until the Reply is closed."""

    def __init__(self, inner: Target, *, most: int, telemetry: Telemetry) -> None:
        self._inner = inner
        self._most = most
        self.in_flight = 0
        telemetry.count_in_flight = lambda: self.in_flight

    async def send(self, request: Request) -> Reply:
        if self.in_flight >= self._most:
            raise Overloaded(f"{self._most} requests are in flight: try again soon.", retry_after_s=RETRY_AFTER_S)
        self.in_flight += 1
        try:
            reply = await self._inner.send(request)
        except BaseException:
            self.in_flight -= 1
            raise
        reply.when_closed(self._left)
        return reply

    def _left(self, failure: BaseException | None) -> None:
        self.in_flight -= 1
