"""How urgent a request is, by its caller's word: batch work gives way to people who wait."""

from __future__ import annotations

from farmgate.core.errors import InvalidValue
from farmgate.surfaces.http.exchange import Exchange

__all__ = ["is_batch"]

PRIORITY = b"x-farmgate-priority"


def is_batch(exchange: Exchange) -> bool:
    """Whether it may wait until nobody else does. Raises InvalidValue for a class that there is not."""
    match exchange.header(PRIORITY):
        case None | b"interactive":
            return False
        case b"batch":
            return True
        case _:
            raise InvalidValue("`x-farmgate-priority` is `interactive` or `batch`.", param="x-farmgate-priority")
