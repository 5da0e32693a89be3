"""A provider that answers properly, or fails exactly as it is told to."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from types import TracebackType

from farmgate.mock import calls as calling
from farmgate.mock.asks import Ask
from farmgate.mock.calls import Call, Calls
from farmgate.mock.connection import Connection
from farmgate.mock.control import PREFIX, control
from farmgate.mock.plan import Plan
from farmgate.mock.reading import Request
from farmgate.mock.script import Chooser, Script, read_script

__all__ = ["Mock"]

BACKLOG = 2048
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - what is listened on is no address to call


class Mock:
    """Use with `async with`, or `start` and `stop`. Port 0 picks a free one; `sock` is one that listens already.

    `seed` fixes all that is drawn at random. `most_calls` are kept; `told` hears of each that is over.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        script: object = None,
        seed: int = 0,
        most_calls: int = 10_000,
        told: Callable[[Call], None] = lambda call: None,
        sock: socket.socket | None = None,
    ) -> None:
        self._address = (host, port)
        self._sock = sock
        self._seed = seed
        self._server: asyncio.Server | None = None
        self._numbers = count(1)
        self._connected = count(1)
        self._connections: set[Connection] = set()
        self._chooser = Chooser(Script() if script is None else read_script(script), seed=seed)
        self.counted = Calls(most=most_calls, told=told)

    async def __aenter__(self) -> Mock:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. Raises OSError."""
        loop = asyncio.get_running_loop()
        host, port = self._address
        make = self._connect
        if self._sock is not None:
            self._server = await loop.create_server(make, sock=self._sock, backlog=BACKLOG)
        else:
            self._server = await loop.create_server(make, host, port, backlog=BACKLOG)

    async def stop(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            await connection.stop()
        if self._server is not None:
            await self._server.wait_closed()

    @property
    def port(self) -> int:
        assert self._server is not None, "the mock has not started"
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """Without a path: add `/v1` for OpenAI's SDK."""
        host = EVERYWHERE.get(self._address[0], self._address[0])
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    # ------------------------------------------------------------------------------------ for tests

    @property
    def calls(self) -> Sequence[Call]:
        """The calls that are kept, oldest first."""
        return tuple(self.counted.kept)

    @property
    def connections(self) -> int:
        """Open ones."""
        return len(self._connections)

    def script(self, told: object) -> None:
        """From here on this script: a list of steps, or an object with `steps` and `seed`. Raises WrongFault."""
        self._chooser.script = read_script(told)
        self._chooser.forget()

    def forget_script(self) -> None:
        """From here on the models' names alone decide, and are counted anew."""
        self._chooser.script = Script()
        self._chooser.forget()

    async def saw(self, number: int, *, within_s: float = 10.0) -> Sequence[Call]:
        """Wait for so many calls. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            await self.counted.until(lambda: self.counted.total >= number)
        return self.calls

    async def settled(self, *, within_s: float = 10.0) -> Sequence[Call]:
        """Wait until no call is open. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            await self.counted.until(lambda: self.counted.open == 0)
        return self.calls

    # ------------------------------------------------------------------------------------ Controlled

    def state(self) -> Mapping[str, object]:
        chooser = self._chooser
        return {
            "script": chooser.script.told,
            "steps": chooser.state(),
            "connections": self.connections,
            "calls": self.counted.counts(),
        }

    # ------------------------------------------------------------------------------------ Desk

    def _connect(self) -> Connection:
        return Connection(self, next(self._connected))

    def came(self, connection: Connection) -> bool:
        self._connections.add(connection)
        return not self._chooser.refuses(time.monotonic())

    def left(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def control(self, request: Request, peer: str) -> bytes | None:
        return control(request, peer, self) if request.path.startswith(PREFIX) else None

    def begin(self, request: Request, ask: Ask, connection: int) -> Call:
        call = calling.begin(request, ask, number=next(self._numbers), connection=connection)
        self.counted.add(call)
        return call

    def choose(self, request: Request, ask: Ask) -> Plan:
        return self._chooser.choose(request, ask.model, time.monotonic())

    def end(self, call: Call, how: str) -> None:
        self.counted.end(call, how)

    def draws(self, call: Call, plan: Plan) -> random.Random:
        seed = self._seed if plan.seed is None else plan.seed
        return random.Random(f"{seed} {call.number}")
