"""What is tried when a target fails, and what is told when nobody answers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace

import pytest

from farmgate.core.answer import gather
from farmgate.core.errors import (
    ClientGone,
    ContextLengthExceeded,
    EngineLost,
    EngineUnavailable,
    FarmError,
    ModelFailed,
    NoTargetLeft,
    UnsupportedParameter,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRefusedKey,
    UpstreamRejected,
    UpstreamStreamTruncated,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from farmgate.core.event import Event, Finish, Text
from farmgate.core.model import Facts
from farmgate.core.reply import Reply
from farmgate.core.request import Request
from farmgate.core.words import Complete
from farmgate.flow.attempt import Attempt, affinity_of
from farmgate.flow.route import ProviderView, View
from farmgate.flow.routes import Route, RouteTarget, Sticky
from farmgate.flow.tries import Pace, backoff_s
from farmgate.testing import FakeClock, FakeTarget, request_of

ASK = request_of(Complete(prompt="hello"), model="name", provider=None)
ROLE = Event((), raw=b"data: role\n\n")


class Script:
    """A target that does one thing after the other: raise, or answer as a FakeTarget."""

    def __init__(self, *acts: BaseException | FakeTarget) -> None:
        self.acts = list(acts)
        self.requests: list[Request] = []

    @property
    def calls(self) -> int:
        return len(self.requests)

    async def send(self, request: Request) -> Reply:
        self.requests.append(request)
        act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
        if isinstance(act, BaseException):
            raise act
        return await act.send(request)


def well() -> FakeTarget:
    return FakeTarget(Text("hi"), Finish())


def always(error: BaseException) -> Script:
    return Script(error)


class Farm:
    """Targets a, b, c, ... behind one name, in this order; the last `fallbacks` of them are fallbacks."""

    def __init__(
        self,
        *targets: Script | FakeTarget,
        fallbacks: int = 0,
        pace: Pace | None = None,
        contexts: tuple[int, ...] = (),
    ) -> None:
        self.targets = dict(zip("abcdef", targets, strict=False))
        self.contexts = dict(zip("abcdef", contexts, strict=False))
        self.clock = FakeClock()
        self.slept: list[float] = []
        names = list(self.targets)
        wanted = names[: len(names) - fallbacks]
        route = Route(
            targets=tuple(RouteTarget(provider=one, model="m", priority=at) for at, one in enumerate(wanted)),
            fallback=tuple(f"{one}/m" for one in names[len(wanted) :]),
        )
        self.falls_back = True
        self.view_ = View(
            providers={one: ProviderView(models=frozenset({"m"})) for one in names}, routes={"name": route}
        )
        self.attempt = Attempt(self.targets, self, pace=pace, clock=self.clock, draw=lambda: 0.5, sleep=self.sleep)

    def view(self) -> View:
        return self.view_

    def published(self, provider: str, model: str) -> Facts:
        return Facts(context_tokens=self.contexts.get(provider))

    async def refresh(self) -> None: ...

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(seconds)

    async def ask(self) -> Reply:
        # A fresh request: its time is counted from now.
        return await self.attempt.send(request_of(Complete(prompt="hello"), model="name", provider=None))

    async def fails(self) -> FarmError:
        with pytest.raises(FarmError) as caught:
            await self.ask()
        return caught.value

    @property
    def calls(self) -> list[int]:
        return [target.calls for target in self.targets.values()]


async def test_another_target_is_asked_at_once() -> None:
    farm = Farm(always(UpstreamUnreachable()), well())
    reply = await farm.ask()
    assert (reply.attempts, reply.fallback) == (2, "a/m")
    assert farm.slept == []
    assert len(await gather(reply)) == 2


async def test_the_first_that_answers_is_no_fallback() -> None:
    reply = await Farm(well(), well()).ask()
    assert (reply.attempts, reply.fallback) == (1, "")


async def test_each_call_has_an_id_of_its_own() -> None:
    farm = Farm(always(UpstreamError()), well())
    await farm.ask()
    ids = [target.requests[0].id for target in farm.targets.values()]
    assert ids[1] == f"{ids[0]}.2"


async def test_one_alone_is_tried_again_with_backoff() -> None:
    farm = Farm(Script(UpstreamError(), UpstreamError(), well()))
    reply = await farm.ask()
    assert farm.slept == [0.05, 0.1]
    assert (reply.attempts, reply.fallback) == (3, "")


async def test_who_was_at_an_engine_that_ended_asks_one_more_and_no_third() -> None:
    lost = EngineLost(retry_after_s=1.0)
    farm = Farm(Script(lost, well()))
    assert (await farm.ask()).attempts == 2
    farm = Farm(Script(lost, EngineLost(retry_after_s=1.0), well()))
    assert isinstance(await farm.fails(), EngineLost)
    assert farm.calls == [2]
    farm = Farm(Script(EngineUnavailable(retry_after_s=1.0), lost, well()))
    assert (await farm.ask()).attempts == 3


async def test_no_more_than_two_retries_and_callers_are_told_not_to_add_theirs() -> None:
    farm = Farm(always(UpstreamError("it burns")))
    error = await farm.fails()
    assert farm.calls == [3]
    assert (error.attempts, error.should_retry) == (3, False)
    assert error.message == "it burns"


async def test_no_more_than_four_calls_in_all() -> None:
    farm = Farm(*(always(UpstreamError()) for _ in range(6)))
    error = await farm.fails()
    assert sum(farm.calls) == 4
    assert isinstance(error, NoTargetLeft)
    assert error.status == 503
    assert error.retry_after_s is not None


async def test_fallbacks_come_after_one_retry_of_what_was_wanted() -> None:
    farm = Farm(always(UpstreamError()), well(), fallbacks=1)
    reply = await farm.ask()
    assert farm.calls == [2, 1]
    assert reply.provider == "fake"
    assert reply.fallback == "a/m"


@pytest.mark.parametrize(
    "error",
    [
        UpstreamRejected("no", status=400, type_="x", code=None),
        UpstreamRejected("no", status=422, type_="x", code="content_filter"),
        ClientGone(),
    ],
)
async def test_what_the_caller_did_is_asked_of_nobody_else(error: FarmError) -> None:
    farm = Farm(always(error), well())
    assert await farm.fails() is error
    assert farm.calls == [1, 0]
    assert error.should_retry is None


async def test_a_refused_key_goes_on_to_others_and_rests_at_once() -> None:
    farm = Farm(always(UpstreamRefusedKey()), well())
    await farm.ask()
    await farm.ask()
    assert farm.calls == [1, 2]


async def test_what_one_model_cannot_another_may() -> None:
    farm = Farm(always(UnsupportedParameter("no", param="tools")), well())
    await farm.ask()
    assert farm.calls == [1, 1]
    only = Farm(*(always(UnsupportedParameter("no", param="tools")) for _ in range(2)))
    assert (await only.fails()).param == "tools"


async def test_a_prompt_that_is_too_long_is_asked_only_of_longer_contexts() -> None:
    farm = Farm(always(ContextLengthExceeded()), well(), well(), contexts=(8_000, 4_000, 128_000))
    await farm.ask()
    assert farm.calls == [1, 0, 1]
    nobody = Farm(always(ContextLengthExceeded()), well(), contexts=(8_000, 0))
    assert isinstance(await nobody.fails(), ContextLengthExceeded)


async def test_silence_is_not_waited_for_twice() -> None:
    farm = Farm(always(UpstreamTimeout()))
    await farm.fails()
    assert farm.calls == [1]


async def test_a_target_has_its_time_while_another_is_left_and_the_last_has_all() -> None:
    never = asyncio.Event()
    farm = Farm(FakeTarget(never, Text("late")), well(), pace=Pace(first_content_s=0.01))
    reply = await farm.ask()
    assert reply.fallback == "a/m"
    assert farm.targets["a"].all_closed  # type: ignore[union-attr] # a FakeTarget

    soon = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, soon.set)
    last = Farm(always(UpstreamError()), FakeTarget(soon, Text("late"), Finish()), pace=Pace(first_content_s=0.01))
    assert (await last.ask()).attempts == 2


async def test_a_caller_who_leaves_is_not_taken_for_silence() -> None:
    farm = Farm(FakeTarget(asyncio.Event()), well(), pace=Pace(first_content_s=30))
    task = asyncio.create_task(farm.ask())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert farm.calls == [1, 0]
    assert farm.attempt.means.ward.of("a/m").in_flight == 0


async def test_an_error_behind_the_role_is_still_hidden() -> None:
    farm = Farm(FakeTarget(ROLE, UpstreamError()), well())
    assert len(await gather(await farm.ask())) == 2
    assert farm.calls == [1, 1]


async def test_nothing_is_tried_again_once_a_word_is_out() -> None:
    farm = Farm(FakeTarget(Text("he"), UpstreamStreamTruncated()), well())
    reply = await farm.ask()
    with pytest.raises(UpstreamStreamTruncated):
        await gather(reply)
    reply.close()
    assert farm.calls == [1, 0]
    assert farm.attempt.means.ward.of("a/m").last_failure == "upstream_stream_truncated"


async def test_a_sick_target_is_left_out_and_found_well_again() -> None:
    sick = Script(*(UpstreamError() for _ in range(5)), well())
    farm = Farm(sick, well())
    for _ in range(20):
        (await farm.ask()).close()
    assert farm.calls == [5, 20]
    farm.clock.advance(5.0)
    for _ in range(3):
        (await farm.ask()).close()
    assert farm.calls == [8, 20]


async def test_the_last_one_is_asked_although_it_is_sick_but_not_again_and_again() -> None:
    farm = Farm(always(UpstreamError()))
    for _ in range(3):
        await farm.fails()
    before = farm.calls[0]
    await farm.fails()
    assert farm.calls == [before + 1]


async def test_where_all_rest_each_is_asked_once_before_a_caller_is_told() -> None:
    farm = Farm(always(UpstreamError()), Script(UpstreamError(), well()))
    for name in ("a/m", "b/m"):
        for _ in range(5):
            farm.attempt.means.ward.of(name).failed(farm.clock(), 0.0, code="upstream_error")
    await farm.fails()
    assert farm.calls == [1, 1]
    (await farm.ask()).close()
    assert farm.calls == [2, 2]


async def test_a_limit_that_is_told_is_kept_by_all_that_share_it() -> None:
    farm = Farm(always(UpstreamRateLimited(retry_after_s=20.0)))
    first = await farm.fails()
    second = await farm.fails()
    assert (first.status, second.status) == (429, 429)
    assert farm.calls == [1]
    assert second.retry_after_s == pytest.approx(20.0)
    farm.clock.advance(20.0)
    await farm.fails()
    assert farm.calls == [2]


async def test_a_short_wait_that_is_asked_for_is_waited() -> None:
    farm = Farm(Script(UpstreamRateLimited(retry_after_s=0.5), well()))
    await farm.ask()
    assert farm.slept == [0.5]


async def test_limits_of_all_are_told_as_one_and_other_failures_as_unavailable() -> None:
    both = Farm(*(always(UpstreamRateLimited(retry_after_s=after)) for after in (30.0, 10.0)))
    error = await both.fails()
    assert error.status == 429
    assert error.retry_after_s == pytest.approx(10.0)
    mixed = Farm(always(UpstreamRateLimited(retry_after_s=30.0)), always(UpstreamUnreachable("gone")))
    error = await mixed.fails()
    assert error.status == 503
    assert "gone" in error.message


async def test_one_that_fails_while_the_others_rest_is_not_told_as_if_it_were_alone() -> None:
    """Callers are told when to come back, and not to hurry."""
    farm = Farm(always(UpstreamError("ill")), always(UpstreamRateLimited("full", retry_after_s=30.0)))
    for _ in range(3):
        await farm.fails()
    before = sum(farm.calls)
    error = await farm.fails()
    assert sum(farm.calls) == before + 1, "both rest, and one says until when"
    assert (error.status, error.should_retry) == (503, False)
    assert error.retry_after_s is not None
    assert "rests for now" in error.message


async def test_a_timer_that_goes_off_a_little_early_costs_no_retry() -> None:
    farm = Farm(Script(UpstreamRateLimited(retry_after_s=0.5), well()))

    async def sleep(seconds: float) -> None:
        farm.slept.append(seconds)
        farm.clock.advance(seconds - 0.001)

    farm.attempt.means = replace(farm.attempt.means, sleep=sleep)
    await farm.ask()
    assert (farm.calls, farm.slept) == ([2], [0.5])


async def test_a_failure_that_is_remembered_keeps_no_frame_alive() -> None:
    """A frame holds what was read, and as part of a cycle it stays until garbage is collected."""
    first, second = UpstreamError("ill"), UpstreamUnreachable("gone")
    await Farm(always(first), always(second)).fails()
    assert (first.__traceback__, second.__traceback__) == (None, None)


async def test_retries_end_when_the_budget_is_used_up() -> None:
    farm = Farm(Script(*(UpstreamError() if turn % 2 else well() for turn in range(200)), well()))
    calls = 0
    for _ in range(60):
        calls += 1
        with contextlib.suppress(FarmError):
            (await farm.ask()).close()
    assert farm.calls[0] <= calls * 1.25 + 4


async def test_without_fallback_only_the_first_is_asked() -> None:
    farm = Farm(always(UpstreamUnreachable()), well())
    object.__setattr__(farm.view_, "falls_back", False)
    farm.attempt.means = replace(farm.attempt.means, pace=Pace(retries=0))
    await farm.fails()
    assert farm.calls == [1, 0]


async def test_no_call_is_begun_without_time_for_it() -> None:
    farm = Farm(always(UpstreamUnreachable()), well())
    hurried = request_of(Complete(prompt="x"), model="name", provider=None)
    hurried.deadline = time.monotonic() + 0.5
    with pytest.raises(UpstreamUnreachable):
        await farm.attempt.send(hurried)
    assert farm.calls == [1, 0]


def test_backoff_grows_to_a_limit_and_is_all_chance() -> None:
    assert [backoff_s(tried, 1.0) for tried in (1, 2, 3, 10)] == [0.1, 0.2, 0.4, 2.0]
    assert backoff_s(1, 0.0) == 0.0


def test_sessions_of_different_keys_never_mix() -> None:
    assert affinity_of(Sticky.OFF, ASK) is None
    assert affinity_of(Sticky.CALLER, ASK) == "anonymous"
    assert affinity_of(Sticky.SESSION, ASK) == "anonymous\0"


async def test_what_a_model_s_own_code_raised_is_asked_of_another_and_never_of_the_same() -> None:
    alone = Farm(always(ModelFailed("predict raised KeyError.")))
    assert type(await alone.fails()) is ModelFailed
    assert (alone.calls, alone.slept) == ([1], [])
    farm = Farm(always(ModelFailed()), well(), fallbacks=1)
    assert len(await gather(await farm.ask())) > 0
    assert farm.calls == [1, 1]
