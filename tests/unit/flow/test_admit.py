"""At most so many at once, and no slot is ever lost."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from farmgate.core.answer import gather
from farmgate.core.errors import Overloaded, UpstreamError
from farmgate.core.event import Event, Finish, Text
from farmgate.core.identity import Principal
from farmgate.core.reply import Reply
from farmgate.core.request import Request
from farmgate.core.words import Complete
from farmgate.flow.admit import Admit
from farmgate.flow.slots import Lines, Room, Turn
from farmgate.telemetry import Telemetry
from farmgate.testing import FakeTarget, request_of

ASK = request_of(Complete(prompt="hello"))


def admit(target: FakeTarget, most: int = 2, waiting: int = 0, patience_s: float = 60.0) -> Admit:
    room = Room(in_flight=most, waiting=waiting, patience_s=patience_s)
    return Admit(target, room=room, telemetry=Telemetry(), draw=lambda: 0.25)


def ask_of(caller: str) -> Request:
    return request_of(Complete(prompt="hello"), who=Principal(key_name=caller))


async def settle() -> None:
    """Let everything happen that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_one_more_than_the_limit_is_told_to_come_back_and_asks_nobody() -> None:
    target = FakeTarget(Text("a"), Finish())
    gate = admit(target)
    replies = [await gate.send(ASK), await gate.send(ASK)]
    with pytest.raises(Overloaded) as caught:
        await gate.send(ASK)
    assert (caught.value.status, caught.value.retry_after_s, target.calls) == (503, 2.0, 2)
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
    gate = Admit(FakeTarget(Text("a")), room=Room(in_flight=1, waiting=1), telemetry=telemetry)
    reply = await gate.send(ASK)
    waits = asyncio.create_task(gate.send(ASK))
    await settle()
    assert b"farmgate_requests_in_flight 1.0" in telemetry.render()
    assert b"farmgate_requests_waiting 1.0" in telemetry.render()
    reply.close()
    (await waits).close()
    assert b"farmgate_requests_in_flight 0.0" in telemetry.render()
    assert b"farmgate_requests_waiting 0.0" in telemetry.render()


# ---------------------------------------------------------------------------------------------------------- the lines


async def test_who_waits_gets_the_slot_of_who_leaves() -> None:
    target = FakeTarget(Text("a"), Finish())
    gate = admit(target, most=1, waiting=2)
    first = await gate.send(ASK)
    second, third = (asyncio.create_task(gate.send(ASK)) for _ in range(2))
    await settle()
    assert (target.calls, gate.waiting, gate.in_flight) == (1, 2, 1)
    first.close()
    (await second).close()
    (await third).close()
    assert (target.calls, gate.waiting, gate.in_flight) == (3, 0, 0)


async def test_who_has_waited_long_enough_is_told_to_come_back() -> None:
    gate = admit(FakeTarget(Text("a")), most=1, waiting=1, patience_s=0.01)
    reply = await gate.send(ASK)
    with pytest.raises(Overloaded) as caught:
        await gate.send(ASK)
    assert (caught.value.retry_after_s, gate.waiting) == (2.0, 0)
    reply.close()
    assert gate.in_flight == 0


async def test_callers_take_turns_however_many_requests_one_of_them_has() -> None:
    served: list[str] = []

    class Notes(FakeTarget):
        async def send(self, request: Request) -> Reply:
            served.append(request.principal.key_name)
            return await super().send(request)

    gate = admit(Notes(Text("a")), most=1, waiting=10)
    reply = await gate.send(ask_of("first"))
    waiting = []
    for caller in ("crowd", "crowd", "crowd", "one", "other"):
        waiting.append(asyncio.create_task(gate.send(ask_of(caller))))
        await settle()
    reply.close()
    for task in asyncio.as_completed(waiting):
        (await task).close()
    assert served == ["first", "crowd", "one", "other", "crowd", "crowd"]


async def test_where_all_places_are_taken_the_last_of_the_longest_line_has_to_go() -> None:
    gate = admit(FakeTarget(Text("a")), most=1, waiting=2)
    reply = await gate.send(ASK)
    crowd = [asyncio.create_task(gate.send(ask_of("crowd"))) for _ in range(2)]
    await settle()
    with pytest.raises(Overloaded):
        await gate.send(ask_of("crowd"))
    one = asyncio.create_task(gate.send(ask_of("one")))
    await settle()
    assert isinstance(crowd[1].exception(), Overloaded)
    assert not one.done()
    reply.close()
    for task in (crowd[0], one):
        (await task).close()
    assert (gate.in_flight, gate.waiting) == (0, 0)


@pytest.mark.parametrize("moment", ["while it waits", "when its turn has come"])
async def test_who_leaves_the_line_takes_no_slot_along(moment: str) -> None:
    gate = admit(FakeTarget(Text("a")), most=1, waiting=2)
    reply = await gate.send(ASK)
    leaves, stays = (asyncio.create_task(gate.send(ASK)) for _ in range(2))
    await settle()
    if moment == "when its turn has come":
        reply.close()
    leaves.cancel()
    await settle()
    assert leaves.cancelled()
    reply.close()
    (await stays).close()
    assert (gate.in_flight, gate.waiting) == (0, 0)


class Queueing(RuleBasedStateMachine):
    """Lines against a list of all who wait."""

    MOST = 6

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.lines = Lines()
        self.waiting: list[tuple[str, Turn]] = []

    def teardown(self) -> None:
        self.loop.close()

    def forget(self, turn: Turn) -> None:
        self.waiting = [entry for entry in self.waiting if entry[1] is not turn]

    @rule(caller=st.sampled_from("abc"))
    def join(self, caller: str) -> None:
        turn: Turn = self.loop.create_future()
        self.waiting.append((caller, turn))
        counts = Counter(name for name, _ in self.waiting)
        self.lines.join(caller, turn)
        if len(self.waiting) > self.MOST:
            gone = self.lines.crowd_out()
            loser = next(name for name, one in self.waiting if one is gone)
            assert counts[loser] == max(counts.values())
            assert gone is [one for name, one in self.waiting if name == loser][-1]
            self.forget(gone)

    @rule(at=st.integers(0, 10))
    def leave(self, at: int) -> None:
        if self.waiting:
            caller, turn = self.waiting[at % len(self.waiting)]
            self.lines.leave(caller, turn)
            self.lines.leave(caller, turn)
            self.forget(turn)

    @rule()
    def serve(self) -> None:
        turn = self.lines.next()
        assert (turn is None) == (not self.waiting)
        if turn is not None:
            caller = next(name for name, one in self.waiting if one is turn)
            assert turn is next(one for name, one in self.waiting if name == caller)
            self.forget(turn)

    @invariant()
    def counts_agree(self) -> None:
        assert self.lines.length == len(self.waiting)


TestQueueing = Queueing.TestCase
