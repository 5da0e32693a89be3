#!/usr/bin/env python3
"""Other dialects in, OpenAI out: requests/s and 500 streams of 20 chunks/s through each surface, the gate alone on core 0.

    .venv/bin/python bench/translated.py

Needs what compare.py needs. The rows are of compare.py's table; the first is OpenAI's own dialect, for comparison within the run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import compare

HERE = Path(__file__).resolve().parent
QUESTION = "Hello, how are you? Please tell me about gateways in a few sentences."
HELPFUL = "You are a helpful assistant."
TURN = [{"role": "user", "content": QUESTION}]
SURFACES: dict[str, tuple[str, dict[str, object]]] = {
    "OpenAI": (compare.CHAT, compare.BODY),
    "Anthropic Messages": ("/v1/messages", {"max_tokens": 100, "system": HELPFUL, "messages": TURN}),
    "OpenAI Responses": ("/v1/responses", {"instructions": HELPFUL, "input": QUESTION, "store": False}),
    "Ollama": ("/api/chat", {"messages": [{"role": "system", "content": HELPFUL}, *TURN], "stream": False}),
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--streams", type=int, default=500)
    options.add_argument("--seconds", type=int, default=8)
    options.add_argument("--cache", type=Path, default=Path.home() / ".cache/farmgate-bench")
    args = options.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    for tool in ("mock_upstream", "sse_load"):
        compare.sh(["cc", "-O2", "-o", str(args.cache / tool), str(HERE / f"{tool}.c")])
    mock = [str(args.cache / "mock_upstream"), str(compare.MOCK), "--ttft", "100", "--gap", "50", "--chunks", "40"]
    upstream = subprocess.Popen(["taskset", "-c", "1", *mock])
    gate = str(Path(sys.executable).parent / "farmgate")
    command = [gate, "serve", "--config", str(HERE / "farm.config.yaml"), "--port", "8000"]
    try:
        time.sleep(0.3)
        print(
            "| surface | first answer s | req/s (32) | p50 us (1) | p99 us (1) | MB rest / load | chunks/s | chunk p50 us | chunk p99 us | CPU % | errors |"
        )
        print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
        for name, (path, body) in SURFACES.items():
            compare.BODY = body
            print(compare.measure(name, command, 8000, path, {}, "gpt-4o-mini", args), flush=True)
    finally:
        upstream.terminate()
        upstream.wait(10)


if __name__ == "__main__":
    main()
