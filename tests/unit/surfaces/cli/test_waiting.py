"""Who waits for an answer at a terminal sees for how long, and nothing of that once it comes."""

from __future__ import annotations

import asyncio
import sys

import pytest
from tests.unit.engines.fakes import FakeTime

from farmgate.core.errors import Unavailable
from farmgate.core.event import Event, Finish, FinishReason, Reasoning, Text
from farmgate.core.ports import Target
from farmgate.core.reply import Reply
from farmgate.core.request import Request
from farmgate.core.words import Chat, Message, Role
from farmgate.surfaces.cli.answer import Asker
from farmgate.surfaces.cli.out import Out

HI = Chat(messages=(Message(role=Role.USER, content="hi"),))


class Slow:
    """Begins to answer, and says its word, when it may."""

    def __init__(self, error: Unavailable | None = None) -> None:
        self.begins, self.speaks = asyncio.Event(), asyncio.Event()
        self._error = error
        self._left = [Event((Reasoning("hm"),)), Event((Text("Hello"),)), Event((Finish(FinishReason.STOP),))]

    async def send(self, request: Request) -> Reply:
        await self.begins.wait()
        if self._error is not None:
            raise self._error
        return Reply(self._next, provider="local", model="slow")

    async def _next(self) -> Event | None:
        if len(self._left) == 2:
            await self.speaks.wait()
        return self._left.pop(0) if self._left else None


def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)


def asker(target: Target, out: Out, time: FakeTime) -> Asker:
    return Asker(target=target, out=out, model="slow", clock=time.clock, sleep=time.sleep)


async def test_the_wait_is_shown_until_the_first_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at_a_terminal(monkeypatch)
    time, target = FakeTime(), Slow()
    asking = asyncio.create_task(asker(target, Out(), time).ask(HI))
    for _ in range(2):
        await time.until_asleep(1.0)
        time.advance(1.0)
    await time.until_asleep(1.0)
    target.begins.set()
    await asyncio.sleep(0)
    time.advance(1.0)
    await time.until_asleep(1.0)
    target.speaks.set()
    took = await asking
    drawn, after = capsys.readouterr().err.split("\r\x1b[K")
    assert drawn == "".join(f"\rslow  no word yet  {count} s\x1b[K" for count in (1, 2, 3)), "what it thinks is no word"
    assert after.startswith("\x1b[2mslow")
    assert took.text == "Hello"


async def test_an_error_takes_it_away_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    at_a_terminal(monkeypatch)
    time, target = FakeTime(), Slow(Unavailable("no such engine"))
    asking = asyncio.create_task(asker(target, Out(), time).ask(HI))
    await time.until_asleep(1.0)
    time.advance(1.0)
    await time.until_asleep(1.0)
    target.begins.set()
    with pytest.raises(Unavailable):
        await asking
    assert capsys.readouterr().err == "\rslow  no word yet  1 s\x1b[K\r\x1b[K"


@pytest.mark.parametrize("out", [Out(json=True), Out(quiet=True)])
async def test_programs_see_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], out: Out
) -> None:
    at_a_terminal(monkeypatch)
    time, target = FakeTime(), Slow()
    target.begins.set()
    target.speaks.set()
    await asker(target, out, time).ask(HI)
    assert capsys.readouterr().err == ""
