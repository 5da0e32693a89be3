"""Path by path, what an engine answers, to whoever has its key; errors in OpenAI's form, whatever was asked."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TypeAlias

from farmgate.core.errors import ClientGone, FarmError, InternalError, MethodNotAllowed, UnknownUrl
from farmgate.engines.serving.exchange import MOST_BODY_BYTES, Exchange, Receive, Scope, Send

__all__ = ["App", "Route", "Routes"]

Route: TypeAlias = Callable[[Exchange], Awaitable[None]]
Routes: TypeAlias = Mapping[str, Mapping[str, Route]]
"""Path to method to what answers. A path that ends in a slash stands for all below it."""


class App:
    """An ASGI application. `key`: what every request must bring, but those for paths in `public`."""

    def __init__(
        self,
        routes: Routes,
        *,
        key: str,
        public: Collection[str] = (),
        most_body_bytes: int = MOST_BODY_BYTES,
    ) -> None:
        self._routes = routes
        self._key = key
        self._public = public
        self._most_body_bytes = most_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        exchange = Exchange(scope, receive, send, most_body_bytes=self._most_body_bytes)
        try:
            if exchange.path not in self._public:
                exchange.prove(self._key)
            await self._route(exchange)(exchange)
        except ClientGone:
            return
        except FarmError as error:
            if exchange.has_begun:
                raise
            await exchange.refuse(error)
        except Exception as error:
            if exchange.has_begun:
                raise
            # The place in the code, and no text of anybody.
            where = "".join(traceback.format_tb(error.__traceback__))
            sys.stderr.write(f"a request failed: {type(error).__name__}\n{where}")
            await exchange.refuse(InternalError(f"The engine failed: {type(error).__name__}."))

    def _route(self, exchange: Exchange) -> Route:
        path = exchange.path
        methods = self._routes.get(path)
        if methods is None:
            below = (prefix for prefix in self._routes if prefix.endswith("/") and path.startswith(prefix))
            methods = self._routes.get(max(below, key=len, default=""))
        if methods is None:
            raise UnknownUrl
        if exchange.method not in methods:
            raise MethodNotAllowed(allow=", ".join(methods))
        return methods[exchange.method]
