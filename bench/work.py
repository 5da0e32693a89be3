"""How much Python one request and one streamed chunk take, in each dialect callers speak: function calls, counted.

    .venv/bin/python bench/work.py            # what it is now, beside the baseline
    .venv/bin/python bench/work.py --update   # make it the baseline

Wall time is noise on shared machines; the number of calls is the same every time. The whole data path is walked, from the
ASGI call to the bytes on a provider's socket and back, with both sockets replaced by objects in memory.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

from farmgate.admin.catalog import Listed, ModelCatalog
from farmgate.flow.chain import chain
from farmgate.flow.health import Ward
from farmgate.flow.slots import Room
from farmgate.flow.tries import Pace
from farmgate.providers.http1 import Connection
from farmgate.providers.openai import OpenAIProvider
from farmgate.providers.pool import Pool
from farmgate.providers.registry import ROWS
from farmgate.providers.settings import ProviderSettings
from farmgate.stores.journal import MemoryJournal
from farmgate.stores.responses import NoResponses
from farmgate.surfaces.http.anthropic import AnthropicSurface
from farmgate.surfaces.http.auth import Doorman
from farmgate.surfaces.http.desk import Desk, HttpLimits
from farmgate.surfaces.http.door import DOOR
from farmgate.surfaces.http.front import Front
from farmgate.surfaces.http.ollama import OllamaSurface
from farmgate.surfaces.http.openai import OpenAISurface
from farmgate.surfaces.http.responses import ResponsesSurface
from farmgate.telemetry import Telemetry
from farmgate.work.jobs import Jobs

BASELINE = Path(__file__).with_suffix(".json")
KEY = "sk-work-0123456789abcdef"
CHUNKS = 100
BEGINNING = 3
TURNS = 8
CHAT = "/v1/chat/completions"
HELPFUL = "You are a helpful assistant."
QUESTION = "Hello, how are you?"
TURNS_SAID = [{"role": "system", "content": HELPFUL}, {"role": "user", "content": QUESTION}]
BODIES: dict[str, dict[str, object]] = {
    CHAT: {"messages": TURNS_SAID, "temperature": 0.7},
    "/v1/messages": {"messages": TURNS_SAID[1:], "system": HELPFUL, "max_tokens": 100, "temperature": 0.7},
    "/v1/responses": {"input": QUESTION, "instructions": HELPFUL, "temperature": 0.7, "store": False},
    "/api/chat": {"messages": TURNS_SAID, "options": {"temperature": 0.7}},
}
"""The same question in each dialect, by where it is asked. All but the first are translated."""
ANSWER = json.dumps(
    {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Well."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 2, "total_tokens": 22},
    }
).encode()


def chunk(delta: str, finish: str = "null") -> bytes:
    return (
        b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":%b,"finish_reason":%b}]}\n\n'
        % (
            delta.encode(),
            finish.encode(),
        )
    )


FRAMES = [chunk('{"role":"assistant","content":""}'), *[chunk('{"content":"word "}')] * CHUNKS, chunk("{}", '"stop"')]


class Wire:
    """A provider's socket in memory: a request written to it is answered at once. Empty bytes are its end."""

    def __init__(self, connection: Connection, reads: list[bytes]) -> None:
        self._connection = connection
        self._reads = reads

    def write(self, data: bytes) -> None:
        asyncio.get_running_loop().call_soon(self._deliver, 0)

    def _deliver(self, at: int) -> None:
        """The beginning read by read, with turns of the loop in between for whoever waits; the rest at once."""
        turn, read = divmod(at, TURNS)
        if read == 0 and turn < BEGINNING:
            data = self._reads[turn]
            self._connection.data_received(data) if data else self._lose()
        if turn < min(BEGINNING, len(self._reads) - 1):
            asyncio.get_running_loop().call_soon(self._deliver, at + 1)
            return
        for rest in self._reads[BEGINNING:]:
            self._connection.data_received(rest) if rest else self._lose()

    def _lose(self) -> None:
        """The provider is gone, and as the event loop does, this forgets the connection."""
        self._connection.connection_lost(ConnectionResetError())
        del self._connection

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def abort(self) -> None:
        asyncio.get_running_loop().call_soon(self._connection.connection_lost, None)

    def get_write_buffer_size(self) -> int:
        return 0


class Caller:
    """A caller's socket in memory."""

    when_lost: Callable[[], None] | None = None

    def write_piece(self, data: bytes) -> Awaitable[None] | None:
        return None


def whole_reads() -> list[bytes]:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER)
    return [head + ANSWER]


def stream_reads(frames: list[bytes]) -> list[bytes]:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    framed = [b"%x\r\n%b\r\n" % (len(frame), frame) for frame in frames]
    return [head, *framed, b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"]


def front() -> Front:
    """The application as it is served, with the journal in memory."""
    telemetry = Telemetry()
    settings = ProviderSettings(name="openai", url="http://127.0.0.1:1/v1", api_key="sk-x", models=("m",))
    provider = OpenAIProvider(settings, ROWS["openai"])
    catalog = ModelCatalog(
        {"openai": Listed(source=provider, models=("m",), asks=False)}, default_provider="openai", clock=time.monotonic
    )
    journal = MemoryJournal(keep=1)
    target = chain(
        {"openai": provider},
        catalog=catalog,
        journal=journal,
        telemetry=telemetry,
        room=Room(),
        ward=Ward(),
        pace=Pace(),
    ).target
    desk = Desk(
        doorman=Doorman({hashlib.sha256(KEY.encode()).hexdigest(): "work"}), limits=HttpLimits(), telemetry=telemetry
    )

    async def nothing(*_: object) -> Any: ...

    endpoints = (
        OpenAISurface(target, catalog).chat,
        AnthropicSurface(target, catalog, count=nothing).messages,
        ResponsesSurface(target, NoResponses(), count=nothing).create,
        OllamaSurface(target, catalog, load=nothing, unload=nothing, jobs=Jobs(time.time)).ask,
    )
    routes = {path: {"POST": endpoint} for path, endpoint in zip(BODIES, endpoints, strict=True)}
    return Front(desk, routes, api=nothing, start=nothing, stop=nothing)


def caller_of(stream: bool, reads: list[bytes], *, path: str = CHAT) -> Callable[[], Awaitable[int]]:
    """Asks once, of a provider that says `reads`, and gives the status. Within a loop; `Pool.connect` is replaced."""
    application = front()
    body = json.dumps({"model": "m", **BODIES[path], "stream": stream}).encode()
    headers = {
        "host": "x",
        "content-type": "application/json",
        "authorization": f"Bearer {KEY}",
        "content-length": str(len(body)),
    }
    loop = asyncio.get_running_loop()

    async def connect(pool: Pool, within_s: float = 0.0) -> Connection:
        connection = Connection(loop)
        connection.connection_made(cast("asyncio.BaseTransport", Wire(connection, reads)))
        pool._busy.add(connection)
        return connection

    Pool.connect = connect  # type: ignore[method-assign,assignment] # the one seam where a socket would be opened

    async def one() -> int:
        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": path,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "extensions": {DOOR: Caller()},
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            sent.append(message)

        await application(scope, receive, send)
        return int(sent[0]["status"])

    return one


async def calls_of(stream: bool, reads: list[bytes], *, path: str = CHAT) -> int:
    """The Python and C functions called for one request, after a few to warm up."""
    one = caller_of(stream, reads, path=path)
    for _ in range(3):
        assert await one() == 200
    counts: list[int] = []

    def profile(frame: object, event: str, argument: object) -> None:
        if event in ("call", "c_call"):
            counts[-1] += 1

    for _ in range(3):
        # The least: a collection of garbage calls as well.
        counts.append(0)
        sys.setprofile(profile)
        await one()
        sys.setprofile(None)
    return min(counts)


async def garbage_of(stream: bool, reads: list[bytes], times: int) -> int:
    """What so many requests leave for the garbage collector: objects that know each other in a circle."""
    one = caller_of(stream, reads)
    for _ in range(3):
        await one()
    gc.collect()
    gc.disable()
    try:
        for _ in range(times):
            await one()
        return gc.collect()
    finally:
        gc.enable()


def measure() -> dict[str, float]:
    """Calls per whole request, per stream without its middle, and per chunk in the middle of a stream; the last in each
    dialect, under its path."""
    connect = Pool.connect
    short = stream_reads([*FRAMES[:2], FRAMES[-1]])
    try:
        whole = asyncio.run(calls_of(False, whole_reads()))
        stream = asyncio.run(calls_of(True, short))
        chunks = {
            path: asyncio.run(calls_of(True, stream_reads(FRAMES), path=path))
            - asyncio.run(calls_of(True, short, path=path))
            for path in BODIES
        }
    finally:
        Pool.connect = connect  # type: ignore[method-assign]
    each = {"chunk" if path == CHAT else f"chunk {path}": calls / (CHUNKS - 1) for path, calls in chunks.items()}
    return {"request": whole, "stream": stream} | {name: round(calls, 2) for name, calls in each.items()}


def main() -> None:
    now = measure()
    if "--update" in sys.argv[1:]:
        BASELINE.write_text(json.dumps(now, indent=2) + "\n")
    before = json.loads(BASELINE.read_text())
    for name, calls in now.items():
        print(f"{name:20} {calls:8} calls   baseline {before[name]:8}   {calls / before[name] - 1:+.1%}")


if __name__ == "__main__":
    main()
