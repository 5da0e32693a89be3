"""An Ollama server that needs no model: in a test's own event loop, or as a program (`ollama serve`).

Raw sockets and the standard library only, so that nothing of Farmgate stands on both sides of a test. What it does
right is held against the contract in tests/contract/test_ollama_fake.py; what it does wrong is a `Fault`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

Fields: TypeAlias = dict[str, object]


class Fault(StrEnum):
    """What may go wrong with an answer. PIECES of it have come when it does."""

    HANG_UP = "hang_up"  # No answer, the connection closes.
    SILENT = "silent"  # No answer, the connection stays open.
    CUT = "cut"  # The connection closes in the middle.
    STALL = "stall"  # Nothing more comes, the connection stays open.
    ERROR_LINE = "error_line"
    NO_DONE = "no_done"  # The body ends in order, the answer does not.
    REASON_ONLY = "reason_only"  # The last line has `done_reason` and no `done`.
    NO_COUNTS = "no_counts"
    NO_NEWLINE = "no_newline"  # None behind the last line.
    CRLF = "crlf"
    LINGER = "linger"  # The answer is whole, its body never ends.
    LATE_END = "late_end"  # The answer is whole, its body ends when `released` is set.
    INVALID_JSON = "invalid_json"
    HTML = "html"
    HUGE_LINE = "huge_line"


PIECES = 2
FOREVER_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class FakeModel:
    """What the fake knows of a model."""

    capabilities: tuple[str, ...] = ("completion", "tools")
    context_length: int = 8192
    size: int = 1_000
    layers: tuple[int, ...] = (600, 400)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    body: Fields


class Refused(Exception):
    """A status other than 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(kw_only=True)
class FakeOllama:
    """`installed` and `library` are keyed by full name. `said` is what every chat and generate answers, in pieces."""

    installed: dict[str, FakeModel] = field(default_factory=lambda: {"tiny:latest": FakeModel()})
    library: dict[str, FakeModel] = field(default_factory=dict)
    said: tuple[str, ...] = ("Hel", "lo", " there")
    thought: str = ""
    calls: tuple[Fields, ...] = ()
    done_reason: str = "stop"
    faults: dict[str, Fault] = field(default_factory=dict)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    version: str = "0.0.0-fake"
    resident: set[str] = field(default_factory=set)
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self.caller_left = asyncio.Event()
        self.began = asyncio.Event()
        self.released = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------------------------------ the server

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, host, port)

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> FakeOllama:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def last(self, path: str) -> Fields:
        """The body of the last request to that path."""
        return next(asked.body for asked in reversed(self.asked) if asked.path == path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False when the connection is over."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, protocol = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        exchange = Exchange(reader, writer, fault=self.faults.get(path), fake=self)
        try:
            body = parsed(raw)
            self.asked.append(Asked(method=method, path=path, body=body))
            if path in self.refusals:
                raise Refused(*self.refusals[path])
            await self._route(method, path, body, exchange)
        except Refused as refused:
            await exchange.whole({"error": refused.message}, status=refused.status)
        return protocol == "HTTP/1.1" and not exchange.is_over

    async def _route(self, method: str, path: str, body: Fields, exchange: Exchange) -> None:
        routes: dict[tuple[str, str], Callable[[Fields, Exchange], Awaitable[None]]] = {
            ("GET", "/api/version"): self._version,
            ("GET", "/api/tags"): self._tags,
            ("GET", "/api/ps"): self._ps,
            ("POST", "/api/show"): self._show,
            ("POST", "/api/pull"): self._pull,
            ("POST", "/api/chat"): self._chat,
            ("POST", "/api/generate"): self._generate,
            ("POST", "/api/embed"): self._embed,
        }
        route = routes.get((method, path))
        if route is None:
            raise Refused(404, "404 page not found")
        await route(body, exchange)

    # ------------------------------------------------------------------------------------ the routes

    async def _version(self, _: Fields, exchange: Exchange) -> None:
        await exchange.whole({"version": self.version})

    async def _tags(self, _: Fields, exchange: Exchange) -> None:
        await exchange.whole({"models": [self._entry(name) for name in self.installed]})

    async def _ps(self, _: Fields, exchange: Exchange) -> None:
        more: Fields = {"expires_at": "2030-01-01T00:00:00Z", "size_vram": 0, "context_length": 4096}
        await exchange.whole({"models": [self._entry(name) | more for name in sorted(self.resident)]})

    def _entry(self, name: str) -> Fields:
        return {
            "name": name,
            "model": name,
            "modified_at": "2026-01-02T03:04:05.123456789Z",
            "size": self.installed[name].size,
            "digest": "0" * 64,
            "details": {"family": "fake", "parameter_size": "1K", "quantization_level": "Q4_0"},
        }

    async def _show(self, body: Fields, exchange: Exchange) -> None:
        model = self.installed[self._known(body)]
        info = {"general.architecture": "fake", "fake.context_length": model.context_length}
        await exchange.whole({"capabilities": list(model.capabilities), "details": {}, "model_info": info})

    async def _pull(self, body: Fields, exchange: Exchange) -> None:
        name = full(str(body.get("model")))

        async def lines() -> AsyncIterator[Fields]:
            yield {"status": "pulling manifest"}
            if name not in self.library:
                yield {"error": "pull model manifest: file does not exist"}
                return
            for at, size in enumerate(self.library[name].layers):
                layer: Fields = {"status": f"pulling {at:012x}", "digest": f"sha256:{at:064x}", "total": size}
                yield layer
                yield layer | {"completed": size // 2}
                yield layer | {"completed": size // 4}
                yield layer | {"completed": size}
            for status in ("verifying sha256 digest", "writing manifest"):
                yield {"status": status}
            self.installed[name] = self.library[name]
            yield {"status": "success"}

        await exchange.stream(lines(), is_whole=body.get("stream") is False)

    async def _chat(self, body: Fields, exchange: Exchange) -> None:
        messages = body.get("messages")
        await self._answer(body, exchange, empty=not messages, piece=chat_piece)

    async def _generate(self, body: Fields, exchange: Exchange) -> None:
        await self._answer(body, exchange, empty=not body.get("prompt"), piece=generate_piece)

    async def _answer(self, body: Fields, exchange: Exchange, *, empty: bool, piece: Callable[..., Fields]) -> None:
        name = self._known(body)
        if "completion" not in self.installed[name].capabilities:
            raise Refused(400, f'"{name}" does not support {"chat" if piece is chat_piece else "generate"}')
        head: Fields = {"model": str(body["model"]), "created_at": "2026-01-02T03:04:05.123456789Z"}
        leaves = body.get("keep_alive") in (0, "0")
        (self.resident.discard if leaves and empty else self.resident.add)(name)
        if empty:
            await exchange.whole(head | piece("") | {"done": True, "done_reason": "unload" if leaves else "load"})
            return
        said = [piece("", thinking=self.thought)] if self.thought else []
        said += [piece(text) for text in self.said]
        said += [piece("", call=call) for call in self.calls]
        last = piece("") | {"done": True, "done_reason": self.done_reason} | counts(len(self.said))
        if body.get("stream") is False:
            message = piece("".join(self.said), thinking=self.thought, calls=self.calls)
            await exchange.whole(head | last | message)
            return

        async def lines() -> AsyncIterator[Fields]:
            for fields in said:
                yield head | fields | {"done": False}
            yield head | last

        await exchange.stream(lines(), is_whole=False)

    async def _embed(self, body: Fields, exchange: Exchange) -> None:
        name = self._known(body)
        self.resident.add(name)
        told = body.get("input")
        inputs = [told] if isinstance(told, str) else told if isinstance(told, list) else []
        wide = body.get("dimensions")
        width = wide if isinstance(wide, int) else 4
        vectors = [[(len(str(text)) + at) / 8 for at in range(width)] for text in inputs]
        await exchange.whole({"model": name, "embeddings": vectors, "prompt_eval_count": len(inputs) * 3})

    def _known(self, body: Fields) -> str:
        name = str(body.get("model") or "")
        if not name:
            raise Refused(400, "model is required")
        if full(name) not in self.installed:
            raise Refused(404, f"model '{name}' not found")
        return full(name)


class Exchange:
    """One answer on its way, with what goes wrong with it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, fault: Fault | None, fake: FakeOllama
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._fault = fault
        self._fake = fake
        self.is_over = False

    async def whole(self, fields: Fields, status: int = 200) -> None:
        body = json.dumps(fields).encode()
        kind = "application/json; charset=utf-8"
        match self._fault:
            case Fault.HANG_UP:
                self.is_over = True
                return
            case Fault.SILENT:
                await self._until_caller_leaves()
                return
            case Fault.HTML:
                body, kind = b"<html>hello</html>", "text/html"
            case Fault.INVALID_JSON:
                body = b'{"models": nonsense'
            case _:
                pass
        self._head(status, kind, f"content-length: {len(body)}")
        self._writer.write(body)
        await self._writer.drain()

    async def stream(self, lines: AsyncIterator[Fields], *, is_whole: bool) -> None:
        if self._fault in (Fault.HANG_UP, Fault.SILENT, Fault.HTML):
            await self.whole({})
            return
        told = [line async for line in lines]
        if is_whole:
            await self.whole(told[-1])
            return
        self._head(200, "application/x-ndjson", "transfer-encoding: chunked")
        for at, fields in enumerate(told):
            if at == PIECES and await self._break_off():
                return
            await self._chunk(self._line(fields, is_last=at == len(told) - 1))
        if self._fault is Fault.LINGER:
            await self._until_caller_leaves()
            return
        if self._fault is Fault.LATE_END:
            await self._fake.released.wait()
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    async def _break_off(self) -> bool:
        """Whether the answer ends here."""
        match self._fault:
            case Fault.CUT:
                self.is_over = True
            case Fault.STALL:
                self._fake.began.set()
                await self._until_caller_leaves()
            case Fault.ERROR_LINE:
                await self._chunk(b'{"error":"the runner has crashed"}\n')
                self._writer.write(b"0\r\n\r\n")
            case Fault.NO_DONE:
                self._writer.write(b"0\r\n\r\n")
            case Fault.INVALID_JSON:
                await self._chunk(b'{"message": nonsense}\n')
                return False
            case Fault.HUGE_LINE:
                await self._chunk(b'{"message":{"content":"' + b"x" * 100_000)
                return False
            case _:
                return False
        return True

    def _line(self, fields: Fields, *, is_last: bool) -> bytes:
        if self._fault is Fault.REASON_ONLY:
            fields = {name: value for name, value in fields.items() if name != "done"}
        if self._fault is Fault.NO_COUNTS:
            fields = {name: value for name, value in fields.items() if not name.endswith("_count")}
        end = b"\r\n" if self._fault is Fault.CRLF else b"\n"
        return json.dumps(fields).encode() + (b"" if is_last and self._fault is Fault.NO_NEWLINE else end)

    def _head(self, status: int, kind: str, framing: str) -> None:
        head = f"HTTP/1.1 {status} Whatever\r\ncontent-type: {kind}\r\n{framing}\r\n\r\n"
        self._writer.write(head.encode())

    async def _chunk(self, data: bytes) -> None:
        self._writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await self._writer.drain()

    async def _until_caller_leaves(self) -> None:
        self.is_over = True
        await self._writer.drain()
        try:
            async with asyncio.timeout(FOREVER_S):
                while await self._reader.read(1024):
                    pass
        except ConnectionError:
            pass
        self._fake.caller_left.set()


def parsed(raw: bytes) -> Fields:
    if not raw:
        return {}
    try:
        body = json.loads(raw)
    except ValueError:
        raise Refused(400, "invalid character in the body") from None
    if not isinstance(body, dict):
        raise Refused(400, "json: cannot unmarshal into an object")
    return body


def full(name: str) -> str:
    return name.lower() if ":" in name.rpartition("/")[2] else f"{name.lower()}:latest"


def counts(pieces: int) -> Fields:
    return {
        "total_duration": 3_000,
        "load_duration": 1_000,
        "prompt_eval_count": 7,
        "prompt_eval_duration": 1_000,
        "eval_count": pieces,
        "eval_duration": 1_000,
    }


def chat_piece(text: str, *, thinking: str = "", call: Fields | None = None, calls: tuple[Fields, ...] = ()) -> Fields:
    message: Fields = {"role": "assistant", "content": text}
    if thinking:
        message["thinking"] = thinking
    if made := [*calls, *([call] if call else [])]:
        message["tool_calls"] = made
    return {"message": message}


def generate_piece(text: str, *, thinking: str = "", **_: object) -> Fields:
    told: Fields = {"response": text}
    return told | ({"thinking": thinking} if thinking else {})


async def serve(address: str) -> None:
    """Be `ollama serve`: listen where OLLAMA_HOST says, end on SIGTERM."""
    host, _, port = address.rpartition(":")
    fake = FakeOllama(version=os.environ.get("OLLAMA_FAKE_VERSION", "0.0.0-fake"))
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    if os.environ.get("OLLAMA_FAKE_STUBBORN"):
        loop.add_signal_handler(signal.SIGTERM, lambda: None)
    else:
        loop.add_signal_handler(signal.SIGTERM, ended.set)
    await fake.start(host.strip("[]"), int(port))
    print(f"listening on {address}", flush=True)
    await ended.wait()
    await fake.stop()


def main() -> int:
    if sys.argv[1:] != ["serve"]:
        print("usage: OLLAMA_HOST=HOST:PORT ollama serve", file=sys.stderr)
        return 2
    if why := os.environ.get("OLLAMA_FAKE_FAILS"):
        print(f"Error: {why}", file=sys.stderr)
        return 1
    try:
        asyncio.run(serve(os.environ.get("OLLAMA_HOST", "127.0.0.1:11434")))
    except OSError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
