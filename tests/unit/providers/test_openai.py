"""The OpenAI provider against a provider made of raw sockets: what is sent, what is believed, what is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from tests.fakes.upstream import (
    CHUNKED,
    END,
    EVENTS,
    JSON,
    OK,
    FakeUpstream,
    Script,
    chunk,
    chunked,
    closed_port,
    drip,
    event,
    flood,
    say,
    say_and_close,
    say_and_reset,
    say_and_stall,
    until,
    whole,
)

from farmgate.core.answer import fold, gather
from farmgate.core.errors import (
    ContextLengthExceeded,
    FarmError,
    NotSupported,
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamRateLimited,
    UpstreamRefusedKey,
    UpstreamRejected,
    UpstreamStreamTruncated,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from farmgate.core.event import Event, Finish, FinishReason
from farmgate.core.identity import ANONYMOUS
from farmgate.core.model import Capability, HealthStatus
from farmgate.core.reply import Reply
from farmgate.core.request import Body, Dialect, Kind, Request, Typed
from farmgate.core.words import Chat, Complete, Embed, Message, Role
from farmgate.providers import openai as module
from farmgate.providers.openai import OpenAIProvider
from farmgate.providers.provider import Provider
from farmgate.providers.registry import CODED, ROWS, Row
from farmgate.providers.settings import ProviderSettings
from farmgate.providers.transport import Timeouts, Upstream
from farmgate.wire.openai.requests import decode_request
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.strictjson import JsonLimits

KEY = "sk-canary-0123456789"
WITHIN_S = 10.0
ANY = Row(url="http://127.0.0.1:1/v1")
PLAIN = Row(url="http://127.0.0.1:1/v1", asks_usage=False)
QUICK = Timeouts(connect_s=1.0, first_byte_s=0.05, idle_s=0.05)
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}

CHAT = b'{ "messages": [{"role":"user","content":"h\\u00e9"}],"model" :"m", "later_field": {"a": [1e0]} }'
HI = b'"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true'
STREAMED = b"{" + HI + b',"stream_options":{"include_usage":true}}'
COMPLETION = b'{"model":"m","prompt":"Once","max_tokens":3}'
EMBEDDING = b'{"model":"m","input":["a","b"],"encoding_format":"base64"}'
BODIES = {Kind.CHAT: CHAT, Kind.COMPLETION: COMPLETION, Kind.EMBEDDING: EMBEDDING}
PATHS = {Kind.CHAT: "/v1/chat/completions", Kind.COMPLETION: "/v1/completions", Kind.EMBEDDING: "/v1/embeddings"}

MESSAGE = {"role": "assistant", "content": "Hello"}
SAID = {
    Kind.CHAT: {
        "id": "1",
        "later_field": [1],
        "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop", "odd": True}],
        "usage": USAGE,
    },
    Kind.COMPLETION: {"choices": [{"index": 0, "text": " upon", "finish_reason": "length"}], "usage": USAGE},
    Kind.EMBEDDING: {"data": [{"index": 0, "embedding": [0.5]}, {"index": 1, "embedding": [1.0]}], "usage": USAGE},
}


def piece(delta: dict[str, object], finish: str | None = None) -> dict[str, object]:
    return {"id": "1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


FRAMES = [
    event(piece({"role": "assistant", "content": ""})),
    event(piece({"content": "Hel"})),
    event(piece({"content": "lo \N{PARTY POPPER}"})),
    event(piece({}, "stop")),
    event({"id": "1", "choices": [], "usage": USAGE}),
    event(b"[DONE]"),
]
FINISHED_AT = 3
START = OK + EVENTS + CHUNKED + b"\r\n"


def body_of(raw: bytes, kind: Kind) -> Body:
    return decode_request(raw, kind, json_limits=JsonLimits(), list_limits=ListLimits())


def request(
    body: Body | None = None, *, kind: Kind = Kind.CHAT, model: str = "m", stream: bool = False, usage: bool = True
) -> Request:
    return Request(
        id="r",
        kind=kind,
        body=body or body_of(STREAMED if stream else BODIES[kind], kind),
        principal=ANONYMOUS,
        deadline=asyncio.get_running_loop().time() + 60.0,
        started=0.0,
        model=model,
        stream=stream,
        want_usage=usage,
    )


def provider_at(
    url: str,
    row: Row = ANY,
    *,
    models: tuple[str, ...] = (),
    timeouts: Timeouts | None = None,
    answer_bytes: int = 1 << 20,
    frame_bytes: int = 1 << 20,
) -> OpenAIProvider:
    settings = ProviderSettings(
        name="there",
        url=f"{url}/v1",
        api_key=KEY,
        models=models,
        timeouts=timeouts or Timeouts(),
        answer_bytes=answer_bytes,
        frame_bytes=frame_bytes,
    )
    return OpenAIProvider(settings, row)


def upstream_of(provider: OpenAIProvider) -> Upstream:
    return provider._upstream


async def events_of(provider: OpenAIProvider, asked: Request) -> list[Event]:
    async with asyncio.timeout(WITHIN_S):
        return await gather(await provider.send(asked))


async def poured(reply: Reply) -> list[Event]:
    got: list[Event] = []
    async with reply:
        await reply.pour(got.append)
    return got


async def failure_of(provider: OpenAIProvider, asked: Request) -> FarmError:
    """What it is told as; nothing of it may tell the key, and no exchange stays open."""
    with pytest.raises(FarmError) as failed:
        await events_of(provider, asked)
    error: BaseException | None = failed.value
    while error is not None:
        assert KEY not in f"{error!r}{error}{vars(error)}"
        error = error.__cause__ or error.__context__
    assert upstream_of(provider).in_use == 0
    await provider.close()
    return failed.value


# ------------------------------------------------------------------------------------------------ what is sent


def test_it_is_a_provider() -> None:
    assert isinstance(OpenAIProvider(ProviderSettings(name="there"), ANY), Provider)


@pytest.mark.parametrize("kind", [Kind.CHAT, Kind.COMPLETION, Kind.EMBEDDING])
async def test_a_body_in_this_dialect_is_sent_byte_for_byte(kind: Kind) -> None:
    async with FakeUpstream(say(whole(SAID[kind]))) as fake:
        provider = provider_at(fake.url)
        await events_of(provider, request(kind=kind))
        await provider.close()
    (asked,) = fake.asked
    assert (asked.method, asked.path, asked.body) == ("POST", PATHS[kind], BODIES[kind])
    assert asked.header("authorization") == f"Bearer {KEY}"
    assert asked.header("content-type") == "application/json"
    assert asked.header("accept-encoding") == "identity"


async def test_only_what_must_change_changes() -> None:
    async with FakeUpstream(say(whole(SAID[Kind.CHAT]))) as fake:
        provider = provider_at(fake.url)
        await events_of(provider, request(model="its-own-name"))
        await provider.close()
    assert json.loads(fake.asked[0].body) == json.loads(CHAT) | {"model": "its-own-name"}


@pytest.mark.parametrize(("row", "asks"), [(ANY, True), (PLAIN, False)])
async def test_usage_is_asked_for_where_the_provider_knows_how(row: Row, asks: bool) -> None:
    raw = b"{" + HI + b"}"
    async with FakeUpstream(say(chunked(FRAMES))) as fake:
        provider = provider_at(fake.url, row)
        await events_of(provider, request(body_of(raw, Kind.CHAT), stream=True, usage=False))
        await provider.close()
    sent = json.loads(fake.asked[0].body)
    assert sent.get("stream_options") == ({"include_usage": True} if asks else None)
    assert asks or fake.asked[0].body == raw


@pytest.mark.parametrize(
    ("words", "kind", "sent"),
    [
        (
            Chat(messages=(Message(role=Role.USER, content="hi"),), extra={"later": 1}),
            Kind.CHAT,
            {"messages": [{"role": "user", "content": "hi"}], "later": 1, "model": "m"},
        ),
        (Complete(prompt="Once"), Kind.COMPLETION, {"prompt": "Once", "model": "m"}),
        (
            Embed(inputs=("a", "b"), dimensions=8),
            Kind.EMBEDDING,
            {"input": ["a", "b"], "encoding_format": "float", "dimensions": 8, "model": "m"},
        ),
    ],
)
async def test_typed_words_are_written_in_this_dialect(
    words: Chat | Complete | Embed, kind: Kind, sent: dict[str, object]
) -> None:
    async with FakeUpstream(say(whole(SAID[kind]))) as fake:
        provider = provider_at(fake.url)
        await events_of(provider, request(Typed(words), kind=kind))
        await provider.close()
    assert json.loads(fake.asked[0].body) == sent


async def test_it_has_nothing_to_load() -> None:
    with pytest.raises(NotSupported):
        await provider_at("http://127.0.0.1:1").load("m", lambda _: None)


# ------------------------------------------------------------------------------------------------ whole answers


@pytest.mark.parametrize("kind", [Kind.CHAT, Kind.COMPLETION, Kind.EMBEDDING])
async def test_a_whole_answer_comes_back_byte_for_byte(kind: Kind) -> None:
    raw = json.dumps(SAID[kind], indent=1).encode()
    async with FakeUpstream(say(whole(raw))) as fake:
        provider = provider_at(fake.url)
        reply = await provider.send(request(kind=kind))
        assert (reply.provider, reply.model, reply.streams) == ("there", "m", False)
        (said,) = await gather(reply)
        assert (said.raw, said.dialect) == (raw, Dialect.OPENAI)
        assert said.usage is not None
        assert (said.usage.prompt_tokens, said.usage.completion_tokens) == (7, 3)
        assert (upstream_of(provider).idle, upstream_of(provider).in_use) == (1, 0)
        await provider.close()
    answer = fold([said])
    assert answer.text == {Kind.CHAT: "Hello", Kind.COMPLETION: " upon", Kind.EMBEDDING: ""}[kind]
    assert len(answer.vectors) == (2 if kind is Kind.EMBEDDING else 0)


@pytest.mark.parametrize(
    "told", ["application/json", "application/json; charset=utf-8", "Application/JSON", "application/json;x=y"]
)
async def test_json_is_json_however_it_is_spelled(told: str) -> None:
    head = f"content-type: {told}\r\n".encode()
    async with FakeUpstream(say(whole(SAID[Kind.CHAT], headers=head))) as fake:
        provider = provider_at(fake.url)
        assert fold(await events_of(provider, request())).text == "Hello"
        await provider.close()


async def test_a_whole_answer_to_a_stream_is_a_whole_reply() -> None:
    async with FakeUpstream(say(whole(SAID[Kind.CHAT]))) as fake:
        provider = provider_at(fake.url)
        reply = await provider.send(request(stream=True))
        assert reply.event is not None
        assert fold(await poured(reply)).text == "Hello"
        await provider.close()


NO_ANSWERS = {
    "null": b"null",
    "a list": b"[]",
    "a number": b"7",
    "nothing": b"",
    "an empty object": b"{}",
    "half an object": b'{"choices": [',
    "two objects": b'{"choices": [{}]}{}',
    "no choices": b'{"choices": []}',
    "choices null": b'{"choices": null}',
    "choices that are none": b'{"choices": {"a": 1}}',
    "HTML": b"<html>",
    "no UTF-8": b'{"choices": [{"text": "\xff"}]}',
    "an error object": b'{"error": {"message": "the GPU is on fire"}}',
    "an error text": b'{"error": "the GPU is on fire"}',
    "an answer and an error": b'{"choices": [{}], "error": {"message": "the GPU is on fire"}}',
    "too deep": b'{"choices": [' + b"[" * 100_000 + b"]" * 100_000 + b"]}",
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", NO_ANSWERS)
async def test_a_200_without_an_answer_is_an_error(name: str, stream: bool) -> None:
    async with FakeUpstream(say(whole(NO_ANSWERS[name]))) as fake:
        error = await failure_of(provider_at(fake.url), request(stream=stream))
    assert isinstance(error, UpstreamError)
    assert error.status == 502
    assert ("on fire" in error.message) == ("error" in name)


LYING_KINDS = {
    "HTML": b"content-type: text/html\r\n",
    "text": b"content-type: text/plain\r\n",
    "none": b"",
    "binary": b"content-type: application/octet-stream\r\n",
    "huge": b"content-type: " + b"x" * 10_000 + b"\r\n",
    "gzip": JSON + b"content-encoding: gzip\r\n",
    "br": EVENTS + b"content-encoding: br\r\n",
    "twice": JSON + b"content-encoding: gzip, gzip\r\n",
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", LYING_KINDS)
async def test_an_answer_in_another_form_is_not_read(name: str, stream: bool) -> None:
    async with FakeUpstream(say(whole(SAID[Kind.CHAT], headers=LYING_KINDS[name]))) as fake:
        error = await failure_of(provider_at(fake.url), request(stream=stream))
        await fake.until_all_left()
    assert isinstance(error, UpstreamInvalidResponse)
    assert len(error.message) < 200


async def test_a_stream_nobody_asked_for_is_not_read() -> None:
    async with FakeUpstream(say(chunked(FRAMES))) as fake:
        assert isinstance(await failure_of(provider_at(fake.url), request()), UpstreamInvalidResponse)
        await fake.until_all_left()


async def test_a_whole_answer_is_held_to_its_limit() -> None:
    async with FakeUpstream(flood(OK + JSON + CHUNKED + b"\r\n", chunk(b"x" * 8192))) as fake:
        error = await failure_of(provider_at(fake.url, answer_bytes=100_000), request())
        assert isinstance(error, UpstreamInvalidResponse)
        await fake.until_all_left()


async def test_half_a_whole_answer_is_an_error() -> None:
    half = whole(SAID[Kind.CHAT])[:-1]
    for script in (say_and_close(half), say_and_reset(half)):
        async with FakeUpstream(script) as fake:
            assert isinstance(await failure_of(provider_at(fake.url), request()), UpstreamError)


# ------------------------------------------------------------------------------------------------ refusals

REFUSAL = {
    "error": {
        "message": f"Incorrect API key provided: {KEY}. It is bad.",
        "type": "invalid_request_error",
        "code": "some_code",
        "param": "messages[0]",
    }
}


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_is_told_without_the_providers_words(status: int) -> None:
    async with FakeUpstream(say(whole(REFUSAL, status=status))) as fake:
        error = await failure_of(provider_at(fake.url), request())
    assert isinstance(error, UpstreamRefusedKey)
    assert error.status == 502
    assert "It is bad" not in error.message
    assert "apiKey" in error.message


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
async def test_what_the_caller_can_mend_is_relayed(status: int) -> None:
    told = {"error": {"message": "Too long.", "type": "odd_error", "code": "some_code", "param": "messages[0]"}}
    async with FakeUpstream(say(whole(told, status=status))) as fake:
        error = await failure_of(provider_at(fake.url), request())
    assert isinstance(error, UpstreamRejected)
    assert (error.status, error.type, error.code, error.param) == (status, "odd_error", "some_code", "messages[0]")
    assert "Too long." in error.message


@pytest.mark.parametrize(
    ("after", "wait_s"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("9" * 400, 300.0),
        ("-1", 0.0),
        ("soon", None),
        ("", None),
        ("\xb2", None),  # A superscript two is a digit, and no number.
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
    ],
)
async def test_a_rate_limit_tells_when_to_come_back(after: str, wait_s: float | None) -> None:
    head = JSON + b"retry-after: " + after.encode("latin-1") + b"\r\n"
    async with FakeUpstream(say(whole({"error": {"message": "Slow down."}}, status=429, headers=head))) as fake:
        error = await failure_of(provider_at(fake.url), request())
    assert isinstance(error, UpstreamRateLimited)
    assert error.status == 429
    assert error.retry_after_s == wait_s


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (201, UpstreamError),
        (204, UpstreamError),
        (302, UpstreamError),
        (408, UpstreamTimeout),
        (500, UpstreamError),
        (503, UpstreamError),
        (504, UpstreamTimeout),
        (599, UpstreamError),
        (999, UpstreamError),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>", b"null", b"[]", b'{"error": 7}', b"\xff", b"[" * 100_000])
async def test_any_other_status_is_an_error_whatever_its_body(status: int, kind: type[FarmError], body: bytes) -> None:
    head = b"location: http://169.254.169.254/\r\n"
    async with FakeUpstream(say_and_close(whole(body, status=status, headers=head))) as fake:
        error = await failure_of(provider_at(fake.url), request())
        assert len(fake.asked) == 1
    assert type(error) is kind
    assert "169.254" not in error.message


BAD = b"HTTP/1.1 400 Bad\r\n"


@pytest.mark.usefixtures("quick_sweeps")
@pytest.mark.parametrize(
    "script",
    [
        say_and_close(BAD + b"content-length: 9\r\n\r\nhalf"),
        say_and_stall(BAD + b"content-length: 9\r\n\r\nhalf"),
        flood(BAD + CHUNKED + b"\r\n", chunk(b"x" * 8192)),
    ],
)
async def test_a_refusal_counts_even_if_its_body_does_not_come(script: Script) -> None:
    async with FakeUpstream(script) as fake:
        error = await failure_of(provider_at(fake.url, timeouts=QUICK), request())
        await fake.until_all_left()
    assert isinstance(error, UpstreamRejected)
    assert error.status == 400


# ------------------------------------------------------------------------------------------------ streams

Take = Callable[[Reply], Awaitable[list[Event]]]
WAYS: dict[str, Take] = {"read": gather, "poured": poured}
both_ways = pytest.mark.parametrize("take", WAYS.values(), ids=WAYS)


async def streamed(fake: FakeUpstream, take: Take, *, usage: bool = True) -> list[Event]:
    provider = provider_at(fake.url)
    try:
        async with asyncio.timeout(WITHIN_S):
            return await take(await provider.send(request(stream=True, usage=usage)))
    finally:
        assert upstream_of(provider).in_use == 0
        await provider.close()


@both_ways
@pytest.mark.parametrize(
    "script",
    [
        say(chunked(FRAMES)),
        say(START, *map(chunk, FRAMES), END),
        drip(chunked(FRAMES)),
        say_and_close(OK + EVENTS + b"\r\n" + b"".join(FRAMES)),
    ],
    ids=["at once", "frame by frame", "byte by byte", "without framing"],
)
async def test_a_stream_is_relayed_byte_for_byte(take: Take, script: Script) -> None:
    async with FakeUpstream(script) as fake:
        events = await streamed(fake, take)
    assert b"".join(said.raw for said in events) == b"".join(FRAMES[:-1])
    answer = fold(events)
    assert answer.text == "Hello \N{PARTY POPPER}"
    assert answer.choices[0].finish is FinishReason.STOP
    assert answer.usage is not None
    assert answer.usage.total_tokens == 10


@both_ways
async def test_usage_is_read_and_not_shown_to_who_did_not_ask(take: Take) -> None:
    async with FakeUpstream(say(chunked(FRAMES))) as fake:
        events = await streamed(fake, take, usage=False)
    assert b"usage" not in b"".join(said.raw for said in events)
    assert any(said.usage for said in events)


@both_ways
async def test_the_connection_of_a_stream_is_used_again(take: Take) -> None:
    scripts = say(chunked(FRAMES)), say(chunked(FRAMES, end=b""), END), say(whole(SAID[Kind.CHAT]))
    async with FakeUpstream(*scripts) as fake:
        provider = provider_at(fake.url)
        for _ in range(2):
            await take(await provider.send(request(stream=True)))
        await events_of(provider, request())
        assert fake.connections == 1
        await provider.close()


@both_ways
@pytest.mark.parametrize("count", range(len(FRAMES) + 1))
@pytest.mark.parametrize("how", ["end", "close", "reset", "half a frame"])
async def test_a_stream_is_whole_if_it_finished_and_truncated_anywhere_before(take: Take, count: int, how: str) -> None:
    start = START + b"".join(map(chunk, FRAMES[:count]))
    seen = asyncio.Event()
    script = {
        "end": say(start + END),
        "close": say_and_close(start),
        "reset": say_and_reset(start, when=seen),
        "half a frame": say_and_close(start + chunk(FRAMES[1][:-3])),
    }[how]
    got: list[Event] = []
    failure: FarmError | None = None
    async with FakeUpstream(script) as fake:
        provider = provider_at(fake.url)
        async with asyncio.timeout(WITHIN_S), await provider.send(request(stream=True)) as reply:
            reply.tap(got.append)
            seen.set()
            try:
                await take(reply)
            except FarmError as error:
                failure = error
        await provider.close()
    # A connection that breaks off has cut the answer, unless all of it and its [DONE] had come.
    is_whole = count > FINISHED_AT if how == "end" else count == len(FRAMES)
    assert (failure is None) == is_whole
    assert failure is None or isinstance(failure, UpstreamStreamTruncated)
    if how != "reset":  # A reset may overtake what was sent before it.
        assert b"".join(said.raw for said in got) == b"".join(FRAMES[: min(count, len(FRAMES) - 1)])


@pytest.mark.usefixtures("quick_sweeps")
@both_ways
@pytest.mark.parametrize("end", [END, b""])
@pytest.mark.parametrize("before", [0, 1, 2])
async def test_an_error_frame_is_the_error(take: Take, before: int, end: bytes) -> None:
    frames = [*FRAMES[:before], event({"error": {"message": "the GPU is on fire", "code": 503}})]
    async with FakeUpstream(say(chunked(frames, end=end))) as fake:
        with pytest.raises(UpstreamError, match="the GPU is on fire"):
            await streamed(fake, take)
        await fake.until_all_left()


@pytest.mark.usefixtures("quick_sweeps")
@both_ways
@pytest.mark.parametrize("end", [END, b""])
@pytest.mark.parametrize("frame", [b"{not", b"\xff", b"[]", b"7", b'{"choices": 7}', b'{"choices":[{"delta":"\xc3"}]}'])
@pytest.mark.parametrize("before", [0, 2])
async def test_a_frame_that_is_none_is_never_relayed(take: Take, before: int, frame: bytes, end: bytes) -> None:
    async with FakeUpstream(say(chunked([*FRAMES[:before], event(frame)], end=end))) as fake:
        with pytest.raises(UpstreamInvalidResponse):
            await streamed(fake, take)
        await fake.until_all_left()


@both_ways
async def test_a_frame_is_held_to_its_limit(take: Take) -> None:
    async with FakeUpstream(flood(START + chunk(b"data: "), chunk(b"x" * 8192))) as fake:
        provider = provider_at(fake.url, frame_bytes=100_000)
        with pytest.raises(UpstreamInvalidResponse):
            await take(await provider.send(request(stream=True)))
        await fake.until_all_left()


@pytest.mark.usefixtures("quick_sweeps")
@both_ways
@pytest.mark.parametrize(
    "script",
    [
        say_and_stall(chunked(FRAMES, end=b"")),
        flood(chunked(FRAMES, end=b""), chunk(b": more\n\n" * 100)),
        flood(chunked(FRAMES, end=b""), b"0\r\nx: " + b"y" * 8192),
        say_and_close(chunked(FRAMES, end=b"")),
        say_and_stall(chunked(FRAMES, end=b"") + b"zz\r\n"),
    ],
    ids=["nothing", "comments without end", "a trailer without end", "no last chunk", "garbage"],
)
async def test_a_whole_answer_stays_whole_whatever_comes_behind_it(take: Take, script: Script) -> None:
    async with FakeUpstream(script) as fake:
        assert fold(await streamed(fake, take)).text == "Hello \N{PARTY POPPER}"
        await fake.until_all_left()


@pytest.mark.usefixtures("quick_sweeps")
@both_ways
async def test_a_stream_that_stalls_is_a_timeout(take: Take) -> None:
    async with FakeUpstream(say_and_stall(chunked(FRAMES[:2], end=b""))) as fake:
        provider = provider_at(fake.url, timeouts=QUICK)
        with pytest.raises(UpstreamTimeout):
            await take(await provider.send(request(stream=True)))
        await fake.until_all_left()


@both_ways
@pytest.mark.parametrize("turns", [0, 1, 2, 3, 4, 6, 9, 30])
async def test_a_caller_who_leaves_ends_the_stream_at_the_provider(take: Take, turns: int) -> None:
    async def work(provider: OpenAIProvider) -> None:
        await take(await provider.send(request(stream=True)))

    async with FakeUpstream(say_and_stall(chunked(FRAMES[:2], end=b""))) as fake:
        provider = provider_at(fake.url)
        working = asyncio.create_task(work(provider))
        for _ in range(turns):
            await asyncio.sleep(0)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        await fake.until_all_left()
        assert (upstream_of(provider).in_use, upstream_of(provider).idle) == (0, 0)


async def test_a_caller_who_does_not_read_stops_the_provider() -> None:
    text = event(piece({"content": "x" * 1000}))
    async with FakeUpstream(flood(START, chunk(text))) as fake:
        provider = provider_at(fake.url)
        reply = await provider.send(request(stream=True))
        seen = 0

        async def for_ever() -> None:
            await asyncio.Event().wait()

        def emit(_: Event) -> Awaitable[None]:
            nonlocal seen
            seen += 1
            return for_ever()

        pouring = asyncio.create_task(reply.pour(emit))
        await until(lambda: fake.is_stuck)
        for _ in range(100):
            await asyncio.sleep(0)
        assert fake.is_stuck
        assert seen == 1
        pouring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pouring
        reply.close()
        await fake.until_all_left()


async def test_a_reply_closed_early_ends_the_stream_at_the_provider() -> None:
    async with FakeUpstream(say_and_stall(chunked(FRAMES[:2], end=b""))) as fake:
        provider = provider_at(fake.url)
        reply = await provider.send(request(stream=True))
        assert await reply.next() is not None
        reply.close()
        await fake.until_all_left()
        with pytest.raises(UpstreamStreamTruncated):
            await reply.next()


@both_ways
@pytest.mark.parametrize(("finish", "is_whole"), [("stop", True), (None, False)])
async def test_several_answers_at_once_are_whole_when_each_is(take: Take, finish: str | None, is_whole: bool) -> None:
    def of(index: int, finish: str | None) -> bytes:
        return event({"choices": [{"index": index, "delta": {"content": str(index)}, "finish_reason": finish}]})

    frames = [of(0, None), of(1, None), of(0, "stop"), of(1, finish), event(b"[DONE]")]
    async with FakeUpstream(say(chunked(frames))) as fake:
        provider = provider_at(fake.url)
        reply = await provider.send(request(body_of(b"{" + HI + b',"n":2}', Kind.CHAT), stream=True))
        if is_whole:
            finishes = [part for said in await take(reply) for part in said.parts if isinstance(part, Finish)]
            assert len(finishes) == 2
        else:
            with pytest.raises(UpstreamStreamTruncated):
                await take(reply)
        await provider.close()


# ------------------------------------------------------------------------------------------------ models and health

LIST = {
    "object": "list",
    "data": [
        {"id": "a/b", "created": 1700000000, "context_length": 8192, "odd": {}},
        {"id": "c", "created": "yesterday", "context_length": "much", "max_model_len": 4096},
        {"id": "d", "created": None, "context_length": -1},
    ],
}


@pytest.mark.parametrize("listed", [LIST, LIST["data"]])
async def test_models_are_those_the_provider_lists(listed: object) -> None:
    async with FakeUpstream(say(whole(listed))) as fake:
        provider = provider_at(fake.url)
        models = await provider.models()
        assert [model.name for model in models] == ["a/b", "c", "d"]
        assert [model.context_tokens for model in models] == [8192, 4096, None]
        assert [model.created_unix for model in models] == [1700000000, 0, 0]
        assert {model.provider for model in models} == {"there"}
        assert (fake.asked[0].method, fake.asked[0].path) == ("GET", "/v1/models")
        assert fake.asked[0].header("authorization") == f"Bearer {KEY}"
        assert fake.asked[0].header("content-length") is None
        await provider.close()


async def test_a_list_that_tells_more_is_read_for_the_models_named_in_the_settings() -> None:
    async with FakeUpstream(say(whole(LIST))) as fake:
        provider = provider_at(fake.url, replace(ANY, tells=True), models=("c", "x"))
        assert [(model.name, model.context_tokens) for model in await provider.models()] == [("c", 4096), ("x", None)]
        await provider.close()


async def test_models_named_in_the_settings_are_not_asked_for() -> None:
    provider = provider_at(f"http://127.0.0.1:{closed_port()}", models=("x", "y"))
    assert [model.name for model in await provider.models()] == ["x", "y"]


NO_LISTS = {
    "null": whole(b"null"),
    "a number": whole(b"7"),
    "no data": whole(b"{}"),
    "data null": whole({"data": None}),
    "no ids": whole({"data": [{}]}),
    "HTML": whole(b"<html>"),
    "no UTF-8": whole(b'{"data": [{"id": "\xff"}]}'),
    "too deep": whole(b'{"data": [{"id": "a", "created": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]}"),
    "refused": whole(REFUSAL, status=401),
    "missing": whole(b"", status=404),
    "broken": whole(b"", status=500),
}


@pytest.mark.parametrize("name", NO_LISTS)
async def test_health_tells_what_is_wrong_and_never_raises(name: str) -> None:
    async with FakeUpstream(say(NO_LISTS[name])) as fake:
        provider = provider_at(fake.url)
        health = await provider.health()
        assert (health.name, health.status) == ("there", HealthStatus.UNHEALTHY)
        assert health.detail
        assert KEY not in repr(health)
        with pytest.raises(FarmError):
            await provider.models()
        assert upstream_of(provider).in_use == 0
        await provider.close()


async def test_health_of_nobody() -> None:
    health = await provider_at(f"http://127.0.0.1:{closed_port()}").health()
    assert health.status is HealthStatus.UNHEALTHY
    assert "cannot be reached" in (health.detail or "")
    assert "See that it runs and that its url is right." in (health.detail or "")


async def test_health_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEALTH_S", 0.02)
    async with FakeUpstream(say_and_stall()) as fake:
        provider = provider_at(fake.url)
        health = await provider.health()
        assert health.status is HealthStatus.UNHEALTHY
        assert "within 0.02 s" in (health.detail or "")
        await fake.until_all_left()
        assert upstream_of(provider).in_use == 0


@pytest.mark.parametrize(("configured", "names"), [((), ("a/b", "c", "d")), (("x",), ("x",))])
async def test_health_of_a_provider_that_is_well(configured: tuple[str, ...], names: tuple[str, ...]) -> None:
    async with FakeUpstream(say(whole(LIST))) as fake:
        provider = provider_at(fake.url, models=configured)
        health = await provider.health()
        assert (health.status, health.models) == (HealthStatus.HEALTHY, names)
        await provider.close()


async def test_nobody_there_is_unreachable() -> None:
    error = await failure_of(provider_at(f"http://127.0.0.1:{closed_port()}"), request())
    assert isinstance(error, UpstreamUnreachable)


# ------------------------------------------------------------------------------------------------ the rows


@pytest.mark.parametrize("name", ROWS)
def test_every_row_makes_a_provider(name: str) -> None:
    row = ROWS[name]
    assert name not in CODED
    provider = OpenAIProvider(ProviderSettings(name=name, api_key=KEY), row)
    assert provider.name == name
    assert Capability.CHAT in provider.capabilities
    assert row.url.startswith("http://127.0.0.1:" if row.is_local else "https://")
    assert not row.url.endswith("/")
    assert row.is_local or row.key_variable


@pytest.mark.parametrize(
    ("kind", "param"), [(Kind.CHAT, "messages"), (Kind.COMPLETION, "prompt"), (Kind.EMBEDDING, "input")]
)
async def test_what_is_too_long_for_a_model_is_told_by_the_field_it_is_in(kind: Kind, param: str) -> None:
    error = {"error": {"message": "exceeds the available context size", "type": "exceed_context_size_error"}}
    async with FakeUpstream(say(whole(error, status=400))) as fake:
        provider = provider_at(fake.url)
        with pytest.raises(ContextLengthExceeded) as caught:
            await provider.send(request(kind=kind))
        assert caught.value.param == param
        await provider.close()
