"""Whatever a user's own provider raises, its caller is told that the provider failed, and no word of a prompt."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from farmgate.app.careful import CarefulTarget
from farmgate.core.answer import gather
from farmgate.core.errors import FarmError, UpstreamError, UpstreamRateLimited, UpstreamTimeout
from farmgate.core.event import Event, Finish, Part, Text
from farmgate.core.model import Capability, Health, HealthStatus, ModelInfo
from farmgate.core.reply import Reply
from farmgate.core.request import Request
from farmgate.core.words import Chat, Message, Role
from farmgate.providers.provider import ProviderBase
from farmgate.testing import request_of

HELLO = Chat(messages=(Message(role=Role.USER, content="SECRET"),))


@dataclass
class Mine(ProviderBase):
    """Raises `at_once`, or `later` after a first piece."""

    name: str = "mine"
    at_once: Exception | None = None
    later: Exception | None = None
    capabilities: frozenset[Capability] = field(default_factory=lambda: frozenset({Capability.CHAT}))
    asked: int = 0

    async def send(self, request: Request) -> Reply:
        self.asked += 1
        if self.at_once is not None:
            raise self.at_once
        return Reply.stream(self._say(), provider=self.name, model="m")

    async def _say(self) -> AsyncIterator[Part]:
        yield Text("a")
        if self.later is not None:
            raise self.later
        yield Finish()

    async def models(self) -> tuple[ModelInfo, ...]:
        return ()

    async def health(self) -> Health:
        return Health(name=self.name, status=HealthStatus.HEALTHY)


RAISED = [
    (KeyError("SECRET"), UpstreamError),
    (AssertionError(), UpstreamError),
    (TimeoutError(), UpstreamTimeout),
    (UpstreamRateLimited("slow down"), UpstreamRateLimited),
]


@pytest.mark.parametrize(("raised", "told"), RAISED)
@pytest.mark.parametrize("moment", ["at_once", "later"])
async def test_what_it_raises_is_told_as_its_failure(
    raised: Exception, told: type[FarmError], moment: str, caplog: pytest.LogCaptureFixture
) -> None:
    target = CarefulTarget(Mine(at_once=raised) if moment == "at_once" else Mine(later=raised))
    got: list[Event] = []
    with caplog.at_level(logging.INFO, logger="farmgate"), pytest.raises(told) as caught:
        async with await target.send(request_of(HELLO)) as reply:
            await reply.pour(got.append)
    assert type(caught.value) is told
    assert len(got) == (moment == "later")
    assert "SECRET" not in caught.value.message + caplog.text
    assert ("test_careful.py" in caplog.text) == (told is UpstreamError)


async def test_a_proper_answer_passes_and_closing_it_closes_the_providers() -> None:
    ended: list[BaseException | None] = []

    class Closing(Mine):
        async def send(self, request: Request) -> Reply:
            reply = await super().send(request)
            reply.dropped = ("user",)
            reply.when_closed(ended.append)
            return reply

    reply = await CarefulTarget(Closing()).send(request_of(HELLO))
    assert (reply.provider, reply.model, reply.streams, reply.dropped) == ("mine", "m", True, ("user",))
    assert [event.parts for event in await gather(reply)] == [(Text("a"),), (Finish(),)]
    reply.close()
    assert ended == [None]


async def test_a_whole_answer_passes_as_it_is() -> None:
    class Whole(Mine):
        async def send(self, request: Request) -> Reply:
            return Reply.whole(Event((Text("a"), Finish())), provider="mine", model="m")

    reply = await CarefulTarget(Whole()).send(request_of(HELLO))
    assert reply.event is not None
    assert reply.event.parts == (Text("a"), Finish())
