"""Nothing is let out before an answer has said something."""

from __future__ import annotations

import asyncio

import pytest

from farmgate.core.answer import gather
from farmgate.core.errors import ModelNotFound, UpstreamError, UpstreamStreamTruncated
from farmgate.core.event import Event, Finish, Reasoning, Text, ToolDelta, Usage, Vector
from farmgate.core.model import Facts
from farmgate.core.reply import Reply
from farmgate.core.words import Complete
from farmgate.flow.attempt import Attempt
from farmgate.flow.opening import HELD_BYTES, first_content
from farmgate.flow.route import ProviderView, View
from farmgate.testing import FakeTarget, Step, request_of

ASK = request_of(Complete(prompt="hello"), model="m", provider=None)
ROLE = Event((), raw=b"data: role\n\n")


class FakeCatalog:
    """Knows `p` and its models; a refresh adds what was pulled meanwhile."""

    def __init__(self, *models: str, pulled: tuple[str, ...] = ()) -> None:
        self.models = models
        self.pulled = pulled
        self.refreshed = 0

    def view(self) -> View:
        return View(default_provider="p", providers={"p": ProviderView(models=frozenset(self.models))})

    def published(self, provider: str, model: str) -> Facts:
        return Facts()

    async def refresh(self) -> None:
        self.refreshed += 1
        self.models += self.pulled


async def reply_of(*steps: Step) -> tuple[FakeTarget, Reply]:
    target = FakeTarget(*steps)
    return target, await target.send(ASK)


@pytest.mark.parametrize("content", [Text("a"), Reasoning("a"), ToolDelta(index=0), Vector((1.0,))])
async def test_an_answer_is_let_out_with_its_first_content(content: Step) -> None:
    target, reply = await reply_of(ROLE, content, Finish())
    await first_content(reply)
    assert target.events_taken == 2
    assert not reply.is_closed


async def test_what_was_held_is_given_back_in_order() -> None:
    _, reply = await reply_of(ROLE, Usage(prompt_tokens=1), Text("a"), Text("b"), Finish())
    seen: list[Event] = []
    reply.tap(seen.append)
    await first_content(reply)
    events = await gather(reply)
    assert [event.parts for event in events] == [(), (Usage(prompt_tokens=1),), (Text("a"),), (Text("b"),), (Finish(),)]
    assert seen == events


async def test_an_answer_that_is_complete_without_content_is_let_out() -> None:
    _, reply = await reply_of(ROLE, Finish())
    await first_content(reply)
    assert [event.parts for event in await gather(reply)] == [(), (Finish(),)]


async def test_a_whole_answer_is_let_out_at_once() -> None:
    reply = Reply.whole(Event((Finish(),)), provider="p", model="m")
    await first_content(reply)
    assert reply.event is not None


@pytest.mark.parametrize("before", [[], [ROLE], [ROLE, Usage(prompt_tokens=1), ROLE]])
@pytest.mark.parametrize("error", [UpstreamError(), UpstreamStreamTruncated(), ZeroDivisionError()])
async def test_what_breaks_before_the_first_content_is_raised_and_the_reply_closed(
    before: list[Step], error: BaseException
) -> None:
    target, reply = await reply_of(*before, error)
    told: list[BaseException | None] = []
    reply.when_closed(told.append)
    with pytest.raises(type(error)):
        await first_content(reply)
    assert target.closed == 1
    assert told == [error]


async def test_a_caller_who_leaves_before_the_first_content_closes_the_reply() -> None:
    target, reply = await reply_of(ROLE, asyncio.Event())
    task = asyncio.create_task(first_content(reply))
    while not target.events_taken:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert target.closed == 1


async def test_what_breaks_after_the_first_content_is_the_readers_to_see() -> None:
    _, reply = await reply_of(Text("a"), UpstreamError())
    await first_content(reply)
    assert (await reply.next()) is not None
    with pytest.raises(UpstreamError):
        await reply.next()


async def test_no_more_is_held_than_so_many_bytes() -> None:
    ping = Event((), raw=b"x" * 1024)
    target, reply = await reply_of(*[ping] * 1000, Finish())
    await first_content(reply)
    assert target.events_taken == HELD_BYTES // 1024 + 1
    assert len(await gather(reply)) == 1001


async def test_the_provider_is_asked_by_its_own_name_for_the_model() -> None:
    target = FakeTarget(Text("a"), Finish(), provider="p")
    reply = await Attempt({"p": target}, FakeCatalog("m:latest")).send(ASK)
    assert [(request.provider, request.model) for request in target.requests] == [("p", "m:latest")]
    assert (reply.provider, reply.model) == ("p", "m:latest")
    assert (ASK.provider, ASK.model) == (None, "m")


async def test_a_model_pulled_a_moment_ago_is_found() -> None:
    target, catalog = FakeTarget(Text("a"), Finish()), FakeCatalog("other", pulled=("m",))
    (await Attempt({"p": target}, catalog).send(ASK)).close()
    assert (target.calls, catalog.refreshed) == (1, 1)


async def test_a_model_nobody_has_is_looked_for_once_and_nobody_is_asked() -> None:
    target, catalog = FakeTarget(Text("a"), Finish()), FakeCatalog("other")
    with pytest.raises(ModelNotFound):
        await Attempt({"p": target}, catalog).send(ASK)
    assert (target.calls, catalog.refreshed) == (0, 1)


async def test_a_known_model_costs_no_refresh() -> None:
    catalog = FakeCatalog("m")
    (await Attempt({"p": FakeTarget(Text("a"), Finish())}, catalog).send(ASK)).close()
    assert catalog.refreshed == 0
