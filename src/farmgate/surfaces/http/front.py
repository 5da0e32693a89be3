"""The front door: a table of paths and prefixes on plain ASGI; what is not in it goes to the typed API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from farmgate.core.errors import FarmError, HeadersTooLarge, MethodNotAllowed, UnknownUrl
from farmgate.surfaces.http.desk import Desk
from farmgate.surfaces.http.door import Receive, Scope, Send
from farmgate.surfaces.http.exchange import Exchange
from farmgate.wire.openai.errors import encode_error, error_frame

__all__ = ["Endpoint", "Front", "Lifespan", "Refuse"]

Endpoint: TypeAlias = Callable[[Exchange], Awaitable[None]]
Asgi: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Lifespan: TypeAlias = Callable[[], Awaitable[None]]
Refuse: TypeAlias = Callable[[Exchange, FarmError], Awaitable[None]]
"""Answers with an error, in the shape of those who ask there."""


class Front:
    """The ASGI application. `routes`: path to method to endpoint; `api`: what answers under /api.

    A path that ends in a slash stands for all below it that have no entry of their own; of two the longer counts. `/`
    is itself only.
    `refusals`: who says no under a path and what lies below it; elsewhere it is said as OpenAI says it.
    """

    def __init__(
        self,
        desk: Desk,
        routes: Mapping[str, Mapping[str, Endpoint]],
        *,
        api: Asgi,
        start: Lifespan,
        stop: Lifespan,
        refusals: Mapping[str, Refuse] | None = None,
    ) -> None:
        self._desk = desk
        self._routes = routes
        self._prefixes = sorted((path for path in routes if path.endswith("/") and path != "/"), key=len, reverse=True)
        self._refusals = refusals or {}
        self._api = api
        self._start = start
        self._stop = stop
        self._loop: asyncio.AbstractEventLoop | None = None
        self.open = 0
        """Requests that have begun and not ended, those whose body is still arriving included."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            self.open += 1
            try:
                await self._route(scope, receive, send)
            finally:
                self.open -= 1

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        if len(scope["headers"]) > self._desk.limits.headers:
            await self._refuse(Exchange(self._desk, scope, receive, send), HeadersTooLarge())
            return
        path: str = scope["path"]
        methods = self._routes.get(path)
        if methods is None:
            methods = self._below(path)
        if methods is not None:
            endpoint = methods.get(scope["method"]) or self._not_allowed(methods)
            loop = self._loop = self._loop or asyncio.get_running_loop()
            await endpoint(Exchange(self._desk, scope, receive, send, loop))
        elif path.startswith("/api/"):
            await self._api(scope, receive, send)
        else:
            await self._unknown(Exchange(self._desk, scope, receive, send))

    def _below(self, path: str) -> Mapping[str, Endpoint] | None:
        prefix = next((prefix for prefix in self._prefixes if path.startswith(prefix)), None)
        return None if prefix is None else self._routes[prefix]

    async def _unknown(self, exchange: Exchange) -> None:
        await self._refuse(exchange, UnknownUrl(f"There is nothing at {exchange.path[:200]}."))

    def _not_allowed(self, methods: Mapping[str, Endpoint]) -> Endpoint:
        allowed = ", ".join(sorted(methods))

        async def endpoint(exchange: Exchange) -> None:
            await self._refuse(exchange, MethodNotAllowed(f"{exchange.path[:200]} answers {allowed}.", allow=allowed))

        return endpoint

    async def _refuse(self, exchange: Exchange, error: FarmError) -> None:
        path = exchange.path
        for root, say_no in self._refusals.items():
            if path == root or path.startswith(f"{root}/"):
                await say_no(exchange, error)
                return
        await refuse(exchange, error)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self._start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._stop()
                await send({"type": "lifespan.shutdown.complete"})
                return


async def refuse(exchange: Exchange, error: FarmError, *, shape: Callable[[FarmError], bytes] = encode_error) -> None:
    """Answer with an error and nothing else."""

    async def work() -> None:
        raise error

    await exchange.run(work, shape=shape, frame=error_frame)
