"""The stand-ins do what the real things do."""

from __future__ import annotations

import asyncio

import pytest

from farmgate.core.answer import gather
from farmgate.core.errors import UpstreamError, UpstreamStreamTruncated
from farmgate.core.event import Event, Finish, Text
from farmgate.core.ports import Clock, Journal, Target
from farmgate.core.request import Kind
from farmgate.core.words import Chat, Complete, Embed, Message, Role
from farmgate.testing import FakeClock, FakeJournal, FakeTarget, request_of

ASK = request_of(Complete(prompt="hello"))


async def test_a_target_answers_every_request_by_its_script() -> None:
    target = FakeTarget(Text("a"), Finish())
    as_target: Target = target
    for _ in range(2):
        reply = await as_target.send(ASK)
        assert not target.all_closed
        assert [event.parts for event in await gather(reply)] == [(Text("a"),), (Finish(),)]
    assert (target.calls, target.closed, target.events_taken, target.requests) == (2, 2, 4, [ASK, ASK])
    assert target.all_closed


async def test_a_script_without_its_end_was_cut_off_and_one_that_breaks_breaks() -> None:
    with pytest.raises(UpstreamStreamTruncated):
        await gather(await FakeTarget(Text("a")).send(ASK))
    with pytest.raises(UpstreamError):
        await gather(await FakeTarget(Text("a"), UpstreamError(), Finish()).send(ASK))
    with pytest.raises(UpstreamError):
        await FakeTarget(refuses=UpstreamError()).send(ASK)


async def test_a_script_waits_until_it_is_told_to_go_on() -> None:
    gate = asyncio.Event()
    reply = await FakeTarget(gate, Text("a"), Finish()).send(ASK)
    first = asyncio.create_task(reply.next())
    await asyncio.sleep(0)
    assert not first.done()
    gate.set()
    event = await first
    assert event is not None
    assert event.parts == (Text("a"),)


async def test_a_whole_answer_is_closed_by_whoever_holds_it() -> None:
    target = FakeTarget(whole=Event((Text("a"), Finish())), provider="p", model="n")
    reply = await target.send(ASK)
    assert (reply.provider, reply.model, reply.streams, target.all_closed) == ("p", "n", False, False)
    await gather(reply)
    assert (target.closed, target.all_closed) == (1, True)


def test_a_clock_goes_on_when_it_is_told_to_and_never_back() -> None:
    clock = FakeClock(5.0)
    as_clock: Clock = clock
    clock.advance(1.5)
    assert as_clock() == 6.5
    with pytest.raises(AssertionError):
        clock.advance(-1.0)


def test_a_journal_is_a_journal() -> None:
    journal: Journal = FakeJournal()
    assert isinstance(journal, FakeJournal)
    assert journal.outcomes == []


def test_a_request_is_of_the_kind_of_its_words() -> None:
    hello = Chat(messages=(Message(role=Role.USER, content="hello"),))
    kinds = [request_of(words).kind for words in (hello, Complete(prompt="a"), Embed(inputs=("a",)))]
    assert kinds == [Kind.CHAT, Kind.COMPLETION, Kind.EMBEDDING]
