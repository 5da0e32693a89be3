"""While an answer is long in coming, a person at a terminal is shown for how long: a model may have to be loaded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from farmgate.core.ports import Clock
from farmgate.surfaces.cli.out import Out
from farmgate.surfaces.cli.words import one_line

__all__ = ["shown_waiting"]

EVERY_S = 1.0


@contextmanager
def shown_waiting(
    out: Out, title: str, *, clock: Clock, sleep: Callable[[float], Awaitable[None]]
) -> Iterator[Callable[[], None]]:
    """Gives what takes it off the screen, to be called before anything else is shown."""
    began = clock()

    async def draw() -> None:
        while True:
            await sleep(EVERY_S)
            out.sketch(f"{one_line(title)}  no word yet  {clock() - began:.0f} s")

    drawing = asyncio.get_running_loop().create_task(draw()) if out.moves else None

    def end() -> None:
        if drawing is not None:
            drawing.cancel()
            out.erase_sketch()

    try:
        yield end
    finally:
        end()
