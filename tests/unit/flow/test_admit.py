"""At most so many at once, and no slot is ever lost."""

from __future__ import annotations

import asyncio

import pytest

from farmgate.core.answer import gather
from farmgate.core.errors import Overloaded, UpstreamError
from farmgate.core.reply import Event, Finish, Reply, Text
from farmgate.core.request import Request
from farmgate.core.words import Complete
from farmgate.flow.admit import Admit
from farmgate.telemetry import Telemetry
from farmgate.testing import FakeTarget, request_of

ASK = request_of(Complete(prompt="hello"))


def admit(target: FakeTarget, most: int = 2) -> Admit:
    return Admit(target, most=most, telemetry=Telemetry())


async def test_one_more_than_the_limit_is_told_to_come_back_and_asks_nobody() -> None:
    target = FakeTarget(Text("a"), Finish())
    gate = admit(target)
    replies = [await gate.send(ASK), await gate.send(ASK)]
    with pytest.raises(Overloaded) as caught:
        await gate.send(ASK)
    assert (caught.value.status, caught.value.retry_after_s, target.calls) == (503, 1.0, 2)
    replies[0].close()
    (await gate.send(ASK)).close()
    replies[1].close()
    assert gate.in_flight == 0


async def test_a_slot_is_held_until_the_reply_is_closed_and_given_back_once() -> None:
    gate = admit(FakeTarget(Text("a"), Finish()))
    reply = await gate.send(ASK)
    async for _ in reply:
        assert gate.in_flight == 1
    assert gate.in_flight == 1
    reply.close()
    reply.close()
    assert gate.in_flight == 0


async def test_every_way_to_end_gives_the_slot_back() -> None:
    breaks = admit(FakeTarget(Text("a"), UpstreamError()))
    with pytest.raises(UpstreamError):
        await gather(await breaks.send(ASK))
    refuses = admit(FakeTarget(refuses=UpstreamError()))
    with pytest.raises(UpstreamError):
        await refuses.send(ASK)
    bug = admit(FakeTarget(refuses=ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        await bug.send(ASK)
    whole = admit(FakeTarget(whole=Event((Text("a"), Finish()))))
    await gather(await whole.send(ASK))
    unread = admit(FakeTarget(Text("a")))
    (await unread.send(ASK)).close()
    assert [gate.in_flight for gate in (breaks, refuses, bug, whole, unread)] == [0] * 5


@pytest.mark.parametrize("where", ["while asking", "while reading"])
async def test_a_cancelled_request_gives_its_slot_back(where: str) -> None:
    never = asyncio.Event()

    class Hangs(FakeTarget):
        async def send(self, request: Request) -> Reply:
            await never.wait()
            return await super().send(request)

    gate = admit(Hangs() if where == "while asking" else FakeTarget(Text("a"), never))

    async def ask() -> None:
        await gather(await gate.send(ASK))

    task = asyncio.create_task(ask())
    while not gate.in_flight:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gate.in_flight == 0


async def test_what_is_in_flight_is_measured() -> None:
    telemetry = Telemetry()
    gate = Admit(FakeTarget(Text("a")), most=2, telemetry=telemetry)
    reply = await gate.send(ASK)
    assert b"farmgate_requests_in_flight 1.0" in telemetry.render()
    reply.close()
    assert b"farmgate_requests_in_flight 0.0" in telemetry.render()
