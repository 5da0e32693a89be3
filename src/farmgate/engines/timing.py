"""Waiting for one thing or another leaves neither behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

__all__ = ["Sleep", "either", "first"]

Sleep: TypeAlias = Callable[[float], Awaitable[None]]
"""Returns after that many seconds of the clock that belongs to it."""


async def either(work: asyncio.Future[Any], other: Awaitable[object], *, timeout_s: float | None = None) -> bool:
    """Wait until one of the two is done and tell whether `work` is. `other` is ended; `work` is left as it is."""
    rival = asyncio.ensure_future(_awaited(other))
    try:
        await asyncio.wait({work, rival}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        rival.cancel()
    return work.done()


async def first(*works: Awaitable[object]) -> None:
    """Return when one of them is done, and end the others. None of them raises."""
    tasks = [asyncio.ensure_future(_awaited(work)) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _awaited(other: Awaitable[object]) -> Coroutine[Any, Any, object]:
    async def wait() -> object:
        return await other

    return wait()
