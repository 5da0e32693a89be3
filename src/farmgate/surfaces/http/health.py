"""For operators: is it alive, is it ready, what does it count."""

from __future__ import annotations

from collections.abc import Callable

from farmgate.surfaces.http.exchange import Exchange
from farmgate.telemetry import CONTENT_TYPE
from farmgate.wire.strictjson import encode

__all__ = ["HealthSurface"]


class HealthSurface:
    """`is_draining`: shutting down; a balancer should send new requests elsewhere."""

    def __init__(self, is_draining: Callable[[], bool]) -> None:
        self._is_draining = is_draining

    async def live(self, exchange: Exchange) -> None:
        """The event loop turns."""
        await exchange.answer(200, b'{"status":"ok"}')

    async def ready(self, exchange: Exchange) -> None:
        """New requests are welcome."""
        draining = self._is_draining()
        await exchange.answer(503 if draining else 200, encode({"status": "draining" if draining else "ok"}))

    async def metrics(self, exchange: Exchange) -> None:
        """Prometheus' text format."""
        await exchange.answer(200, exchange.desk.telemetry.render(), kind=CONTENT_TYPE.encode())
