"""Single keys from a terminal, without waiting for Enter. The terminal is given back as it was, whatever happens."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

__all__ = ["is_there", "listen_to_keys", "single_keys"]


def is_there() -> bool:
    """Whether somebody is at the keyboard. There may be no standard input at all."""
    return sys.stdin is not None and sys.stdin.isatty()


@contextmanager
def single_keys(fd: int) -> Iterator[bool]:
    """While inside, keys arrive one by one and are not shown; Ctrl-C works as ever. False where that cannot be had."""
    if importlib.util.find_spec("termios") is None or not os.isatty(fd):
        yield False
        return
    import termios
    import tty

    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)
        yield True
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def listen_to_keys(fd: int, actions: Mapping[str, Callable[[], None]]) -> None:
    """Call what belongs to each key that is typed, on the running loop. Keys without an action are passed over."""
    loop = asyncio.get_running_loop()

    def typed() -> None:
        try:
            data = os.read(fd, 64)
        except OSError:  # the terminal has gone: go on without keys
            data = b""
        if not data:
            loop.remove_reader(fd)
        for key in data.decode(errors="ignore").lower():
            if key in actions:
                actions[key]()

    loop.add_reader(fd, typed)
