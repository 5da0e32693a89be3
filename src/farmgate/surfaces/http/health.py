"""For operators: is it alive, is it ready, what does it count."""

from __future__ import annotations

from collections.abc import Callable

from farmgate.surfaces.http.exchange import Exchange
from farmgate.telemetry import CONTENT_TYPE
from farmgate.wire.strictjson import encode

__all__ = ["HealthSurface"]


class HealthSurface:
    """`is_draining`: shutting down; a balancer should send new requests elsewhere. `generation`: of the configuration
    in effect, so that a fleet can be seen to agree."""

    def __init__(self, is_draining: Callable[[], bool], generation: Callable[[], str]) -> None:
        self._is_draining = is_draining
        self._generation = generation

    async def live(self, exchange: Exchange) -> None:
        """The event loop turns."""
        await exchange.answer(200, b'{"status":"ok"}')

    async def ready(self, exchange: Exchange) -> None:
        """New requests are welcome."""
        draining, generation = self._is_draining(), self._generation()
        told = {"status": "draining" if draining else "ok", "config": generation}
        header = (b"x-farmgate-config", generation.encode())
        await exchange.answer(503 if draining else 200, encode(told), (header,))

    async def metrics(self, exchange: Exchange) -> None:
        """Prometheus' text format."""
        await exchange.answer(200, exchange.desk.telemetry.render(), kind=CONTENT_TYPE.encode())
