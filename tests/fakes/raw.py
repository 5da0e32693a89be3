"""A client that believes nothing: it keeps the bytes it gets, and how the connection ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

__all__ = ["Dial", "Raw", "ask", "request"]

PATIENCE_S = 10.0


def request(body: object, *, path: str = "/v1/chat/completions", method: str = "POST", **headers: str) -> bytes:
    """A request as bytes. A body that is bytes goes as it is."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(data)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join((*lines, "", "")).encode() + data


def ask(model: str, *, stream: bool = True, path: str = "/v1/chat/completions", prompt: str = "hello") -> bytes:
    """A request of a model, in a form that every dialect has."""
    messages = [{"role": "user", "content": prompt}]
    body: dict[str, object] = {"model": model, "stream": stream, "stream_options": {"include_usage": True}}
    return request(body | {"messages": messages, "input": prompt, "prompt": prompt}, path=path)


class Raw(asyncio.Protocol):
    """Bytes of one connection. `how`: `open`, `fin` or `rst`."""

    def __init__(self) -> None:
        self.data = b""
        self.how: Literal["open", "fin", "rst"] = "open"
        self.reads = 0
        self._changed = asyncio.Event()
        self._lost = asyncio.Event()
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, port: int) -> Raw:
        _, raw = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return raw

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.reads += 1
        self._changed.set()

    def eof_received(self) -> bool:
        self.how = "fin"
        self._changed.set()
        return True  # Our own side stays open: whether theirs does can be seen.

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self.how = "rst"
        elif self.how == "open":
            self.how = "fin"
        self._changed.set()
        self._lost.set()

    def send(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def pause(self) -> None:
        """Read nothing from here on."""
        assert self._transport is not None
        self._transport.pause_reading()

    def leave(self) -> None:
        assert self._transport is not None
        self._transport.close()

    async def gone(self) -> None:
        """Leave, and wait until nothing is left of the connection."""
        self.leave()
        await self._lost.wait()

    async def until(self, is_so: Callable[[Raw], bool]) -> Raw:
        """Read until something holds, or the connection ends. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE_S):
            while not is_so(self) and self.how == "open":
                self._changed.clear()
                await self._changed.wait()
        return self

    async def ended(self) -> Raw:
        return await self.until(lambda raw: False)

    async def whole(self) -> Raw:
        """Read until the answer is complete, as far as its head can be believed."""
        return await self.until(lambda raw: raw.is_whole)

    # ------------------------------------------------------------------------------------ what was read

    @property
    def head(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[0]

    @property
    def status(self) -> int:
        return int(self.head.split(b" ", 2)[1])

    @property
    def headers(self) -> Mapping[str, str]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    @property
    def payload(self) -> bytes:
        """What is behind the head, framing and all."""
        return self.data.partition(b"\r\n\r\n")[2]

    @property
    def is_whole(self) -> bool:
        if b"\r\n\r\n" not in self.data:
            return False
        if "transfer-encoding" in self.headers:
            return self.payload.endswith(b"0\r\n\r\n")
        return len(self.payload) >= int(self.headers.get("content-length", 0))

    @property
    def chunks(self) -> list[bytes]:
        """Complete chunks, up to the first thing that is none; an empty one is the proper end."""
        found: list[bytes] = []
        rest = self.payload
        while True:
            line, told, rest = rest.partition(b"\r\n")
            try:
                size = int(line, 16)
            except ValueError:
                return found
            if not told or len(rest) < size + 2 or rest[size : size + 2] != b"\r\n":
                return found
            found.append(rest[:size])
            rest = rest[size + 2 :]
            if not size:
                return found

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks) if "transfer-encoding" in self.headers else self.payload

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def frames(self) -> list[bytes]:
        """Events of a stream, each without the empty line behind it."""
        return self.body.split(b"\n\n")[:-1]

    @property
    def events(self) -> list[Any]:
        """What the events say, but for `[DONE]`."""
        data = (line[6:] for line in self.body.split(b"\n") if line.startswith(b"data: "))
        return [json.loads(one) for one in data if one != b"[DONE]"]

    def __repr__(self) -> str:
        return f"<{self.how}: {self.data[:3000]!r}>"


class Dial:
    """Opens connections, and closes what a test left open."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._opened: list[Raw] = []

    async def __call__(self) -> Raw:
        raw = await Raw.open(self._port)
        self._opened.append(raw)
        return raw

    async def close(self) -> None:
        for raw in self._opened:
            await raw.gone()
