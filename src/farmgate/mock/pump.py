"""An answer is written as its plan says: late, in parts, or not to its end."""

from __future__ import annotations

import asyncio
import random
from typing import Protocol

from farmgate.mock.arguments import Delay
from farmgate.mock.calls import Call
from farmgate.mock.composing import Answer, Framing
from farmgate.mock.lies import parts_of
from farmgate.mock.plan import Plan

__all__ = ["ANSWERED", "Line", "Pump"]

ANSWERED = "answered"
LAST_CHUNK = b"0\r\n\r\n"
GARBAGE = bytes(range(256)) * 4
YIELD_EVERY = 64
BY_FRAMES = ("stall", "end", "fin", "rst", "half", "short_chunk", "bad_chunk")
BY_BYTES = ("cut", "cut_end", "cut_rst")


class Line(Protocol):
    """A connection, as far as an answer needs it. After `close`, `reset` and `shut` nothing more is written."""

    def write(self, data: bytes) -> None: ...

    async def drain(self) -> None:
        """Wait while the other side reads too slowly."""

    def close(self) -> None:
        """FIN, once everything is written."""

    def shut(self) -> None:
        """FIN, and go on listening."""

    async def reset(self) -> None:
        """RST, once everything is written."""

    async def gone(self) -> None:
        """Wait until the other side goes. Does not return: whoever waits is cancelled."""


class Pump:
    """Writes one answer."""

    def __init__(self, line: Line, plan: Plan, call: Call, random: random.Random) -> None:
        self._line = line
        self._plan = plan
        self._call = call
        self._random = random
        self._held = b""
        self._is_chunked = False
        self._break = next(((name, at) for name in BY_FRAMES if (at := getattr(plan, name)) is not None), ("", -1))
        self._limit = next(((name, at) for name in BY_BYTES if (at := getattr(plan, name)) is not None), ("", -1))
        self._is_slow = plan.drip is not None or plan.split is not None or plan.split_at is not None

    async def silence(self) -> str | None:
        """What happens instead of any answer; None: there will be one."""
        plan = self._plan
        if plan.refuse:
            await self._line.reset()
            return "refuse"
        if plan.hangup:
            self._line.close()
            return "hangup"
        if plan.hang:
            await self._line.gone()
        await self._wait(plan.head)
        if plan.garbage:
            self._line.write(GARBAGE)
            self._line.close()
            return "garbage"
        return None

    async def write(self, answer: Answer) -> str:
        """How it ended: ANSWERED, or the name of a fault."""
        plan = self._plan
        if (ended := await self.silence()) is not None:
            return ended
        self._call.status = answer.status
        self._is_chunked = answer.framing is Framing.CHUNKED and not plan.http09
        for at in range(plan.informational or 0):
            self._line.write(b"HTTP/1.1 102 Processing\r\n\r\n")
            await self._pause(at)
        if not plan.http09:
            await self._head(answer.head())
        if plan.head_only:
            self._flush()
            await self._line.gone()
        if plan.first is not None:
            self._flush()
            await self._wait(plan.first)
        return await self._body(answer)

    async def _head(self, head: bytes) -> None:
        if self._plan.slow_head is None:
            self._held = head
            return
        for at in range(len(head)):
            self._line.write(head[at : at + 1])
            await self._wait(self._plan.slow_head)

    async def _body(self, answer: Answer) -> str:
        name, last = self._break
        between = self._plan.between
        at = -1
        for at, unit in enumerate(answer.units):
            if at == last:
                return await self._end_by(name, unit)
            if at and between is not None:
                await self._wait(between)
            if await self._unit(unit, at):
                return await self._end_by(self._limit[0], b"")
        self._flush()
        if name or self._limit[0]:
            return await self._end_by(name or self._limit[0], b"")
        return await self._end()

    async def _unit(self, unit: bytes, at: int) -> bool:
        """Write one frame; whether the limit of bytes is reached. One of no bytes is no frame."""
        if not unit:
            await self._pause(at)
            return False
        limit = self._limit[1]
        is_last = 0 <= limit <= self._call.sent_bytes + len(unit)
        if is_last:
            unit = unit[: limit - self._call.sent_bytes]
        if self._is_slow:
            for part in parts_of(unit, self._plan):
                self._write(part)
                await self._line.drain()
                await (self._wait(self._plan.drip) if self._plan.drip else asyncio.sleep(0))
        else:
            self._write(unit)
        self._call.sent_frames += 1
        await self._pause(at)
        return is_last

    def _write(self, data: bytes) -> None:
        """Bytes of the body, framed."""
        if not data:
            return
        framed = b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data
        held, self._held = self._held, b""
        self._line.write(held + framed if held else framed)
        self._call.sent_bytes += len(data)

    def _flush(self) -> None:
        """What was held back to go out with the first frame."""
        if self._held:
            self._line.write(self._held)
            self._held = b""

    async def _pause(self, at: int) -> None:
        """Nobody else may starve because one caller reads fast."""
        await self._line.drain()
        if at % YIELD_EVERY == YIELD_EVERY - 1:
            await asyncio.sleep(0)

    async def _wait(self, delay: Delay | None) -> None:
        if delay is not None:
            await asyncio.sleep(delay.draw(self._random))

    async def _end(self) -> str:
        """A proper end."""
        plan = self._plan
        if self._is_chunked:
            self._line.write(LAST_CHUNK)
        if plan.http09 or plan.close or (plan.length or 0) > 0:
            self._line.close()
        return ANSWERED

    async def _end_by(self, name: str, unit: bytes) -> str:
        """An end that is a fault. `unit` is what would have come next."""
        self._flush()
        line = self._line
        match name:
            case "stall":
                await line.gone()
            case "end" | "cut_end":
                line.write(LAST_CHUNK)
            case "rst" | "cut_rst":
                await line.reset()
            case "half":
                line.shut()
                await line.gone()
            case "short_chunk":
                line.write(b"%x\r\n%b" % (len(unit) + 10, unit))
                line.close()
            case "bad_chunk":
                line.write(b"zz\r\n%b\r\n" % unit)
                line.close()
            case _:
                line.close()
        return name.replace("_", "-")
