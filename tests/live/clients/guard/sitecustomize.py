"""Python imports this file by its name in every process it starts: no address but loopback's is reached from there.

Every attempt is also written to the file that $REACHED names, since a client may swallow the error.
"""

from __future__ import annotations

import os
import sys

LOOPBACK = ("127.", "::1", "localhost")


def wanted(event: str, args: tuple[object, ...]) -> str | None:
    """The host that is to be reached or looked up, if there is one."""
    match event, args:
        case ("socket.connect" | "socket.sendto", (_, tuple(address), *_)) if address:
            host: object = address[0]
        case "socket.getaddrinfo", (host, *_):
            pass
        case _:
            return None
    name = host.decode(errors="replace") if isinstance(host, bytes) else host
    return name if isinstance(name, str) and name else None


def loopback_only(event: str, args: tuple[object, ...]) -> None:
    host = wanted(event, args)
    if host is None or host.startswith(LOOPBACK):
        return
    with open(os.environ["REACHED"], "a") as reached:
        reached.write(f"{host}\n")
    raise OSError(f"a client tried to reach {host}")


if "REACHED" in os.environ:
    sys.addaudithook(loopback_only)
