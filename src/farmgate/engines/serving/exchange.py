"""The HTTP of an engine, without a framework: one body in, an answer or a stream out, and who is gone is noticed."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, TypeAlias, TypeVar

from farmgate.core.errors import ClientGone, FarmError, InvalidApiKey, RequestTooLarge
from farmgate.wire.openai.errors import encode_error
from farmgate.wire.strictjson import encode

__all__ = ["MOST_BODY_BYTES", "Exchange", "Receive", "Scope", "Send", "first"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
T = TypeVar("T")

MOST_BODY_BYTES = 1 << 30
"""The gate has a limit of its own, which its operator sets."""
JSON = b"application/json"
STREAM = b"text/event-stream; charset=utf-8"


class Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, most_body_bytes: int = MOST_BODY_BYTES) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.has_begun = False
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]
        self._receive = receive
        self._send = send
        self._most_body_bytes = most_body_bytes

    def header(self, wanted: bytes) -> bytes | None:
        return next((value for name, value in self._headers if name == wanted), None)

    def prove(self, key: str) -> None:
        """Raises InvalidApiKey. Compared in a time that tells nothing."""
        told = self.header(b"authorization") or b""
        kind, _, given = told.partition(b" ")
        if kind.lower() != b"bearer" or not hmac.compare_digest(given.strip(), key.encode()):
            raise InvalidApiKey

    async def body(self) -> bytes:
        """Raises RequestTooLarge, or ClientGone where it broke off."""
        read = bytearray()
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            read += message.get("body", b"")
            if len(read) > self._most_body_bytes:
                raise RequestTooLarge
            if not message.get("more_body", False):
                return bytes(read)

    async def gone(self) -> None:
        """Returns when nobody waits for the answer any more. After `body`."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def answer(self, told: object, status: int = 200) -> None:
        """An object as JSON."""
        await self.whole(encode(told), status=status)

    async def whole(
        self, body: bytes, *, status: int = 200, kind: bytes = JSON, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        length = str(len(body)).encode()
        await self._begin(status, [(b"content-type", kind), (b"content-length", length), *headers])
        await self._send({"type": "http.response.body", "body": body})

    async def refuse(self, error: FarmError) -> None:
        await self.whole(encode_error(error), status=error.status)

    async def stream(self, data: bytes, *, is_last: bool = False) -> None:
        """A piece of a stream; the first begins it."""
        if not self.has_begun:
            await self._begin(200, [(b"content-type", STREAM), (b"cache-control", b"no-cache")])
        await self._send({"type": "http.response.body", "body": data, "more_body": not is_last})

    async def _begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.has_begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})


async def first(work: Awaitable[T], exchange: Exchange) -> T:
    """The result of `work`; it is cancelled, and ClientGone raised, when nobody waits for it any more."""
    doing, leaving = asyncio.ensure_future(work), asyncio.ensure_future(exchange.gone())
    try:
        await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise ClientGone
        return doing.result()
    finally:
        doing.cancel()
        leaving.cancel()
