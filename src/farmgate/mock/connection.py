"""One connection: its requests one after the other, and the moment its caller goes."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import time
from typing import TYPE_CHECKING, Protocol, cast

from farmgate.mock.arguments import WrongFault
from farmgate.mock.asks import Ask, Endpoint, read_ask
from farmgate.mock.calls import Call
from farmgate.mock.composing import Answer, compose, refuse
from farmgate.mock.plan import Plan
from farmgate.mock.pump import ANSWERED, Pump
from farmgate.mock.reading import Reader, Request, Unreadable
from farmgate.mock.saying import Saying, Trouble

if TYPE_CHECKING:
    from asyncio import Transport

__all__ = ["Connection", "Desk"]

RESET = struct.pack("ii", 1, 0)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
PLAIN = Plan()
SHOWN_PATHS = (
    "POST /v1/chat/completions, /v1/responses, /v1/embeddings, /v1/messages, /api/chat, /api/generate, /api/embed; "
    "GET /v1/models, /api/tags, /mock/calls, /mock/state"
)


class Desk(Protocol):
    """What a connection asks of the mock it belongs to."""

    def came(self, connection: Connection) -> bool:
        """A connection was accepted; whether it is let in."""

    def left(self, connection: Connection) -> None:
        """It is closed."""

    def control(self, request: Request, peer: str) -> bytes | None:
        """The whole answer, if that is a request to the mock itself."""

    def begin(self, request: Request, ask: Ask, connection: int) -> Call: ...

    def choose(self, request: Request, ask: Ask) -> Plan:
        """Raises WrongFault."""

    def end(self, call: Call, how: str) -> None: ...

    def draws(self, call: Call, plan: Plan) -> random.Random: ...


class Connection(asyncio.Protocol):
    """Reads all the time, also while it answers: that is how a caller who leaves is noticed."""

    def __init__(self, desk: Desk, number: int) -> None:
        self._desk = desk
        self.number = number
        self._reader = Reader()
        self._transport: Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._call: Call | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._answered = 0
        self._is_closing = False
        self._told_continue = False

    # ------------------------------------------------------------------------------------ what the loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("Transport", transport)
        if not self._desk.came(self):
            self._abort()

    def data_received(self, data: bytes) -> None:
        if self._is_closing:
            return
        self._reader.feed(data)
        if self._task is None:
            self._next()

    def eof_received(self) -> bool:
        self._leave()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._desk.left(self)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # ------------------------------------------------------------------------------------ requests

    def _next(self) -> None:
        """Begin with the next request, if it is here."""
        try:
            request = self._reader.take()
        except Unreadable as error:
            self._refuse(error)
            return
        if request is not None:
            self._told_continue = False
            self._task = asyncio.get_running_loop().create_task(self._serve(request))
            self._task.add_done_callback(self._served)
        elif self._reader.wants_continue and not self._told_continue:
            self._told_continue = True
            self.write(CONTINUE)

    def _refuse(self, error: Unreadable) -> None:
        body = str(error).encode()
        head = f"HTTP/1.1 {error.status} Refused\r\ncontent-type: text/plain\r\ncontent-length: {len(body)}\r\n"
        self.write(head.encode() + b"connection: close\r\n\r\n" + body)
        self.close()

    def _served(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "the mock made a mistake", "exception": error}
            )
            self._abort()
        elif not self._is_closing:
            self._next()

    async def _serve(self, request: Request) -> None:
        told = self._desk.control(request, self.peer)
        if told is not None:
            self.write(told)
            return
        ask = read_ask(request)
        call = self._call = self._desk.begin(request, ask, self.number)
        plan, answer = self._decide(request, ask, call)
        if plan.close_reuse is not None and self._answered >= plan.close_reuse:
            self.close()
            how = "close-reuse"
        else:
            how = await Pump(self, plan, call, self._desk.draws(call, plan)).write(answer)
        self._answered += 1
        self._call = None
        self._desk.end(call, how)
        if plan.close_idle is not None and how == ANSWERED:
            await asyncio.sleep(plan.close_idle)
            self.close()

    def _decide(self, request: Request, ask: Ask, call: Call) -> tuple[Plan, Answer]:
        """What is done, and what is said; a request that cannot be understood gets a proper error."""
        try:
            plan = self._desk.choose(request, ask)
            saying = Saying(ask=ask, plan=plan, number=call.number, now=time.time())
            trouble = wrong_with(ask)
            return plan, compose(saying) if trouble is None or plan != PLAIN else refuse(saying, trouble)
        except WrongFault as error:
            saying = Saying(ask=ask, plan=PLAIN, number=call.number, now=time.time())
            return PLAIN, refuse(saying, Trouble(status=400, message=error.message, code=error.code))

    def _leave(self) -> None:
        """The caller has gone, or the connection has: nothing more is written."""
        if self._is_closing and self._call is None:
            return
        self._is_closing = True
        if self._call is not None:
            self._desk.end(self._call, "left")
            self._call = None
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """End whatever is under way."""
        task = self._task
        if self._call is not None:
            self._desk.end(self._call, "stopped")
            self._call = None
        self._abort()
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    # ------------------------------------------------------------------------------------ Line

    @property
    def peer(self) -> str:
        """The other side's address."""
        name = self._transport.get_extra_info("peername") if self._transport else None
        return str(name[0]) if name else ""

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._is_closing:
            self._transport.write(data)

    async def drain(self) -> None:
        if not self._writable.is_set():
            await self._writable.wait()

    def close(self) -> None:
        self._is_closing = True
        if self._transport is not None:
            self._transport.close()

    def shut(self) -> None:
        if self._transport is not None:
            self._transport.write_eof()

    async def reset(self) -> None:
        if self._transport is not None and not self._is_closing:
            self._transport.set_write_buffer_limits(high=0)
            await self.drain()
        self._abort()

    async def gone(self) -> None:
        await asyncio.get_running_loop().create_future()

    def _abort(self) -> None:
        """RST: what is not read yet may be lost."""
        self._is_closing = True
        if self._transport is None or self._transport.is_closing():
            return
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._transport.abort()


def wrong_with(ask: Ask) -> Trouble | None:
    """Why a request has no proper answer."""
    if ask.endpoint is Endpoint.UNKNOWN:
        return Trouble(status=404, message=f"The mock has no such path. It has {SHOWN_PATHS}.")
    if not ask.is_readable:
        return Trouble(status=400, message="The body is no JSON object.")
    return None
