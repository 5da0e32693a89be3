"""A child process never outlives the parent that started it, however that parent ends."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import stat
import sys
import threading
from collections.abc import Sequence

__all__ = ["bind_to_parent", "bound_to_us", "end_group"]

PR_SET_PDEATHSIG = 1
LOG_LOOK_EVERY_S = 60.0
LOG_MAX_BYTES = 8 * 1024 * 1024


# Runs between fork and the program, because only a process itself can ask the kernel to be ended with its parent.
BOUND = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, int(sys.argv[2]))
if os.getppid() != int(sys.argv[1]):
    os._exit(0)
os.execvp(sys.argv[3], sys.argv[3:])
"""


def bound_to_us(command: Sequence[str], number: int = signal.SIGKILL) -> tuple[str, ...]:
    """The command line of somebody else's program that gets this signal when the thread that starts it ends. Elsewhere
    than on Linux it does not."""
    if sys.platform != "linux" or not sys.executable:
        return tuple(command)
    return (sys.executable, "-I", "-S", "-c", BOUND, str(os.getpid()), str(int(number)), *command)


def bind_to_parent(parent: int, *, with_group: bool = False) -> str:
    """Die when process `parent` does, and return the first line of standard input (the key), without its end.

    On Linux the kernel sees to it, even while native code holds the interpreter; everywhere a thread reads standard
    input, whose other end the parent holds, until it ends. `with_group`: the thread alone does, for a process where
    nothing holds the interpreter, and it ends the whole group that this process leads.
    """
    if sys.platform == "linux" and not with_group:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # It died before the kernel was told.
        os._exit(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = _first_line()
    leader = os.getpid() if with_group and os.getpgrp() == os.getpid() else None
    threading.Thread(target=_until_end_of_input, args=(leader,), daemon=True, name="parent-watch").start()
    return line


def end_group(leader: int) -> None:
    """What a process that has ended started and left behind ends too, where it led a group.

    At once after its end: as long as there is one of them, the number is nobody else's.
    """
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _first_line() -> str:
    line = bytearray()
    while byte := os.read(0, 1):
        if byte == b"\n":
            return line.decode()
        line += byte
    os._exit(0)


def _until_end_of_input(leader: int | None) -> None:
    while True:
        ready, _, _ = select.select([0], [], [], LOG_LOOK_EVERY_S)
        if ready and not os.read(0, 4096):
            if leader is not None:
                end_group(leader)
            os._exit(0)
        _keep_log_small(2)


def _keep_log_small(descriptor: int) -> None:
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_size > LOG_MAX_BYTES:
        # It is opened for appending, so that the next line starts at the new end.
        os.ftruncate(descriptor, 0)
