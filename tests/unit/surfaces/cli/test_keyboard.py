"""Single keys, on a real pseudo-terminal; and an event loop beside the keyboard."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from farmgate.surfaces.cli.keyboard import listen_to_keys, single_keys
from farmgate.surfaces.cli.loopthread import LoopThread

termios = pytest.importorskip("termios")


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    typing, reading = os.openpty()
    yield typing, reading
    for fd in (typing, reading):
        try:
            os.close(fd)
        except OSError:
            continue


async def test_each_key_does_what_belongs_to_it(terminal: tuple[int, int]) -> None:
    typing, reading = terminal
    typed: list[str] = []
    done = asyncio.Event()
    with single_keys(reading) as has_keys:
        assert has_keys
        listen_to_keys(reading, {"r": lambda: typed.append("r"), "q": done.set})
        os.write(typing, b"Rxr\xffq")
        async with asyncio.timeout(5):
            await done.wait()
        asyncio.get_running_loop().remove_reader(reading)
    assert typed == ["r", "r"]


@pytest.mark.parametrize("how", [None, KeyboardInterrupt, ZeroDivisionError])
def test_the_terminal_is_given_back_as_it_was(terminal: tuple[int, int], how: type[BaseException] | None) -> None:
    _, reading = terminal
    before = termios.tcgetattr(reading)

    def use() -> None:
        with single_keys(reading):
            during = termios.tcgetattr(reading)
            assert not during[3] & termios.ICANON
            assert during[3] & termios.ISIG, "Ctrl-C works as ever"
            if how:
                raise how

    if how:
        with pytest.raises(how):
            use()
    else:
        use()
    assert termios.tcgetattr(reading) == before


def test_what_is_no_terminal_has_no_keys() -> None:
    read, write = os.pipe()
    with single_keys(read) as has_keys:
        assert not has_keys
    os.close(read)
    os.close(write)


# ------------------------------------------------------------------------------------------------------- loop


def test_what_is_held_is_entered_and_left_by_one_task() -> None:
    tasks: list[asyncio.Task[object] | None] = []

    @asynccontextmanager
    async def room() -> AsyncIterator[str]:
        tasks.append(asyncio.current_task())
        yield "inside"
        tasks.append(asyncio.current_task())

    async def work() -> int:
        return 7

    with LoopThread() as loop:
        assert loop.hold(room()) == "inside"
        assert loop.run(work()) == 7
    first, second = tasks
    assert first is second


def test_what_cannot_be_entered_is_raised_here() -> None:
    @asynccontextmanager
    async def room(key: int) -> AsyncIterator[float]:
        yield 1 / key

    with LoopThread() as loop, pytest.raises(ZeroDivisionError):
        loop.hold(room(0))


def test_ctrl_c_cancels_the_work_and_waits_for_its_end() -> None:
    said: list[str] = []

    async def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            said.append("tidied up")

    async def more() -> str:
        return "and on"

    with LoopThread() as loop:
        with pytest.raises(KeyboardInterrupt):
            loop.run(work())
        assert said == ["tidied up"]
        assert loop.run(more()) == "and on"


def test_ctrl_c_before_the_work_has_begun_leaves_nothing_running(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    async def others() -> int:
        return len(asyncio.all_tasks()) - 1

    with LoopThread() as loop:
        send = loop._loop.call_soon_threadsafe
        before = loop.run(others())

        def interrupted(callback: Callable[[], object]) -> asyncio.Handle:
            handle = send(callback)
            if callback.__name__ == "begin":
                raise KeyboardInterrupt
            return handle

        with monkeypatch.context() as patch:
            patch.setattr(loop._loop, "call_soon_threadsafe", interrupted)
            with pytest.raises(KeyboardInterrupt):
                loop.run(work())
        assert loop.run(others()) == before
