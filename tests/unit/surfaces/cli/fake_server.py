"""A server that answers as a running Farmgate does, with what a test gives it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "a-key-of-sixteen-or-more"


def chunk(**delta: object) -> bytes:
    return frame({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})


def frame(told: object) -> bytes:
    return b"data: " + json.dumps(told).encode() + b"\n\n"


END = frame({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
USAGE = frame({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})
DONE = b"data: [DONE]\n\n"
HELLO = (chunk(content="Hel"), chunk(content="lo"), END, USAGE, DONE)


class Handler(BaseHTTPRequestHandler):
    """Answers as a Farmgate does, with what its server holds."""

    server: FakeServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/health/live":
            self._tell(200, {"status": "ok"})
        elif self.server.key and self.headers.get("authorization") != f"Bearer {self.server.key}":
            self._tell(401, {"error": {"message": "no", "type": "invalid_request_error", "code": "invalid_api_key"}})
        elif told := self.server.routes.get(self.path):
            self._tell(*(told.pop(0) if len(told) > 1 else told[0]))
        else:
            self._tell(200, self.server.models)

    def do_POST(self) -> None:
        if told := self.server.routes.get(self.path):
            length = int(self.headers.get("content-length") or 0)
            self.server.asked.append(json.loads(self.rfile.read(length) or b"{}"))
            self._tell(*told[0])
            return
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        if self.server.refusal:
            self._tell(*self.server.refusal)
            return
        if not self.server.asked[-1].get("stream"):
            message = {"role": "assistant", "content": "Hello"}
            self._tell(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("x-farmgate-provider", "local")
        self.send_header("x-farmgate-model", "starter")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        for data in self.server.frames:
            self.wfile.write(data)
        if self.server.hangs:
            # The caller must hang up, which ends this read.
            self.server.hung_up.append(self.rfile.read(1) == b"")
            self.server.left.set()

    def _tell(self, status: int, told: object) -> None:
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged."""


class FakeServer(ThreadingHTTPServer):
    """What the handler answers, and what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.frames: tuple[bytes, ...] = HELLO
        self.models: object = [
            {"name": "starter", "provider": "local", "size": 98_362_432, "loaded": True},
            {"name": "gpt-4", "provider": "openai"},
        ]
        self.asked: list[dict[str, Any]] = []
        self.routes: dict[str, list[tuple[int, object]]] = {"/api/ai/processes": [(200, {"processes": []})]}
        self.refusal: tuple[int, object] | None = None
        self.key = ""
        self.hangs = False
        self.hung_up: list[bool] = []
        self.left = threading.Event()

    @property
    def port(self) -> int:
        return int(self.server_address[1])
