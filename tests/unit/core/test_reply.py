"""A reply: its events in order, its taps, and what happens exactly once when it is closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from farmgate.core.answer import gather
from farmgate.core.errors import UpstreamError, UpstreamStreamTruncated
from farmgate.core.event import Event, Finish, Part, Text, Vector
from farmgate.core.reply import Emit, Reply

A, B, END = Event((Text("a"),)), Event((Text("b"),)), Event((Finish(),))


def reply_of(*events: Event) -> Reply:
    return Reply.of(list(events), provider="p", model="m")


async def rest(reply: Reply) -> list[Event]:
    return [event async for event in reply]


def broken(error: BaseException, *before: Event, closed: list[str] | None = None) -> Reply:
    left = list(before)

    async def following() -> Event | None:
        if left:
            return left.pop(0)
        raise error

    close = (lambda: closed.append("upstream")) if closed is not None else None
    return Reply(following, provider="p", model="m", close=close)


async def test_events_come_in_order_and_then_none_for_good() -> None:
    reply = reply_of(A, B)
    assert [await reply.next() for _ in range(4)] == [A, B, None, None]


async def test_a_whole_answer_is_one_event() -> None:
    reply = Reply.whole(A, provider="p", model="m")
    assert (reply.streams, reply.event) == (False, A)
    assert await rest(reply) == [A]
    assert reply.event is None


async def test_what_was_looked_at_comes_again_in_order_and_taps_see_it_once() -> None:
    seen: list[Event] = []
    reply = reply_of(A, B, END)
    reply.tap(seen.append)
    first, second = await reply.next(), await reply.next()
    assert first is not None
    assert second is not None
    reply.hold([first, second])
    assert await rest(reply) == [A, B, END]
    assert seen == [A, B, END]


async def test_a_provider_is_not_asked_again_after_the_end() -> None:
    asked = 0

    async def following() -> Event | None:
        nonlocal asked
        asked += 1
        return None

    async def pour(emit: Emit) -> None:
        raise AssertionError("the answer is over")

    reply = Reply(following, provider="p", model="m", pour=pour)
    assert await reply.next() is None
    reply.hold([A])
    poured: list[Event] = []
    await reply.pour(poured.append)
    assert (poured, asked) == ([A], 1)


async def test_a_tap_sees_a_whole_answer_at_once_and_only_once() -> None:
    seen: list[Event] = []
    reply = Reply.whole(A, provider="p", model="m")
    reply.tap(seen.append)
    assert seen == [A]
    await rest(reply)
    assert seen == [A]


@pytest.mark.parametrize("has_pour", [True, False])
async def test_pouring_gives_every_event_to_the_taps_and_then_to_the_caller(has_pour: bool) -> None:
    left, order = [A, B], []

    async def following() -> Event | None:
        return left.pop(0) if left else None

    async def pour(emit: Emit) -> None:
        while left:
            wait = emit(left.pop(0))
            if wait is not None:
                await wait

    async def slowly(event: Event) -> None:
        await asyncio.sleep(0)
        order.append(("caller", event))

    reply = Reply(following, provider="p", model="m", pour=pour if has_pour else None)
    reply.tap(lambda event: order.append(("tap", event)))
    held = await reply.next()
    assert held is not None
    reply.hold([held])
    await reply.pour(slowly)
    assert order == [("tap", A), ("caller", A), ("tap", B), ("caller", B)]


@pytest.mark.parametrize("by_pour", [True, False])
async def test_what_breaks_an_answer_is_told_when_it_closes(by_pour: bool) -> None:
    error = UpstreamError()
    told: list[BaseException | None] = []
    reply = broken(error, A)
    reply.when_closed(told.append)
    with pytest.raises(UpstreamError):
        await (reply.pour(lambda _: None) if by_pour else rest(reply))
    reply.close()
    assert told == [error]


async def test_closing_happens_once_and_frees_the_upstream_before_it_is_told() -> None:
    order: list[str] = []
    reply = broken(UpstreamError(), closed=order)
    reply.when_closed(lambda _: order.append("first"))
    reply.when_closed(lambda _: order.append("second"))
    reply.close()
    reply.close()
    assert order == ["upstream", "first", "second"]
    assert reply.is_closed


async def test_closing_is_told_even_when_the_upstream_cannot_be_freed() -> None:
    told: list[BaseException | None] = []

    def close() -> None:
        raise OSError("gone already")

    reply = Reply(reply_of().next, provider="p", model="m", close=close)
    reply.when_closed(told.append)
    with pytest.raises(OSError, match="gone"):
        reply.close()
    assert told == [None]


@pytest.mark.parametrize("kind", ["with", "async with"])
async def test_leaving_the_block_closes_and_tells_why(kind: str) -> None:
    told: list[BaseException | None] = []
    error = ValueError("the caller's")
    reply = reply_of(A)
    reply.when_closed(told.append)

    async def leave() -> None:
        if kind == "with":
            with reply:
                raise error
        async with reply:
            raise error

    with pytest.raises(ValueError, match="caller"):
        await leave()
    assert told == [error]


async def test_the_first_cause_is_the_one_that_counts() -> None:
    first, told = UpstreamError(), list[BaseException | None]()
    reply = broken(first)
    reply.when_closed(told.append)
    with pytest.raises(UpstreamError):
        await reply.next()
    reply.close(ValueError("later"))
    assert told == [first]


async def test_a_generator_of_parts_is_a_reply_and_without_its_end_was_cut_off() -> None:
    async def parts(*said: Part) -> AsyncIterator[Part]:
        for part in said:
            yield part

    complete = Reply.stream(parts(Text("a"), Finish()), provider="p", model="m")
    assert [event.parts for event in await rest(complete)] == [(Text("a"),), (Finish(),)]
    with pytest.raises(UpstreamStreamTruncated):
        await rest(Reply.stream(parts(Text("a")), provider="p", model="m"))
    assert await rest(Reply.stream(parts(Vector((1.0,))), provider="p", model="m"))


async def test_gathering_reads_everything_and_closes() -> None:
    for reply, events in ((reply_of(A, END), [A, END]), (Reply.whole(A, provider="p", model="m"), [A])):
        assert await gather(reply) == events
        assert reply.is_closed
    reply = broken(UpstreamError(), A)
    with pytest.raises(UpstreamError):
        await gather(reply)
    assert reply.is_closed
