"""One HTTP exchange on plain ASGI: read the body within its limits, answer whole or in pieces, notice who left.

Every endpoint of the data path works through this; it is written for few allocations and no framework in between.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from farmgate.core.errors import (
    AmbiguousCredentials,
    BadRequest,
    ClientGone,
    FarmError,
    InternalError,
    RequestTimeout,
    RequestTooLarge,
    ShuttingDown,
    UnsupportedEncoding,
    UnsupportedMediaType,
    UpstreamTimeout,
    let_go,
)
from farmgate.core.event import Event
from farmgate.core.identity import Principal
from farmgate.core.ids import new_id
from farmgate.core.reply import Reply
from farmgate.flow.repeat import Claim, Kept
from farmgate.surfaces.http.desk import Desk
from farmgate.surfaces.http.door import DOOR, Departure, Door, Receive, Scope, Send
from farmgate.surfaces.http.keepalive import KeepAlive
from farmgate.surfaces.http.once import IDEMPOTENCY_KEY, Replayed
from farmgate.surfaces.http.told import error_headers, served_by
from farmgate.telemetry import log

__all__ = ["JSON", "LAST_WORDS_S", "SSE", "Exchange"]

Shape: TypeAlias = Callable[[FarmError], bytes]

REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
JSON = b"application/json"
TWICE = b"\x00 sent twice"
"""Stands for a header that was sent twice where two readers could pick different ones; compared by identity."""
SSE = b"text/event-stream; charset=utf-8"
STREAM_HEADERS = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))
TIMEOUT = b"x-request-timeout-ms"
ONCE = frozenset((b"authorization", b"x-api-key", b"content-type", b"host", b"content-length", IDEMPOTENCY_KEY))


LAST_WORDS_S = 5.0
"""How long a caller who reads nothing is waited for once its answer is over."""


class Exchange:
    """One request and its answer. `run` it with the work to do and the surface's way to tell errors."""

    __slots__ = (
        "_alive",
        "_begun_at",
        "_departure",
        "_door",
        "_has_begun",
        "_headers",
        "_is_gone",
        "_is_watched",
        "_overdue",
        "_receive",
        "_scope",
        "_send",
        "_task",
        "_timer",
        "asked_id",
        "claim",
        "deadline",
        "desk",
        "headers_told",
        "id",
        "loop",
        "method",
        "model",
        "path",
        "started",
    )

    def __init__(
        self,
        desk: Desk,
        scope: Scope,
        receive: Receive,
        send: Send,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """`loop`: the running one, from a caller who knows it; asking for it is a system call before Python 3.12."""
        self.started = time.monotonic()
        self.desk = desk
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self._scope = scope
        self.model: str | None = None
        """The model, where the address names it."""
        self._receive = receive
        self._send = send
        self._has_begun = False
        self._is_gone = False
        self._overdue: FarmError | None = None
        self._departure: Departure | None = None
        self._is_watched = False
        self._alive: KeepAlive | None = None
        extensions = scope.get("extensions")
        self._door: Door | None = extensions.get(DOOR) if extensions else None
        self.loop = loop or asyncio.get_running_loop()
        self._begun_at = self.loop.time()
        self.deadline = self._begun_at + desk.limits.request_timeout_s
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in headers and name in ONCE:
                headers[name] = TWICE
            else:
                headers[name] = value
        self._headers = headers
        self.id = new_id()
        """Our own, unique."""
        asked = headers.get(b"x-request-id")
        self.asked_id = asked if asked is not None and REQUEST_ID.fullmatch(asked) else None
        """The caller's name for the request, given back in the answer."""
        self.claim: Claim | None = None
        """What its answer is kept under, where the caller gave it a key."""
        self.headers_told: tuple[tuple[bytes, bytes], ...] = ()
        """What a dialect wants told with every answer, errors too."""

    async def run(self, work: Callable[[], Awaitable[None]], *, shape: Shape, frame: Shape) -> None:
        """Do `work` while somebody waits for it and there is time; tell the caller what breaks it.

        `shape` writes an error as a body, `frame` as the last frame of a stream that has begun.
        """
        task = asyncio.current_task(self.loop)
        assert task is not None
        self._task = task
        # One timer: for the body at first, then for the whole request.
        self._timer = self.loop.call_later(self.desk.limits.body_timeout_s, self._body_is_late)
        try:
            await work()
        except asyncio.CancelledError as error:
            # The work is over whoever ended it, and the task ends with it: nothing is left that would be cancelled.
            task.uncancel()
            let_go(error)
            if not self._is_gone:
                await self._tell(self._overdue or ShuttingDown(), shape, frame)
        except ClientGone as error:
            let_go(error)
        except Replayed as known:
            await self._replay(known.kept)
        except FarmError as error:
            let_go(error)
            await self._tell(error, shape, frame, until=self.deadline)
        except Exception as error:  # noqa: BLE001 - our own mistake: told as such, logged with its place
            log.error("request_failed", request=self.id, path=self.path, reason=type(error).__name__)
            log.traceback(error)
            await self._tell(InternalError(f"Farmgate made a mistake: request {self.id} in the log."), shape, frame)
        finally:
            self._timer.cancel()
            if self._alive is not None:
                self._alive.cancel()
                self._alive = None  # it leads back here: kept, both would wait for the collector
            if self.claim is not None:
                self._settle(self.claim)
            if self._door is not None:
                self._door.when_lost = None
            elif self._departure is not None:
                self._departure.stop()

    def _settle(self, claim: Claim) -> None:
        """A stream that its caller left was paid for, and cannot be given again; what failed may be asked again."""
        if self._is_gone and self._has_begun:
            claim.keep(None)
        else:
            claim.release()

    def _body_is_late(self) -> None:
        if not self._is_watched:
            self._give_up(RequestTimeout())
        else:
            self._timer = self.loop.call_at(self.deadline, self._answer_is_late)

    def _answer_is_late(self) -> None:
        limit_s = self.deadline - self._begun_at
        self._give_up(UpstreamTimeout(f"The answer was not complete after {limit_s:.3g} s."))

    def _give_up(self, error: FarmError) -> None:
        self._overdue = error
        self._task.cancel(error)

    def _client_left(self) -> None:
        self._is_gone = True
        self._task.cancel()

    # ------------------------------------------------------------------------------------- what was asked

    @property
    def query(self) -> bytes:
        """What stands behind the `?`."""
        query: bytes = self._scope.get("query_string", b"")
        return query

    def header(self, name: bytes) -> bytes | None:
        """A header's value; of a repeated one the last, unless it may only come once."""
        return self._headers.get(name)

    def header_list(self, name: bytes) -> bytes | None:
        """The value of a header that is a list: lines of one name are one list."""
        if name not in self._headers:
            return None
        return b",".join(value for known, value in self._scope["headers"] if known == name)

    def principal(self) -> Principal:
        """Who asks. Raises what Doorman.admit raises."""
        headers = self._headers
        authorization, x_api_key = headers.get(b"authorization"), headers.get(b"x-api-key")
        if authorization is TWICE or x_api_key is TWICE:
            raise AmbiguousCredentials
        host = headers.get(b"host")
        if host is TWICE:
            raise BadRequest("Two Host headers were sent.")
        return self.desk.doorman.admit(authorization, x_api_key, host)

    async def body(self, wanted: bytes = JSON) -> bytes:
        """The body, read once, if it is of the type that is wanted. From here on a client that leaves ends the work."""
        headers = self._headers
        kind = headers.get(b"content-type", b"")
        if kind != wanted and kind.partition(b";")[0].strip().lower() != wanted:
            raise UnsupportedMediaType(f"Send the body as `Content-Type: {wanted.decode()}`.")
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise UnsupportedEncoding
        told = headers.get(b"content-length", b"0")
        most = self.desk.limits.body_bytes
        if not told.isdigit() or len(told) > 12 or int(told) > most:
            raise RequestTooLarge(f"The body is larger than {most} bytes.")
        message = await self._receive()
        body: bytes = message.get("body", b"")
        pieces = [body]
        size = len(body)
        if message.get("more_body"):
            while message.get("more_body"):
                message = await self._receive()
                pieces.append(message.get("body", b""))
                size += len(pieces[-1])
                if size > most:
                    raise RequestTooLarge(f"The body is larger than {most} bytes.")
            # How long the caller took to send it is none of our time.
            self.started = time.monotonic()
        if message["type"] == "http.disconnect":
            raise ClientGone
        self.watch()
        return body if len(pieces) == 1 else b"".join(pieces)

    def watch(self) -> None:
        """Notice from here on when the client leaves, or its time is over. Called by `body`; by hand where there is
        none."""
        self._is_watched = True
        asked = self._headers.get(TIMEOUT)
        if asked is not None:
            self._shorten(asked)
        if self._door is not None:
            self._door.when_lost = self._client_left
        else:
            self._departure = Departure(self._receive, self._client_left)

    def _shorten(self, asked_ms: bytes) -> None:
        """A caller may want less time for its request than there is, never more. Raises BadRequest."""
        if not asked_ms.isdigit() or len(asked_ms) > 12 or not int(asked_ms):
            raise BadRequest("x-request-timeout-ms must be a whole number of milliseconds above 0.")
        self.deadline = min(self.deadline, self._begun_at + int(asked_ms) / 1000)
        self._timer.cancel()
        self._timer = self.loop.call_at(self.deadline, self._answer_is_late)

    # ------------------------------------------------------------------------------------- what is answered

    async def answer(
        self, status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...] = (), kind: bytes = JSON
    ) -> None:
        """Answer whole."""
        self._has_begun = True
        if self.claim is not None and status == 200:
            self.claim.keep(body, headers, kind)
        length = str(len(body)).encode()
        lines = [(b"content-type", kind), (b"content-length", length), self._name(), *self.headers_told, *headers]
        await self._send({"type": "http.response.start", "status": status, "headers": lines})
        await self._send({"type": "http.response.body", "body": body})

    async def stream(
        self, reply: Reply, write: Callable[[Event], bytes], end: Callable[[], bytes], *, kind: bytes = SSE
    ) -> None:
        """Answer with what each event of the reply writes, then with `end`. Raises what breaks the reply."""
        send, door = self._send, self._door
        if self._alive is not None:
            await self._alive.end()
        if not self._has_begun:
            await self._begin(kind, served_by(reply, self.started))

        def emit(event: Event) -> Awaitable[None] | None:
            data = write(event)
            if not data:
                return None
            if door is not None:
                return door.write_piece(data)
            return send({"type": "http.response.body", "body": data, "more_body": True})

        await reply.pour(emit)
        last = end()
        if self.claim is not None:
            self.claim.keep(None)
        await send({"type": "http.response.body", "body": last})

    async def _replay(self, kept: Kept) -> None:
        """Answer as it was answered before."""
        assert kept.body is not None
        await self.answer(200, kept.body, (*kept.headers, (b"idempotent-replayed", b"true")), kept.content_type)

    async def _begin(self, kind: bytes, told: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        """Send the head of a stream."""
        lines = [(b"content-type", kind), *STREAM_HEADERS, self._name(), *self.headers_told, *told]
        await self._send({"type": "http.response.start", "status": 200, "headers": lines})
        self._has_begun = True

    def keep_alive(self) -> None:
        """From here on a stream of server-sent events that is long in coming is begun, and kept open by comments."""
        if self._alive is None:
            self._alive = KeepAlive(self.loop, self._send, lambda: self._begin(SSE), self.desk.limits.keep_alive_s)

    async def _tell(self, error: FarmError, shape: Shape, frame: Shape, *, until: float = 0.0) -> None:
        """Tell the caller what went wrong; one who has not read what was sent before by `until` is cut off."""
        self._timer.cancel()
        if self.claim is not None:
            # Before it is told: who hears of it may ask again at once.
            self.claim.release()
        if self._alive is not None:
            await self._alive.end()
        if self._door is not None:
            self._door.when_lost = None
        self.desk.telemetry.failed(error.code)
        error.request_id = self._name()[1].decode()
        try:
            async with asyncio.timeout_at(max(until, self.loop.time() + LAST_WORDS_S)):
                await self._fail(error, shape, frame)
        except TimeoutError:
            if self._door is not None:
                self._door.cut()

    async def _fail(self, error: FarmError, shape: Shape, frame: Shape) -> None:
        if self._has_begun:
            last = frame(error)
            if not last and self._door is not None:
                # Nothing can be told here: whoever listens must see at least that this is not the end.
                self._door.cut()
                return
            await self._send({"type": "http.response.body", "body": last, "more_body": not last})
        else:
            await self.answer(error.status, shape(error), error_headers(error))

    def _name(self) -> tuple[bytes, bytes]:
        return (b"x-request-id", self.asked_id or self.id.encode())
