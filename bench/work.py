"""How much Python one request and one streamed chunk take: function calls, counted, not timed.

    .venv/bin/python bench/work.py            # what it is now, beside the baseline
    .venv/bin/python bench/work.py --update   # make it the baseline

Wall time is noise on shared machines; the number of calls is the same every time. The whole data path is walked, from the
ASGI call to the bytes on a provider's socket and back, with both sockets replaced by objects in memory.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

from farmgate.admin.catalog import Listed, ModelCatalog
from farmgate.flow.chain import chain
from farmgate.providers.http1 import Connection
from farmgate.providers.openai import OpenAIProvider
from farmgate.providers.pool import Pool
from farmgate.providers.registry import ROWS
from farmgate.providers.settings import ProviderSettings
from farmgate.stores.journal import MemoryJournal
from farmgate.surfaces.http.auth import Doorman
from farmgate.surfaces.http.door import DOOR
from farmgate.surfaces.http.exchange import Desk, HttpLimits
from farmgate.surfaces.http.front import Front
from farmgate.surfaces.http.openai import OpenAISurface
from farmgate.telemetry import Telemetry

BASELINE = Path(__file__).with_suffix(".json")
KEY = "sk-work-0123456789abcdef"
CHUNKS = 100
BEGINNING = 3
TURNS = 8
BODY = {
    "model": "m",
    "temperature": 0.7,
    "messages": [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "Hello, how are you?"},
    ],
}
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
    """A provider's socket in memory: a request written to it is answered at once."""

    def __init__(self, connection: Connection, reads: list[bytes]) -> None:
        self._connection = connection
        self._reads = reads

    def write(self, data: bytes) -> None:
        asyncio.get_running_loop().call_soon(self._deliver, 0)

    def _deliver(self, at: int) -> None:
        """The beginning read by read, with turns of the loop in between for whoever waits; the rest at once."""
        turn, read = divmod(at, TURNS)
        if read == 0 and turn < BEGINNING:
            self._connection.data_received(self._reads[turn])
        if turn < min(BEGINNING, len(self._reads) - 1):
            asyncio.get_running_loop().call_soon(self._deliver, at + 1)
            return
        for rest in self._reads[BEGINNING:]:
            self._connection.data_received(rest)

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def abort(self) -> None: ...

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
    target = chain({"openai": provider}, catalog=catalog, journal=journal, telemetry=telemetry, in_flight=10)
    desk = Desk(
        doorman=Doorman({hashlib.sha256(KEY.encode()).hexdigest(): "work"}), limits=HttpLimits(), telemetry=telemetry
    )
    surface = OpenAISurface(target, catalog)

    async def nothing(*_: object) -> None: ...

    return Front(desk, {"/v1/chat/completions": {"POST": surface.chat}}, api=nothing, start=nothing, stop=nothing)


async def calls_of(stream: bool, reads: list[bytes]) -> int:
    """The Python and C functions called for one request, after a few to warm up."""
    application = front()
    body = json.dumps({**BODY, "stream": stream}).encode()
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

    async def one() -> None:
        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": "/v1/chat/completions",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "extensions": {DOOR: Caller()},
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            sent.append(message)

        await application(scope, receive, send)
        assert sent[0]["status"] == 200, sent

    for _ in range(3):
        await one()
    count = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal count
        if event in ("call", "c_call"):
            count += 1

    sys.setprofile(profile)
    await one()
    sys.setprofile(None)
    return count


def measure() -> dict[str, float]:
    """Calls per whole request, per stream without its middle, and per chunk in the middle of a stream."""
    connect = Pool.connect
    try:
        whole = asyncio.run(calls_of(False, whole_reads()))
        long = asyncio.run(calls_of(True, stream_reads(FRAMES)))
        short = asyncio.run(calls_of(True, stream_reads([*FRAMES[:2], FRAMES[-1]])))
    finally:
        Pool.connect = connect  # type: ignore[method-assign]
    return {"request": whole, "stream": short, "chunk": round((long - short) / (CHUNKS - 1), 2)}


def main() -> None:
    now = measure()
    if "--update" in sys.argv[1:]:
        BASELINE.write_text(json.dumps(now, indent=2) + "\n")
    before = json.loads(BASELINE.read_text())
    for name, calls in now.items():
        print(f"{name:8} {calls:8} calls   baseline {before[name]:8}   {calls / before[name] - 1:+.1%}")


if __name__ == "__main__":
    main()
