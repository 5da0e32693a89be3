"""Engines are heard on how busy they are, rarely, and whatever they make of it costs nobody anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest
from tests.unit.engines.fakes import FakeTime

from farmgate.core.model import EngineLoad
from farmgate.engines import hearing
from farmgate.engines.hearing import Hearing, hear, pause_s
from farmgate.engines.leases import Address
from farmgate.engines.states import State
from farmgate.engines.supervisor import Supervisor

HEAD = b"HTTP/1.1 200 OK\r\n"
PIECES = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
TOLD = b"sglang:num_running_reqs 7\n"


@dataclass(eq=False)
class Process:
    """A supervisor, seen from here."""

    state: State = State.READY
    address: Address | None = field(default_factory=lambda: Address(url="http://127.0.0.1:1", key="k"))


class Bench:
    """Processes, time that stands still, and what each tells when it is asked."""

    def __init__(self, *processes: Process) -> None:
        self.time = FakeTime()
        self.there = list(processes)
        self.says: dict[int, EngineLoad | None] = {}
        self.asked: list[Address] = []
        self.hearing = Hearing(
            lambda: cast("list[Supervisor]", self.there), clock=self.time.clock, sleep=self.time.sleep, hear=self.hear
        )

    async def hear(self, address: Address) -> EngineLoad | None:
        self.asked.append(address)
        return self.says.get(id(address))

    def tells(self, process: Process, load: EngineLoad | None) -> None:
        self.says[id(process.address)] = load

    def of(self, process: Process) -> EngineLoad | None:
        return self.hearing.of(cast("Supervisor", process))


async def test_each_that_answers_is_asked_every_few_seconds() -> None:
    one, asleep, starting = Process(), Process(State.ASLEEP), Process(State.STARTING, None)
    bench = Bench(one, asleep, starting)
    bench.tells(one, EngineLoad(running=2))
    running = asyncio.create_task(bench.hearing.run())
    await bench.time.until_asleep(hearing.EVERY_S)
    assert bench.of(one) == EngineLoad(running=2)
    bench.tells(one, EngineLoad(running=3, waiting=1))
    assert bench.of(one) == EngineLoad(running=2)
    bench.time.advance(hearing.EVERY_S)
    await bench.time.until_asleep(hearing.EVERY_S)
    assert bench.of(one) == EngineLoad(running=3, waiting=1)
    assert bench.asked == [one.address] * 2, "who sleeps is left in peace"
    running.cancel()


async def test_what_was_told_is_of_one_process_and_of_as_long_as_it_answers() -> None:
    one = Process()
    bench = Bench(one)
    bench.tells(one, EngineLoad(running=2))
    await bench.hearing.look()
    one.state = State.DRAINING
    assert bench.of(one) is None
    one.state, before = State.READY, one.address
    assert bench.of(one) == EngineLoad(running=2)
    one.address = Address(url="http://127.0.0.1:1", key="k")
    assert before is not None
    assert bench.of(one) is None, "it was started again"
    await bench.hearing.look()
    assert bench.asked[-1] is one.address


async def test_one_that_tells_nothing_is_asked_ever_more_rarely_until_it_does() -> None:
    one = Process()
    bench = Bench(one)
    asked_at = []
    for _ in range(200):
        before = len(bench.asked)
        await bench.hearing.look()
        if len(bench.asked) > before:
            asked_at.append(bench.time.now - 1000.0)
        bench.time.advance(hearing.EVERY_S)
    assert asked_at == [0.0, 10.0, 30.0, 70.0, 150.0, 310.0, 630.0, 950.0]
    assert bench.of(one) is None
    bench.tells(one, EngineLoad(running=1))
    bench.time.advance(320.0)
    await bench.hearing.look()
    await bench.hearing.look()
    assert len(bench.asked) == len(asked_at) + 2, "it is asked as often as any other again"
    bench.tells(one, None)
    await bench.hearing.look()
    assert bench.of(one) is None, "nothing is told of what it said before"
    assert pause_s(10_000) == 320.0


# --------------------------------------------------------------------------------------------------- what it answers

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served(serve: Serve) -> AsyncIterator[Address]:
    async def serving(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    async with await asyncio.start_server(serving, "127.0.0.1", 0) as listening:
        yield Address(url=f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", key="sesame")


async def says(answer: bytes) -> EngineLoad | None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"GET /metrics HTTP/1.0\r\n")
        assert b"\r\nauthorization: Bearer sesame\r\n" in head
        writer.write(answer)

    async with served(serve) as address:
        return await hear(address)


@pytest.mark.parametrize(
    ("answer", "load"),
    [
        (HEAD + b"\r\n" + TOLD, EngineLoad(running=7)),
        (PIECES + b"5\r\nsglan\r\n15;x=y\r\ng:num_running_reqs 7\n\r\n0\r\n\r\n", EngineLoad(running=7)),
        (PIECES + b"ffffffff\r\nsglang:num_running_reqs 7\n", None),
        (PIECES + TOLD, None),
        (PIECES + b"-1\r\n", None),
        (PIECES, None),
        (HEAD + b"\r\n<html>", None),
        (b"HTTP/1.1 404 Not Found\r\n\r\n" + TOLD, None),
        (b"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://192.0.2.1/\r\n\r\n", None),
        (b"SSH-2.0\r\n", None),
        (b"", None),
    ],
)  # fmt: skip
async def test_what_is_no_load_is_nothing(answer: bytes, load: EngineLoad | None) -> None:
    assert await says(answer) == load


async def test_one_that_hangs_or_has_no_end_is_nothing_in_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"\r\n")
        while not writer.is_closing():
            writer.write(TOLD * 10_000)
            await writer.drain()

    async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"\r\n" + TOLD)
        await reader.read()  # Until the caller leaves; newer servers are not closed before.

    async with served(endless) as address:
        assert await hear(address) is None
    monkeypatch.setattr(hearing, "WITHIN_S", 0.05)
    async with served(drips) as address:
        assert await hear(address) is None
    assert await hear(address) is None, "and one that is not there"
