"""The parent of a server that knows nothing of Farmgate: gives it a port and a key, tells when it answers, and does not
outlive it, nor it the gate.

Run as `python -m farmgate.engines.wrapper --parent PID --ready PATH -- COMMAND...`. It leads the group of all that the
server starts, which the gate ends behind it; where the gate is killed, it does so itself.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

from farmgate.engines.child import bind_to_parent, bound_to_us

__all__ = ["main"]

LOOPBACK = "127.0.0.1"
LOOK_EVERY_S = 0.1
LOOK_S = 5.0


def main(argv: Sequence[str] | None = None) -> int:
    """Its exit code is the server's own."""
    given = arguments(argv)
    key = bind_to_parent(given.parent, with_group=True)
    port = free_port()
    command = [argument.replace("{port}", str(port)) for argument in given.command]
    environment = dict(os.environ) | ({given.key_variable: key} if given.key_variable else {})
    server = subprocess.Popen(  # noqa: S603 - the operator's own command
        bound_to_us(command), stdin=subprocess.DEVNULL, stdout=2, env=environment
    )
    signal.signal(signal.SIGTERM, lambda number, frame: pass_on(server, number, frame))
    if until_ready(server, port, given.ready, key):
        sys.stdout.write(json.dumps({"url": f"http://{LOOPBACK}:{port}"}) + "\n")
        sys.stdout.flush()
    code = server.wait()
    return code if code >= 0 else 128 - code


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="farmgate.engines.wrapper", description="Started by Farmgate itself.")
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--ready", required=True)
    parser.add_argument("--key-variable")
    parser.add_argument("command", nargs="+")
    return parser.parse_args(argv)


def free_port() -> int:
    """Somebody else may take it before the server does: that is a start that failed, and the next has another."""
    with socket.socket() as one:
        one.bind((LOOPBACK, 0))
        return int(one.getsockname()[1])


def until_ready(server: subprocess.Popen[bytes], port: int, path: str, key: str) -> bool:
    """Whether it answers; False when it has ended. How long that may take is the gate's to say."""
    while server.poll() is None:
        if answers(port, path, key):
            return True
        time.sleep(LOOK_EVERY_S)
    return False


def answers(port: int, path: str, key: str) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=LOOK_S)
    try:
        connection.request("GET", path, headers={"authorization": f"Bearer {key}"})
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def pass_on(server: subprocess.Popen[bytes], number: int, _: FrameType | None) -> None:
    """What ends us ends the server; it may take its time, and the gate kills us when it takes too long."""
    if server.poll() is None:
        server.send_signal(number)


if __name__ == "__main__":
    sys.exit(main())
