"""How many tokens a request has, told before it is answered, in whichever dialect it is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from farmgate.core.errors import FarmError
from farmgate.core.identity import Principal
from farmgate.core.ports import Counting
from farmgate.core.request import Body, Kind, Request
from farmgate.surfaces.http.asking import rename
from farmgate.surfaces.http.exchange import Exchange
from farmgate.surfaces.http.told import answered_by
from farmgate.wire.strictjson import encode

__all__ = ["tell_count"]

ESTIMATED = (b"x-farmgate-estimated", b"true")


async def nothing(_: Request) -> None:
    """There is nothing to do before."""


async def tell_count(
    exchange: Exchange,
    principal: Principal,
    body: Body,
    count: Counting,
    *,
    told: Callable[[int], Mapping[str, object]],
    before: Callable[[Request], Awaitable[None]] = nothing,
) -> None:
    """Counted by the provider that would answer, or estimated, which a header tells.

    `told` writes the number; `before` makes the request ready to be counted. Raises FarmError.
    """
    request = Request(
        id=exchange.id,
        kind=Kind.CHAT,
        body=body,
        principal=principal,
        deadline=exchange.deadline,
        started=exchange.started,
        model=exchange.model or body.model,
    )
    try:
        await before(request)
        counted = await count(request)
    except FarmError as error:
        rename(error, body)
        raise
    headers = answered_by(counted.provider, counted.model)
    if counted.estimated:
        headers = (*headers, ESTIMATED)
    await exchange.answer(200, encode(told(counted.tokens)), headers)
