"""Every call is on record before it is made, and its end is written down exactly once."""

from __future__ import annotations

import asyncio

import pytest

from farmgate.core.answer import gather
from farmgate.core.errors import (
    ClientGone,
    FarmError,
    ShuttingDown,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from farmgate.core.event import Event, Finish, Text, Usage, Vector
from farmgate.core.identity import Principal
from farmgate.core.reply import Reply
from farmgate.core.request import Dialect, Kind, Request
from farmgate.core.usage import Call, Outcome
from farmgate.core.words import Chat, Complete, Embed, Message, Role
from farmgate.flow.meter import Meter
from farmgate.telemetry import Telemetry
from farmgate.testing import FakeJournal, FakeTarget, Step, request_of
from farmgate.wire.openai.requests import OpenAIBody

WHO = Principal(key_name="alice")
ASK = request_of(Complete(prompt="hello"), model="m", provider="p", stream=True, who=WHO)
USAGE = Usage(prompt_tokens=9, completion_tokens=5, cached_tokens=4)


class Kept(FakeJournal):
    """A journal, and the telemetry beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.telemetry = Telemetry()

    def meter(self, target: FakeTarget) -> Meter:
        return Meter(target, journal=self, telemetry=self.telemetry)

    @property
    def call(self) -> Call:
        """The only call, which began once and ended once."""
        assert [what for what, _ in self.told] == ["began", "ended"]
        assert self.told[0][1] is self.told[1][1]
        return self.told[0][1]


async def test_the_beginning_is_written_before_the_provider_is_asked() -> None:
    kept = Kept()
    known: list[str] = []

    class Watches(FakeTarget):
        async def send(self, request: Request) -> Reply:
            known.extend(what for what, _ in kept.told)
            return await super().send(request)

    reply = await kept.meter(Watches(Text("a"), Finish())).send(ASK)
    assert known == ["began"]
    assert [call.outcome for _, call in kept.told] == [Outcome.OPEN]
    reply.close()


async def test_an_answer_is_recorded_with_who_asked_whom_for_what_and_what_it_used() -> None:
    kept = Kept()
    await gather(await kept.meter(FakeTarget(Event(()), Text("a"), Text("b"), Finish(), USAGE)).send(ASK))
    call = kept.call
    assert (call.id, call.key_name, call.kind) == (ASK.id, "alice", Kind.COMPLETION)
    assert (call.provider, call.model, call.stream) == ("p", "m", True)
    assert (call.outcome, call.code, call.estimated) == (Outcome.OK, None, False)
    assert (call.prompt_tokens, call.completion_tokens, call.cached_tokens) == (9, 5, 4)
    assert call.first_token_ms is not None
    assert call.duration_ms is not None
    assert 0 <= call.first_token_ms <= call.duration_ms


BREAKS: list[tuple[list[Step], Outcome, str]] = [
    ([Text("a"), UpstreamError()], Outcome.ERROR, "upstream_error"),
    ([UpstreamRateLimited()], Outcome.ERROR, "rate_limit_exceeded"),
    ([Text("a")], Outcome.ERROR, "upstream_stream_truncated"),
    ([Text("a"), ZeroDivisionError()], Outcome.ERROR, "internal_error"),
    ([Text("a"), asyncio.CancelledError()], Outcome.CANCELLED, "client_gone"),
]


@pytest.mark.parametrize(("steps", "outcome", "code"), BREAKS)
async def test_a_stream_that_breaks_ends_once_with_its_cause(steps: list[Step], outcome: Outcome, code: str) -> None:
    kept = Kept()
    reply = await kept.meter(FakeTarget(*steps)).send(ASK)
    with pytest.raises((FarmError, ZeroDivisionError, asyncio.CancelledError)):
        await gather(reply)
    reply.close()
    assert (kept.call.outcome, kept.call.code) == (outcome, code)


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (UpstreamError(), Outcome.ERROR, "upstream_error"),
        (ZeroDivisionError(), Outcome.ERROR, "internal_error"),
        (asyncio.CancelledError(), Outcome.CANCELLED, "client_gone"),
    ],
)
async def test_a_call_that_is_refused_ends_at_once(error: BaseException, outcome: Outcome, code: str) -> None:
    kept = Kept()
    with pytest.raises(type(error)):
        await kept.meter(FakeTarget(refuses=error)).send(ASK)
    assert (kept.call.outcome, kept.call.code) == (outcome, code)
    assert (kept.call.prompt_tokens, kept.call.completion_tokens) == (0, 0)


@pytest.mark.parametrize("why", [ClientGone(), asyncio.CancelledError(), GeneratorExit()])
async def test_a_caller_who_leaves_is_no_error_of_the_provider(why: BaseException) -> None:
    kept = Kept()
    reply = await kept.meter(FakeTarget(Text("a"), Text("b"))).send(ASK)
    await reply.next()
    reply.close(why)
    assert (kept.call.outcome, kept.call.completion_tokens) == (Outcome.CANCELLED, 1)


async def test_closing_without_reading_ends_the_call_and_uses_nothing() -> None:
    kept = Kept()
    reply = await kept.meter(FakeTarget(Text("a"), Finish())).send(ASK)
    reply.close()
    reply.close()
    assert (kept.call.prompt_tokens, kept.call.completion_tokens, kept.call.first_token_ms) == (0, 0, None)


def asked_in_bytes(size: int, kind: Kind = Kind.COMPLETION) -> Request:
    body = OpenAIBody(b"x" * size, {}, kind)
    return Request(id="i", kind=kind, body=body, principal=WHO, deadline=0.0, started=0.0, model="m", provider="p")


async def test_tokens_nobody_told_are_estimated() -> None:
    kept = Kept()
    await gather(await kept.meter(FakeTarget(*[Text("a")] * 7, Finish())).send(asked_in_bytes(400)))
    assert (kept.call.prompt_tokens, kept.call.completion_tokens, kept.call.estimated) == (100, 7, True)


async def test_a_report_counts_even_if_the_answer_broke_after_it() -> None:
    kept = Kept()
    with pytest.raises(UpstreamError):
        await gather(await kept.meter(FakeTarget(Text("a"), USAGE, UpstreamError())).send(ASK))
    assert (kept.call.outcome, kept.call.completion_tokens, kept.call.estimated) == (Outcome.ERROR, 5, False)


@pytest.mark.parametrize("is_read", [True, False])
async def test_a_whole_answer_is_metered_too(is_read: bool) -> None:
    kept = Kept()
    reply = await kept.meter(FakeTarget(whole=Event((Text("a"), Finish(), USAGE)))).send(ASK)
    if is_read:
        await gather(reply)
    reply.close()
    assert (kept.call.outcome, kept.call.prompt_tokens, kept.call.completion_tokens) == (Outcome.OK, 9, 5)


async def test_a_whole_answer_without_usage_is_estimated_by_its_size() -> None:
    kept = Kept()
    whole = Event((Text("a"), Finish()), raw=b"x" * 800, dialect=Dialect.OPENAI)
    await gather(await kept.meter(FakeTarget(whole=whole)).send(asked_in_bytes(400)))
    assert (kept.call.prompt_tokens, kept.call.completion_tokens, kept.call.estimated) == (100, 200, True)


async def test_vectors_are_no_completion_tokens() -> None:
    kept = Kept()
    whole = Event((Vector((1.0,)),), raw=b"x" * 8000, dialect=Dialect.OPENAI)
    await gather(await kept.meter(FakeTarget(whole=whole)).send(asked_in_bytes(400, Kind.EMBEDDING)))
    assert (kept.call.prompt_tokens, kept.call.completion_tokens) == (100, 0)


@pytest.mark.parametrize(
    "words",
    [Chat(messages=(Message(role=Role.USER, content="secret"),)), Complete(prompt="secret"), Embed(inputs=("secret",))],
)
async def test_no_prompt_and_no_answer_is_on_record(words: Chat | Complete | Embed) -> None:
    kept = Kept()
    await gather(await kept.meter(FakeTarget(Text("private"), Finish())).send(request_of(words)))
    assert "secret" not in repr(kept.call)
    assert "private" not in repr(kept.call)


@pytest.mark.parametrize("reason", [UpstreamTimeout(), ShuttingDown()])
async def test_a_call_that_we_gave_up_is_an_error_with_our_reason(reason: FarmError) -> None:
    kept = Kept()
    reply = await kept.meter(FakeTarget(Text("a"), Finish())).send(ASK)
    reply.close(asyncio.CancelledError(reason))
    assert (kept.call.outcome, kept.call.code) == (Outcome.ERROR, reason.code)
