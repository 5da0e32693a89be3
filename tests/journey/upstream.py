"""A provider that speaks OpenAI on threads and does what the model's name says, to the frame.

`say`: a whole, proper answer. `wait-N`: N frames, then nothing until the caller leaves. `die-N`: N frames, then the
socket closes within the body. `end-N`: N frames, then a proper end of the body. `fail-N`: N frames, then an error frame
once `go` is set. `flood`: text without end. `refuse-S`: status S. A request without `stream` gets N as 0.
`call`: two calls of `weather` and, once they are answered, `say`. `think`: a thought before the answer. `cut`: an
answer that reached its limit. `decline`: a refusal. `json`: an object. At `/responses` it says the recording of that
name.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE_S = 30.0
RECORDED = Path(__file__).parents[1] / "recordings" / "responses"
CHUNK: dict[str, Any] = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "fake"}
PIECES = ("Hel", "lo", " there")


def chunk(delta: dict[str, Any], finish: str | None = None) -> str:
    return json.dumps(CHUNK | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


USAGE: dict[str, int] = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
FRAMES = (
    chunk({"role": "assistant", "content": ""}),
    *(chunk({"content": piece}) for piece in PIECES),
    chunk({}, "stop"),
    json.dumps(CHUNK | {"choices": [], "usage": USAGE}),
    "[DONE]",
)
TALK: dict[str, tuple[list[dict[str, Any]], str]] = {
    "call": (
        [
            {"tool_calls": [{"index": 0, "id": "call_a", "function": {"name": "weather", "arguments": ""}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]},
            {"tool_calls": [{"index": 1, "id": "call_b", "function": {"name": "weather", "arguments": "{"}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '"Oslo"}'}}]},
            {"tool_calls": [{"index": 1, "function": {"arguments": '"city":"Rome"}'}}]},
        ],
        "tool_calls",
    ),
    "think": ([{"reasoning_content": "Let me "}, {"reasoning_content": "see."}, {"content": "Forty-two"}], "stop"),
    "cut": ([{"content": "Once upon"}], "length"),
    "decline": ([{"refusal": "I "}, {"refusal": "would rather not."}], "stop"),
    "json": ([{"content": '{"city":'}, {"content": '"Oslo","warm":false}'}], "stop"),
}
"""What the other acts say, piece by piece, and why they end."""
FAILURE = json.dumps({"error": {"message": "the GPU is on fire", "type": "server_error", "param": None, "code": None}})
WHOLE = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "fake",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello there"}, "finish_reason": "stop"}],
    "usage": USAGE,
}


LIST_PATH = "/v1/models"


def frames_of(act: str) -> tuple[str, ...]:
    """A whole stream, its end included."""
    deltas, reason = TALK[act]
    return (FRAMES[0], *map(chunk, deltas), chunk({}, reason), *FRAMES[-2:])


def whole_of(act: str) -> dict[str, Any]:
    """The same as one answer."""
    deltas, reason = TALK[act]
    message: dict[str, Any] = {"role": "assistant", "content": None}
    for delta in deltas:
        for name, piece in delta.items():
            if name != "tool_calls":
                message[name] = (message.get(name) or "") + piece
    calls: dict[int, dict[str, Any]] = {}
    for call in (call for delta in deltas for call in delta.get("tool_calls", ())):
        known = calls.setdefault(call["index"], {"id": call.get("id"), "type": "function", "function": {}})
        known["function"].setdefault("name", call["function"].get("name"))
        known["function"]["arguments"] = known["function"].get("arguments", "") + call["function"]["arguments"]
    if calls:
        message["tool_calls"] = list(calls.values())
    return WHOLE | {"choices": [{"index": 0, "message": message, "finish_reason": reason}]}


SOUND = bytes(range(256)) * 64
MEDIA = {
    "/v1/moderations": (
        "application/json",
        json.dumps(
            {"id": "modr-1", "model": "mod", "results": [{"flagged": True, "categories": {"hate": True}}]}
        ).encode(),
    ),
    "/v1/images/generations": (
        "application/json",
        json.dumps(
            {
                "created": 1,
                "data": [{"b64_json": "QUJD"}],
                "usage": {"input_tokens": 5, "output_tokens": 90, "total_tokens": 95},
            }
        ).encode(),
    ),
    "/v1/audio/speech": ("audio/mpeg", SOUND),
    "/v1/audio/transcriptions": ("application/json", b'{"text":"hello there"}'),
    "/v1/rerank": (
        "application/json",
        json.dumps(
            {
                "results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}],
                "usage": {"total_tokens": 9},
            }
        ).encode(),
    ),
}
"""What the other endpoints answer, whatever is asked."""


@dataclass
class Seen:
    """One request as it came.

    `left`: its caller has gone. `is_paused`: a flood could not be written any more; `sent_bytes` of it are out.
    """

    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    raw: bytes = b""
    left: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    is_paused: threading.Event = field(default_factory=threading.Event)
    sent_bytes: int = 0


class Upstream:
    """Listens from the start; `close` it."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self._changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self.seen: list[Seen] = []
        """Every request but those for the list of models, which the gate asks for when it likes."""
        self.models: dict[str, Any] = {"object": "list", "data": []}
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def __enter__(self) -> Upstream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._changed:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self._accepting.join(PATIENCE_S)

    @property
    def connections(self) -> int:
        """Open ones, whoever uses them."""
        with self._changed:
            return len(self._open)

    def has_connections(self, most: int, within_s: float = PATIENCE_S) -> bool:
        """Wait until no more than so many are open."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._open) <= most, within_s)

    def saw(self, count: int, within_s: float = PATIENCE_S) -> list[Seen]:
        """Wait until so many requests have come."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.seen) >= count, within_s), f"saw {len(self.seen)}"
            return list(self.seen)

    def last(self, count: int) -> Seen:
        """The request with that number, counted from 1."""
        return self.saw(count)[count - 1]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE_S)
        try:
            with connection, connection.makefile("rb") as file:
                while (seen := self._read(file)) is not None and self._try(connection, seen):
                    pass
        except OSError:
            pass
        finally:
            with self._changed:
                self._open.discard(connection)
                self._changed.notify_all()

    def _try(self, connection: socket.socket, seen: Seen) -> bool:
        """`_answer`, to a caller who may leave before it is all out."""
        try:
            return self._answer(connection, seen)
        except OSError:
            seen.left.set()
            raise

    def _read(self, file: Any) -> Seen | None:
        line = file.readline()
        if not line:
            return None
        headers: dict[str, str] = {}
        while (text := file.readline()) not in (b"\r\n", b""):
            name, _, value = text.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = file.read(int(headers.get("content-length", "0")))
        told = json.loads(body or b"{}") if b"json" in headers.get("content-type", "").encode() else {}
        seen = Seen(path=line.split()[1].decode(), body=told, headers=headers, raw=body)
        if seen.path != LIST_PATH:
            with self._changed:
                self.seen.append(seen)
                self._changed.notify_all()
        return seen

    def _answer(self, connection: socket.socket, seen: Seen) -> bool:
        """Whether the connection may carry another exchange."""
        if seen.path == LIST_PATH:
            whole(connection, self.models)
            return True
        if seen.path.endswith("/responses"):
            return recorded(connection, str(seen.body["model"]), streams=bool(seen.body.get("stream")))
        if (answer := MEDIA.get(seen.path)) is not None:
            return self._relay(connection, seen, *answer)
        return self._chat(connection, seen)

    def _chat(self, connection: socket.socket, seen: Seen) -> bool:
        act, _, number = str(seen.body.get("model", "say")).partition("-")
        count = int(number) if number else len(FRAMES)
        if act == "refuse":
            whole(connection, {"error": {"message": "no", "type": "x", "param": None, "code": "told"}}, status=count)
            return True
        frames = FRAMES
        if act in TALK and not (act == "call" and seen.body["messages"][-1]["role"] == "tool"):
            if not seen.body.get("stream"):
                whole(connection, whole_of(act))
                return True
            frames = frames_of(act)
            count = len(frames)
        if not seen.body.get("stream"):
            if act == "wait":
                self._until_left(connection, seen)
            elif act != "die":
                whole(connection, WHOLE)
                return True
            return False
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        if act == "flood":
            self._flood(connection, seen)
            return False
        for frame in frames[:count]:
            send(connection, frame)
        if act == "wait":
            self._until_left(connection, seen)
        if act == "fail":
            seen.go.wait(PATIENCE_S)
            send(connection, FAILURE)
        if act in ("wait", "die"):
            return False
        connection.sendall(b"0\r\n\r\n")
        return True

    def _relay(self, connection: socket.socket, seen: Seen, kind: str, body: bytes) -> bool:
        """An answer in two pieces; `die` breaks off after the first."""
        connection.sendall(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        half = len(body) // 2
        for piece in (body[:half], body[half:]):
            connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            if seen.body.get("model") == "die":
                return False
        connection.sendall(b"0\r\n\r\n")
        return True

    def _until_left(self, connection: socket.socket, seen: Seen) -> None:
        with contextlib.suppress(ConnectionError):
            connection.recv(1)
        seen.left.set()

    def _flood(self, connection: socket.socket, seen: Seen) -> None:
        text = chunk({"content": "x" * 16_000})
        data = b"%x\r\ndata: %b\n\n\r\n" % (len(text) + 8, text.encode())
        left = memoryview(data)
        connection.setblocking(False)
        try:
            while True:
                if not select.select([], [connection], [], 1.0)[1]:
                    seen.is_paused.set()
                    select.select([], [connection], [], PATIENCE_S)
                sent = connection.send(left)
                seen.sent_bytes += sent
                left = left[sent:] or memoryview(data)
        except OSError:
            seen.left.set()


def recorded(connection: socket.socket, name: str, *, streams: bool) -> bool:
    """Answer with what a server with the Responses API says; `stream.sse` is the stream of `text.json`."""
    if not streams:
        whole(connection, json.loads((RECORDED / f"{name}.json").read_bytes()))
        return True
    file = RECORDED / ("stream.sse" if name == "text" else f"{name}_stream.sse")
    data = file.read_bytes()
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(data))
    connection.sendall(data)
    return True


def send(connection: socket.socket, frame: str) -> None:
    data = f"data: {frame}\n\n".encode()
    connection.sendall(b"%x\r\n%b\r\n" % (len(data), data))


def whole(connection: socket.socket, body: object, status: int = 200) -> None:
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} Whatever\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    connection.sendall(head.encode() + data)
