"""Stands in for vLLM and SGLang: answers completions, sleeps, wakes and takes adapters as their documentation says.

python fake_sleeper.py KIND MODEL --port N ... ; a file `say` in the model's folder changes what it does: one word for
each request that is to go wrong. What it was asked stands in a file `told` beside it, in the same words for both.
https://docs.vllm.ai/en/latest/features/sleep_mode/, https://docs.sglang.io/advanced_features/sglang_for_rl.html
"""

from __future__ import annotations

import http.server
import json
import os
import sys
from pathlib import Path
from typing import ClassVar

KIND, FOLDER = sys.argv[1], Path(sys.argv[2])
IS_VLLM = KIND == "vllm"
if IS_VLLM:
    SLEEPS = "--enable-sleep-mode" in sys.argv and os.environ.get("VLLM_SERVER_DEV_MODE") == "1"
    ADAPTS = os.environ.get("VLLM_ALLOW_RUNTIME_LORA_UPDATING") == "1"
    GIVEN = {json.loads(word)["name"] for word in sys.argv if word.startswith('{"name"')}
    PATHS = {
        "/sleep?level=1": "sleep",
        "/wake_up": "wake",
        "/v1/load_lora_adapter": "load",
        "/v1/unload_lora_adapter": "unload",
    }
else:
    SLEEPS = "--enable-memory-saver" in sys.argv
    ADAPTS = "--enable-lora" in sys.argv
    GIVEN = {word.partition("=")[0] for word in sys.argv if "=/" in word}
    PATHS = {
        "/release_memory_occupation": "sleep",
        "/resume_memory_occupation": "wake",
        "/load_lora_adapter": "load",
        "/unload_lora_adapter": "unload",
    }

# https://docs.vllm.ai/en/latest/usage/metrics.html, https://docs.sglang.io/references/production_metrics.html
MINE = (b"vllm:num_requests_running", b"vllm:num_requests_waiting", b"vllm:kv_cache_usage_perc")
ITS = (b"sglang:num_running_reqs", b"sglang:num_queue_reqs", b"sglang:token_usage")
TOLD = zip(MINE if IS_VLLM else ITS, (b"3.0", b"1.0", b"0.25"), strict=True)
BUSY = b"\n".join(name + b'{model_name="m"} ' + told for name, told in TOLD)


def note(text: str) -> None:
    with (FOLDER / "told").open("a") as told:
        told.write(f"{text}\n")


def is_wrong(word: str) -> bool:
    say = FOLDER / "say"
    return say.exists() and word in say.read_text().split()


class Server(http.server.BaseHTTPRequestHandler):
    is_sleeping = False
    has_weights = True
    asked = 0
    is_idle = False
    adapters: ClassVar = GIVEN

    def do_GET(self) -> None:
        if self.path == "/health":
            self.answer(200)
        elif self.path == "/is_sleeping" and SLEEPS and IS_VLLM:
            Server.asked += 1
            # As some versions do: the first time it is asked it is not done.
            told = Server.is_sleeping if Server.asked > 1 else not Server.is_sleeping
            self.answer(200, b"[]" if is_wrong("unclear") else json.dumps({"is_sleeping": told}).encode())
        elif self.path == "/metrics" and (IS_VLLM or "--enable-metrics" in sys.argv):
            note("told")
            # As uvicorn sends what has no length, whoever asks; in pieces that end where they like.
            pieces = (BUSY[:40], BUSY[40:], b"")
            self.answer(200, b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in pieces), in_pieces=True)
        else:
            self.answer(404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"] or 0))
        what = PATHS.get(self.path, self.path)
        if what in ("sleep", "wake") and SLEEPS:
            self.rest(what, body)
        elif what in ("load", "unload") and ADAPTS:
            self.adapt(what, json.loads(body)["lora_name"].removeprefix("a:"))
        elif what == "/flush_cache" and not IS_VLLM:
            # Whoever left in the middle of an answer has done so a moment ago; while it computes it flushes nothing.
            Server.is_idle, was_idle = not is_wrong("busy"), Server.is_idle
            self.answer(200 if was_idle else 400)
        elif what == "/v1/completions":
            has_key = not IS_VLLM or self.headers["authorization"] == f"Bearer {os.environ['VLLM_API_KEY']}"
            is_right = has_key and not Server.is_sleeping and Server.has_weights
            note("answers" if is_right else "refuses")
            self.answer(200 if is_right else 401, b"{}")
        else:
            self.answer(404)

    def rest(self, what: str, body: bytes) -> None:
        note(what)
        if is_wrong(what):
            self.answer(500, b"CUDA error")
            return
        if not IS_VLLM:
            json.loads(body)
            if what == "sleep" and not Server.is_idle:
                # It asserts that.
                os._exit(1)
            Server.has_weights = "--enable-weights-cpu-backup" in sys.argv
        Server.is_sleeping, Server.asked, Server.is_idle = what == "sleep", 0, False
        self.answer(200)

    def adapt(self, what: str, name: str) -> None:
        """Its memory is not there while it sleeps, and what it has it does not load twice."""
        note(f"{what} {name}{' asleep' if Server.is_sleeping else ''}")
        there = {one.removeprefix("a:") for one in Server.adapters}
        is_right = not Server.is_sleeping and (what == "load") is (name not in there)
        if is_right:
            Server.adapters = there ^ {name}
        self.answer(200 if is_right else 400)

    def answer(self, status: int, body: bytes = b"", *, in_pieces: bool = False) -> None:
        self.send_response(status)
        self.send_header(*(("transfer-encoding", "chunked") if in_pieces else ("content-length", str(len(body)))))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Its log is for what goes wrong."""


note(" ".join(sys.argv[3:]))
http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Server).serve_forever()
