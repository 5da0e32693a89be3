"""Gates that follow one another."""

from __future__ import annotations

import gc
import weakref
from typing import cast

from farmgate.app.gate import Gate
from farmgate.app.running import Running


class Replaced:
    """A gate, whose parts know each other."""

    def __init__(self, *, is_idle: bool) -> None:
        self.is_idle = is_idle
        self.itself = self

    async def stop(self) -> None:
        pass


async def test_a_gate_that_is_done_leaves_nothing_for_the_garbage_collector_and_a_busy_one_stays() -> None:
    done, busy = Replaced(is_idle=True), cast("Gate", Replaced(is_idle=False))
    running = Running(cast("Gate", done))
    running.exchange(busy)
    running.exchange(cast("Gate", Replaced(is_idle=True)))
    seen = weakref.ref(done)
    del done
    gc.disable()
    try:
        await running.let_go()
    finally:
        gc.enable()
    assert seen() is None
    assert running._leaving == {busy}
