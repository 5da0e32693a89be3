"""Stands in for `vllm serve`: answers completions who has its key, sleeps, wakes and takes adapters as its docs say.

python fake_vllm.py MODEL --port N ... ; VLLM_SERVER_DEV_MODE and --enable-sleep-mode open the routes of its sleep. A
file `say` in the model's folder changes what it does: one word for each request that is to go wrong.
"""

from __future__ import annotations

import http.server
import json
import os
import sys
from pathlib import Path
from typing import ClassVar

FOLDER = Path(sys.argv[1])
ADAPTS = os.environ.get("VLLM_ALLOW_RUNTIME_LORA_UPDATING") == "1"
SLEEPS = "--enable-sleep-mode" in sys.argv and os.environ.get("VLLM_SERVER_DEV_MODE") == "1"

# https://docs.vllm.ai/en/latest/usage/metrics.html, in pieces that end where they like.
BUSY = (
    b'# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{engine="0"} 3.0\nvllm:num_requests_wai',
    b'ting{engine="0"} 1.0\nvllm:kv_cache_usage_perc{engine="0"} 0.25\n',
)


def note(text: str) -> None:
    with (FOLDER / "told").open("a") as told:
        told.write(f"{text}\n")


def is_wrong(word: str) -> bool:
    say = FOLDER / "say"
    return say.exists() and word in say.read_text().split()


class Server(http.server.BaseHTTPRequestHandler):
    is_sleeping = False
    asked = 0
    adapters: ClassVar = {json.loads(word)["name"] for word in sys.argv if word.startswith('{"name"')}

    def do_GET(self) -> None:
        if self.path == "/health":
            self.answer(200)
        elif self.path == "/is_sleeping" and SLEEPS:
            Server.asked += 1
            # As some versions do: the first time it is asked it is not done.
            told = Server.is_sleeping if Server.asked > 1 else not Server.is_sleeping
            self.answer(200, b"[]" if is_wrong("unclear") else json.dumps({"is_sleeping": told}).encode())
        elif self.path == "/metrics":
            note("told")
            # As uvicorn sends what has no length, whoever asks.
            self.answer(200, b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in (*BUSY, b"")), in_pieces=True)
        else:
            self.answer(404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"] or 0))
        path = self.path.partition("?")[0]
        if path in ("/sleep", "/wake_up") and SLEEPS:
            note(self.path)
            if is_wrong(path):
                self.answer(500, b"CUDA error")
                return
            Server.is_sleeping, Server.asked = path == "/sleep", 0
            self.answer(200)
        elif path in ("/v1/load_lora_adapter", "/v1/unload_lora_adapter") and ADAPTS:
            self.adapt(path, json.loads(body)["lora_name"])
        elif path == "/v1/completions":
            has_key = self.headers["authorization"] == f"Bearer {os.environ['VLLM_API_KEY']}"
            note("answers" if has_key and not Server.is_sleeping else "refuses")
            self.answer(200 if has_key and not Server.is_sleeping else 401, b"{}")
        else:
            self.answer(404)

    def adapt(self, path: str, name: str) -> None:
        """Its memory is not there while it sleeps, and what it has it does not load twice."""
        is_load = path == "/v1/load_lora_adapter"
        note(f"{path} {name}{' asleep' if Server.is_sleeping else ''}")
        is_right = not Server.is_sleeping and is_load is (name not in Server.adapters)
        if is_right:
            Server.adapters ^= {name}
        self.answer(200 if is_right else 400)

    def answer(self, status: int, body: bytes = b"", *, in_pieces: bool = False) -> None:
        self.send_response(status)
        self.send_header(*(("transfer-encoding", "chunked") if in_pieces else ("content-length", str(len(body)))))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Its log is for what goes wrong."""


note(" ".join(sys.argv[2:]))
http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Server).serve_forever()
