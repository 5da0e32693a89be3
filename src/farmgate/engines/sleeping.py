"""A process gives up its GPUs without ending, and takes them back: vLLM's sleep mode.

https://docs.vllm.ai/en/latest/features/sleep_mode/
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import urlsplit

from farmgate.engines.leases import Address
from farmgate.engines.process import EngineDied, in_time
from farmgate.engines.surroundings import Room, Sleeper
from farmgate.engines.timing import Sleep

__all__ = ["Rest", "VllmSleep"]

LOOK_EVERY_S = 0.1
ANSWER_BYTES = 65536


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
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or not isinstance(told.get("is_sleeping"), bool):
        raise EngineDied("does not say whether it sleeps")
    return told["is_sleeping"] is True


async def call(address: Address, method: str, path: str) -> bytes:
    """The body of its answer. Raises EngineDied for any status but 200."""
    parts = urlsplit(address.url)
    # HTTP/1.0: the answer comes in one piece and ends with the connection.
    head = (
        f"{method} {path} HTTP/1.0\r\nhost: {parts.netloc}\r\nauthorization: Bearer {address.key}\r\n"
        "content-length: 0\r\n\r\n"
    )
    try:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=ANSWER_BYTES)
        try:
            writer.write(head.encode())
            answer = await reader.read(ANSWER_BYTES)
            while piece := await reader.read(ANSWER_BYTES):
                answer = (answer + piece)[:ANSWER_BYTES]
        finally:
            writer.close()
    except OSError as error:
        raise EngineDied(f"broke the connection when it was asked for {path} ({error})") from error
    top, _, body = answer.partition(b"\r\n\r\n")
    if top.split(b" ", 2)[1:2] != [b"200"]:
        told = top.split(b"\r\n")[0][:100].decode("utf-8", "replace") or "nothing"
        raise EngineDied(f"answered {told!r} when it was asked for {path}")
    return body
