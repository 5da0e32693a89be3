"""A second target is asked for whole answers that are long in coming, seldom, and the loser is given up."""

from __future__ import annotations

import asyncio

import pytest

from farmgate.core.errors import CallGivenUp, FarmError, UpstreamError, UpstreamRejected
from farmgate.core.event import Event, Finish, Text
from farmgate.core.model import Facts
from farmgate.core.reply import Reply
from farmgate.core.request import Request
from farmgate.core.words import Complete
from farmgate.flow.attempt import Attempt
from farmgate.flow.hedge import Hedges
from farmgate.flow.meter import outcome_of
from farmgate.flow.route import ProviderView, View
from farmgate.flow.routes import Route, RouteTarget
from farmgate.flow.tries import Pace
from farmgate.testing import request_of

ANSWER = Event((Text("hi"), Finish()))


class Waits:
    """A target that answers once `go` is set, or raises; it notes why it was given up."""

    def __init__(self, name: str, error: FarmError | None = None) -> None:
        self.name = name
        self.error = error
        self.go = asyncio.Event()
        self.asked = asyncio.Event()
        self.calls = 0
        self.given_up: list[object] = []

    async def send(self, request: Request) -> Reply:
        self.calls += 1
        self.asked.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError as error:
            self.given_up.append(error.args[0] if error.args else None)
            raise
        if self.error is not None:
            raise self.error
        return Reply.whole(ANSWER, provider=self.name, model="m")


class Farm:
    def __init__(self, first: Waits, second: Waits, *, hedge: bool = True) -> None:
        self.first, self.second = first, second
        route = Route(targets=tuple(RouteTarget(provider=one, model="m", priority=at) for at, one in enumerate("ab")))
        self.view_ = View(
            providers={one: ProviderView(models=frozenset({"m"})) for one in "ab"}, routes={"name": route}
        )
        pace = Pace(hedge=hedge, retries=0)
        self.attempt = Attempt({"a": first, "b": second}, self, pace=pace, draw=lambda: 0.5)
        self.hedges = self.attempt.means.hedges
        for _ in range(20):
            self.hedges.came("a/m", 0.001)
            self.hedges.earn()

    def view(self) -> View:
        return self.view_

    def published(self, provider: str, model: str) -> Facts:
        return Facts()

    async def refresh(self) -> None: ...

    def ask(self, *, stream: bool = False) -> asyncio.Task[Reply]:
        request = request_of(Complete(prompt="hello"), model="name", provider=None, stream=stream)
        return asyncio.create_task(self.attempt.send(request))

    @property
    def in_flight(self) -> int:
        return sum(self.attempt.means.ward.of(f"{one}/m").in_flight for one in "ab")


async def test_the_second_answers_and_the_first_is_given_up() -> None:
    farm = Farm(Waits("a"), Waits("b"))
    asking = farm.ask()
    await farm.second.asked.wait()
    farm.second.go.set()
    reply = await asking
    assert (reply.provider, reply.attempts, reply.fallback) == ("b", 2, "a/m")
    (why,) = farm.first.given_up
    assert isinstance(why, CallGivenUp)
    assert farm.in_flight == 0


async def test_the_first_may_still_answer_first() -> None:
    farm = Farm(Waits("a"), Waits("b"))
    asking = farm.ask()
    await farm.second.asked.wait()
    farm.first.go.set()
    reply = await asking
    assert (reply.provider, reply.attempts, reply.fallback) == ("a", 2, "")
    assert len(farm.second.given_up) == 1
    assert farm.in_flight == 0


@pytest.mark.parametrize("error", [UpstreamError(), UpstreamRejected("no", status=400, type_="t", code=None)])
async def test_a_second_that_fails_leaves_the_first_alone(error: FarmError) -> None:
    farm = Farm(Waits("a"), Waits("b", error))
    asking = farm.ask()
    await farm.second.asked.wait()
    farm.second.go.set()
    await asyncio.sleep(0)
    farm.first.go.set()
    assert (await asking).provider == "a"
    assert farm.first.given_up == []


async def test_when_both_fail_that_is_told_once() -> None:
    farm = Farm(Waits("a", UpstreamError("a burns")), Waits("b", UpstreamError("b burns")))
    asking = farm.ask()
    await farm.second.asked.wait()
    farm.second.go.set()
    farm.first.go.set()
    with pytest.raises(FarmError, match=r"b burns.*a burns"):
        await asking
    assert (farm.first.calls, farm.second.calls, farm.in_flight) == (1, 1, 0)


async def test_a_caller_who_leaves_ends_both() -> None:
    farm = Farm(Waits("a"), Waits("b"))
    asking = farm.ask()
    await farm.second.asked.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (farm.first.given_up, farm.second.given_up, farm.in_flight) == ([None], [None], 0)


@pytest.mark.parametrize("why", ["a stream", "switched off", "too little is known", "no budget"])
async def test_nobody_else_is_asked(why: str) -> None:
    farm = Farm(Waits("a"), Waits("b"), hedge=why != "switched off")
    if why == "too little is known":
        farm.attempt.means.hedges.__init__()  # type: ignore[misc] # as it begins
    if why == "no budget":
        assert farm.hedges.take()
    asking = farm.ask(stream=why == "a stream")
    await farm.first.asked.wait()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(farm.second.asked.wait(), 0.05)
    farm.first.go.set()
    assert (await asking).provider == "a"
    assert farm.second.calls == 0


def test_one_request_of_twenty_may_be_hedged_and_a_few_are_saved_up() -> None:
    hedges = Hedges()
    taken = 0
    for _ in range(1000):
        hedges.earn()
        taken += hedges.take()
    assert taken == 50
    for _ in range(1000):
        hedges.earn()
    assert sum(hedges.take() for _ in range(10)) == 5


def test_long_is_what_one_answer_of_twenty_takes_longer_than() -> None:
    hedges = Hedges()
    for number in range(19):
        hedges.came("a", number)
    assert hedges.long_s("a") is None
    hedges.came("a", 19)
    assert hedges.long_s("a") == 19
    for number in range(64):
        hedges.came("a", number)
    assert hedges.long_s("a") == 60


def test_the_call_that_lost_is_on_record_as_given_up() -> None:
    assert outcome_of(asyncio.CancelledError(CallGivenUp())) == ("cancelled", "hedge_lost")
    assert outcome_of(CallGivenUp()) == ("cancelled", "hedge_lost")
