"""A process gives up its GPUs without ending, and takes them back: the sleep of vLLM and of SGLang.

https://docs.vllm.ai/en/latest/features/sleep_mode/
https://docs.sglang.io/advanced_features/sglang_for_rl.html
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from farmgate.engines.asking import NoAnswer, check_status, exchange, status_of
from farmgate.engines.leases import Address
from farmgate.engines.process import EngineDied, in_time
from farmgate.engines.surroundings import Room, Sleeper
from farmgate.engines.timing import Sleep

__all__ = ["Rest", "SglangSleep", "VllmSleep"]

LOOK_EVERY_S = 0.1


class VllmSleep:
    """Level 1: its weights go to the memory of the machine, keys and values are forgotten."""

    def __init__(self, sleep: Sleep = asyncio.sleep) -> None:
        self._sleep = sleep

    async def sleep(self, address: Address) -> None:
        await call(address, "POST", "/sleep?level=1")
        await self._until(address, is_sleeping=True)

    async def wake(self, address: Address) -> None:
        await call(address, "POST", "/wake_up")
        await self._until(address, is_sleeping=False)

    async def _until(self, address: Address, *, is_sleeping: bool) -> None:
        """Some versions answer before they have done it."""
        while await sleeps(address) is not is_sleeping:
            await self._sleep(LOOK_EVERY_S)


class SglangSleep:
    """Its weights go to the memory of the machine, as it was started to have them kept, keys and values are forgotten.
    It answers when that is done."""

    def __init__(self, sleep: Sleep = asyncio.sleep) -> None:
        self._sleep = sleep

    async def sleep(self, address: Address) -> None:
        # It ends where it is asked while it computes, and it may not have noticed yet that somebody left.
        while not await is_idle(address):
            await self._sleep(LOOK_EVERY_S)
        await call(address, "POST", "/release_memory_occupation", {})

    async def wake(self, address: Address) -> None:
        await call(address, "POST", "/resume_memory_occupation", {})


class Rest:
    """One process, its room, and how it is put to sleep and woken, each within so many seconds. `warm` asks it for
    something, once it has woken."""

    def __init__(
        self,
        sleeper: Sleeper | None,
        room: Room,
        *,
        pid: int,
        address: Address,
        warm: Callable[[], Awaitable[None]],
        within_s: float,
        sleep: Sleep,
    ) -> None:
        self._sleeper = sleeper
        self._room = room
        self._pid = pid
        self._address = address
        self._warm = warm
        self._in_time = partial(in_time, within_s=within_s, sleep=sleep)

    async def begin(self) -> str | None:
        """Why it does not sleep, if it does not: it is of no more use then."""
        if self._sleeper is None:
            return "cannot sleep"
        if not self._room.may_sleep():
            return "has no room for its weights in the memory of the machine"
        try:
            await self._in_time(self._sleeper.sleep(self._address), "asleep")
        except EngineDied as death:
            return str(death)
        self._room.asleep(self._pid)
        return None

    async def end(self) -> str | None:
        """Why it did not wake, if it did not: it is of no more use then. Raises FarmError where there is no room for
        it: it sleeps on."""
        try:
            async with self._room.waking(self._pid):
                await self._in_time(self._wake(), "awake")
        except EngineDied as death:
            return f"did not wake: it {death}"
        return None

    async def _wake(self) -> None:
        assert self._sleeper is not None
        await self._sleeper.wake(self._address)
        await self._warm()


async def sleeps(address: Address) -> bool:
    body = await call(address, "GET", "/is_sleeping")
    try:
        told = json.loads(body or b"")
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or not isinstance(told.get("is_sleeping"), bool):
        raise EngineDied("does not say whether it sleeps")
    return told["is_sleeping"] is True


async def is_idle(address: Address) -> bool:
    """Whether SGLang computes nothing: only then does it forget its cache, and it says so."""
    return await call(address, "POST", "/flush_cache", but_for="400") is not None


async def call(
    address: Address, method: str, path: str, body: Mapping[str, object] | None = None, *, but_for: str | None = None
) -> bytes | None:
    """The body of its answer; None for the status `but_for`. Raises EngineDied for any other but 200."""
    try:
        answer = await exchange(address.url, address.key, method, path, body)
        if but_for is not None and status_of(answer) == but_for:
            return None
        return check_status(answer, "200")
    except NoAnswer as error:
        raise EngineDied(f"{error} when it was asked for {path}") from error
