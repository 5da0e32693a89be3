"""Stands in for an engine: python fake_engine.py MODE PARENT. It lives and dies like a real one and serves nothing."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading

from farmgate.engines.child import bind_to_parent


def main(mode: str, parent: int) -> None:
    key = bind_to_parent(parent)
    print(f"key of {len(key)} characters", file=sys.stderr, flush=True)
    match mode:
        case "exits":
            print("no such weights", file=sys.stderr, flush=True)
            sys.exit(3)
        case "endless_line":
            os.write(1, b"x" * 200_000)
        case "hangs":
            threading.Event().wait()
        case "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        case "forks" | "forks_and_exits":
            worker = os.fork()
            if not worker:
                threading.Event().wait()
            print(f"worker {worker}", file=sys.stderr, flush=True)
            if mode == "forks_and_exits":
                sys.exit(3)
    os.write(1, b"warming up\n" + json.dumps({"url": "http://127.0.0.1:1"}).encode() + b"\n")
    if mode == "babbles":
        os.write(1, b"tokens\n" * 100_000)
        print("said it all", file=sys.stderr, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
