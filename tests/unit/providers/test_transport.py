"""The transport against a provider that lies in every way: what comes back is a true answer or one of our errors."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable

import pytest
from tests.fakes.upstream import (
    AUTHORITY,
    CHUNKED,
    END,
    EVENTS,
    OK,
    Exchange,
    FakeUpstream,
    chunk,
    chunked,
    closed_port,
    drip,
    drip_for_ever,
    flood,
    open_sockets,
    say,
    say_and_close,
    say_and_half_close,
    say_and_reset,
    say_and_stall,
    until,
    whole,
)

from farmgate.core.errors import (
    FarmError,
    InternalError,
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamStreamTruncated,
    UpstreamTimeout,
    UpstreamTlsError,
    UpstreamUnreachable,
)
from farmgate.providers.http1 import Broken, Garbled, TimedOut
from farmgate.providers.settings import ProviderSettings
from farmgate.providers.transport import Answer, Timeouts, Upstream, translate

KEY = "sk-canary-0123456789"
WITHIN_S = 10.0
LIMIT = 1 << 20
BEGUN = OK + EVENTS + CHUNKED + b"\r\n"


def upstream_at(url: str, *, timeouts: Timeouts | None = None, tls: ssl.SSLContext | None = None) -> Upstream:
    return Upstream(url, name="there", headers={"authorization": f"Bearer {KEY}"}, timeouts=timeouts, tls=tls)


async def got(upstream: Upstream, *, body: bytes = b"", deadline: float | None = None) -> bytes:
    """A whole answer's body."""
    async with asyncio.timeout(WITHIN_S), await upstream.send("POST", "/x", body=body, deadline=deadline) as answer:
        return await answer.whole(LIMIT)


async def failure_of(upstream: Upstream, *, deadline: float | None = None) -> FarmError:
    with pytest.raises(FarmError) as failed:
        await got(upstream, deadline=deadline)
    assert upstream.in_use == 0
    return failed.value


def leak_nothing(error: BaseException | None) -> None:
    """No error on the chain tells the key."""
    while error is not None:
        assert KEY not in f"{error!r}{error}{vars(error)}"
        error = error.__cause__ or error.__context__


# ------------------------------------------------------------------------------------------------ what is sent


async def test_a_request_is_exactly_what_it_should_be() -> None:
    async with FakeUpstream(say(whole())) as fake:
        upstream = Upstream(f"{fake.url}/v1/", name="there", headers={"X-Team": "a b"})
        async with await upstream.send("POST", "/x", body=b'{"a": 1}', headers=b"x-more: 1\r\n"):
            pass
        upstream.close()
    assert fake.asked[0].raw_head == (
        b"POST /v1/x HTTP/1.1\r\n"
        b"host: 127.0.0.1:%d\r\n"
        b"user-agent: farmgate\r\n"
        b"accept-encoding: identity\r\n"
        b"x-team: a b\r\n"
        b"x-more: 1\r\n"
        b"content-type: application/json\r\n"
        b"content-length: 8\r\n\r\n" % fake.port
    )
    assert fake.asked[0].body == b'{"a": 1}'


async def test_the_last_word_on_a_header_counts_whatever_its_case() -> None:
    async with FakeUpstream(say(whole())) as fake:
        upstream = Upstream(fake.url, name="there", headers={"Authorization": "first", "authorization": "second"})
        await got(upstream)
        upstream.close()
    assert fake.asked[0].header("authorization") == "second"


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 5_000_000])
async def test_a_body_of_any_size_arrives(size: int) -> None:
    async with FakeUpstream(say(whole())) as fake:
        upstream = upstream_at(fake.url)
        assert await got(upstream, body=b"x" * size) == b"{}"
        assert await got(upstream, body=b"x" * size) == b"{}"
        upstream.close()
    assert [len(asked.body) for asked in fake.asked] == [size, size]
    assert fake.connections == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-a", "1\r\nx-b: 2"),
        ("x-a", "1\nx-b: 2"),
        ("x-a", "1\rx-b: 2"),
        ("x-a", "1\0"),
        ("x-a", "sk\N{EM DASH}1"),
        ("x-a\r\nx-b", "1"),
        ("x-a: 1\r\nx-b", "1"),
        ("x a", "1"),
        ("x:a", "1"),
        ("", "1"),
        ("x-\N{LATIN SMALL LETTER U WITH DIAERESIS}", "1"),
        ("Content-Length", "1"),
        ("Transfer-Encoding", "chunked"),
        ("connection", "close"),
    ],
)
def test_a_header_cannot_smuggle_anything_in(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="header") as refused:
        Upstream("http://127.0.0.1:1", name="there", headers={name: value})
    assert type(refused.value) is ValueError
    assert value not in str(refused.value).replace(repr(name), "")


@pytest.mark.parametrize("path", ["/x HTTP/1.1\r\nx-a: 1\r\n\r\n", "/a b", "/\N{EM DASH}", "/a\tb", "/a\0"])
async def test_a_path_cannot_smuggle_anything_in(path: str) -> None:
    async with FakeUpstream(say(whole())) as fake:
        upstream = upstream_at(fake.url)
        with pytest.raises(ValueError, match="path"):
            await upstream.send("GET", path)
        assert fake.connections == 0


@pytest.mark.parametrize(
    "url", ["", "x", "ftp://x", f"file:///{KEY}", f"htp://u:{KEY}@x", "http://", "http:///x", "http://x:99999"]
)
def test_what_is_no_address_is_refused_without_telling_it(url: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - what is said differs
        upstream_at(url)
    assert KEY not in str(refused.value)


# ------------------------------------------------------------------------------------------------ reuse


async def test_a_connection_carries_one_exchange_after_another() -> None:
    async with FakeUpstream(say(whole()), say(chunked([b"a", b"b"])), say(whole(b"c"))) as fake:
        upstream = upstream_at(fake.url)
        assert [await got(upstream) for _ in range(3)] == [b"{}", b"ab", b"c"]
        assert (fake.connections, upstream.idle, upstream.in_use) == (1, 1, 0)
        upstream.close()
        await fake.until_all_left()


async def test_two_exchanges_at_once_have_two_connections() -> None:
    async with FakeUpstream(say(whole())) as fake:
        upstream = upstream_at(fake.url)
        first = await upstream.send("GET", "/1")
        second = await upstream.send("GET", "/2")
        assert (fake.connections, upstream.in_use) == (2, 2)
        for answer in (first, second):
            assert await answer.whole(LIMIT) == b"{}"
            answer.close()
        assert upstream.idle == 2
        upstream.close()


async def test_a_body_that_was_not_read_ends_its_socket_and_the_provider_sees_it() -> None:
    async with FakeUpstream(flood(BEGUN, chunk(b"x" * 1000))) as fake:
        upstream = upstream_at(fake.url)
        answer = await upstream.send("GET", "/x")
        assert await answer.read()
        answer.close()
        await fake.until_all_left()
        assert (upstream.in_use, upstream.idle) == (0, 0)


async def test_an_answer_that_was_closed_cannot_read_the_next_ones_bytes() -> None:
    async with FakeUpstream(say(whole(b"mine")), say(whole(b"yours"))) as fake:
        upstream = upstream_at(fake.url)
        mine = await upstream.send("GET", "/1")
        assert await mine.whole(LIMIT) == b"mine"
        mine.close()
        yours = await upstream.send("GET", "/2")
        assert fake.connections == 1
        mine.close()
        mine.hurry()
        await mine.drain()
        assert upstream.in_use == 1
        with pytest.raises(UpstreamStreamTruncated):
            await mine.read()
        with pytest.raises(UpstreamStreamTruncated):
            await mine.pour(lambda _: None)
        assert await yours.whole(LIMIT) == b"yours"
        yours.close()
        upstream.close()


@pytest.mark.parametrize("hang_up", [say_and_close(), say_and_reset()])
async def test_a_stale_connection_is_replaced_and_nobody_notices(
    hang_up: Callable[[Exchange], Awaitable[None]],
) -> None:
    async with FakeUpstream(say(whole(b"1")), hang_up, say(whole(b"2"))) as fake:
        upstream = upstream_at(fake.url)
        assert await got(upstream) == b"1"
        assert await got(upstream, body=b"{}") == b"2"
        assert [asked.path for asked in fake.asked] == ["/x"] * 3
        assert fake.connections == 2
        upstream.close()


async def test_a_stale_connection_is_replaced_once() -> None:
    scripts = [say(whole())] * 3 + [say_and_close()]
    async with FakeUpstream(*scripts) as fake:
        upstream = upstream_at(fake.url)
        answers = [await upstream.send("GET", "/x") for _ in range(3)]
        for answer in answers:
            await answer.whole(LIMIT)
            answer.close()
        assert upstream.idle == 3
        # A request that kills the server must not kill it once for every idle connection.
        assert type(await failure_of(upstream)) is UpstreamError
        assert (len(fake.asked), fake.connections) == (5, 4)
        upstream.close()


async def test_a_new_connection_that_breaks_is_not_tried_again() -> None:
    async with FakeUpstream(say_and_close()) as fake:
        upstream = upstream_at(fake.url)
        assert type(await failure_of(upstream)) is UpstreamError
        assert len(fake.asked) == 1


@pytest.mark.parametrize("start", [b"H", b"HTTP/1.1 200", OK, OK + b"x: y", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_nothing_is_sent_again_after_a_byte_of_an_answer(start: bytes) -> None:
    async with FakeUpstream(say(whole()), say_and_close(start)) as fake:
        upstream = upstream_at(fake.url)
        await got(upstream)
        assert isinstance(await failure_of(upstream), UpstreamError)
        assert len(fake.asked) == 2


async def test_unsolicited_bytes_cost_the_connection_and_reach_nobody() -> None:
    async with FakeUpstream(say(whole(b"1"), whole(b"not asked for")), say(whole(b"2"))) as fake:
        upstream = upstream_at(fake.url)
        assert await got(upstream) == b"1"
        await fake.until_all_left()
        assert await got(upstream) == b"2"
        assert fake.connections == 2
        upstream.close()


# ------------------------------------------------------------------------------------------------ answers that lie

LIES: dict[str, tuple[Callable[[Exchange], Awaitable[None]], type[FarmError]]] = {
    "nothing": (say_and_close(), UpstreamError),
    "reset": (say_and_reset(), UpstreamError),
    "half a status": (say_and_close(b"HTTP/1.1 20"), UpstreamError),
    "half a head": (say_and_close(OK + b"content-ty"), UpstreamError),
    "half a head and a half close": (say_and_half_close(OK), UpstreamError),
    "half a body": (say_and_close(OK + b"content-length: 9\r\n\r\nhalf"), UpstreamStreamTruncated),
    "half a body and a reset": (say_and_reset(OK + b"content-length: 9\r\n\r\n"), UpstreamError),
    "half a chunk": (say_and_close(BEGUN + b"9\r\nhalf"), UpstreamStreamTruncated),
    "no last chunk": (say_and_close(BEGUN + chunk(b"all")), UpstreamStreamTruncated),
    "no last chunk and a half close": (say_and_half_close(BEGUN + chunk(b"all")), UpstreamStreamTruncated),
    "another coding": (say_and_close(OK + b"transfer-encoding: gzip\r\n\r\nx"), UpstreamStreamTruncated),
    "a bad chunk": (say_and_stall(BEGUN + chunk(b"ok") + b"zz\r\n"), UpstreamInvalidResponse),
    "length and chunks": (say_and_stall(OK + b"content-length: 2\r\n" + CHUNKED + b"\r\n"), UpstreamInvalidResponse),
    "HTTP/0.9": (say_and_close(b"<html>"), UpstreamInvalidResponse),
    "endless news": (flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 40), UpstreamInvalidResponse),
    "endless header": (flood(OK + b"x: ", b"y" * 8192), UpstreamInvalidResponse),
    "endless headers": (flood(OK, b"x: y\r\n" * 1000), UpstreamInvalidResponse),
    "endless trailer": (flood(BEGUN + b"0\r\nx: ", b"y" * 8192), UpstreamInvalidResponse),
    "endless body": (flood(BEGUN, chunk(b"x" * 8192)), UpstreamInvalidResponse),
    "endless body without framing": (flood(OK + b"\r\n", b"x" * 8192), UpstreamInvalidResponse),
}


@pytest.mark.parametrize("name", LIES)
async def test_a_lie_is_an_error_of_ours_and_costs_the_connection(name: str) -> None:
    script, kind = LIES[name]
    before = open_sockets()
    async with FakeUpstream(script) as fake:
        upstream = upstream_at(fake.url)
        error = await failure_of(upstream)
        assert isinstance(error, kind)
        assert error.status == 502
        leak_nothing(error)
        await fake.until_all_left()
        assert (len(fake.asked), upstream.idle) == (1, 0)
    await until(lambda: open_sockets() == before)


async def test_many_headers_and_cookies_do_no_harm() -> None:
    headers = b"set-cookie: a=b\r\n" + b"".join(b"x-%d: y\r\n" % number for number in range(1000))
    async with FakeUpstream(say(whole(headers=headers))) as fake:
        upstream = upstream_at(fake.url)
        assert await got(upstream) == await got(upstream) == b"{}"
        assert fake.asked[1].header("cookie") is None
        upstream.close()


async def test_a_dripping_answer_is_the_same_answer() -> None:
    async with FakeUpstream(drip(chunked([b"one", b"two"]))) as fake:
        upstream = upstream_at(fake.url)
        assert await got(upstream) == b"onetwo"
        assert upstream.idle == 1
        upstream.close()


async def test_a_redirect_is_an_answer_and_leads_nowhere() -> None:
    async with FakeUpstream(say(whole(b"1"))) as elsewhere:
        head = b"location: " + elsewhere.url.encode() + b"/metadata\r\n"
        async with FakeUpstream(say(whole(b"no", status=302, headers=head))) as fake:
            upstream = upstream_at(fake.url)
            async with await upstream.send("GET", "/x") as answer:
                assert answer.status == 302
            upstream.close()
        assert elsewhere.connections == 0


@pytest.mark.parametrize(("limit", "fits"), [(9, False), (10, True)])
@pytest.mark.parametrize("pieces", [[b"0123456789"], [b"01234", b"56789"]])
async def test_a_whole_answer_is_held_to_its_limit(limit: int, fits: bool, pieces: list[bytes]) -> None:
    async with FakeUpstream(say(BEGUN, *map(chunk, pieces), END)) as fake:
        upstream = upstream_at(fake.url)
        answer = await upstream.send("GET", "/x")
        if fits:
            assert await answer.whole(limit) == b"0123456789"
        else:
            with pytest.raises(UpstreamInvalidResponse, match="larger than the limit of 9 bytes") as caught:
                await answer.whole(limit)
            (frame,) = [entry.frame for entry in caught.traceback if entry.name == "whole"]
            assert (frame.f_locals["body"], frame.f_locals.get("pieces", [])) == (None, []), "the error keeps them"
        answer.close()
        upstream.close()


async def test_pouring_gives_the_same_bytes_and_the_same_errors() -> None:
    async with FakeUpstream(say(BEGUN, chunk(b"a"), chunk(b"b") + END), say_and_close(BEGUN, chunk(b"c"))) as fake:
        upstream = upstream_at(fake.url)
        poured: list[bytes] = []
        async with await upstream.send("GET", "/x") as answer:
            await answer.pour(poured.append)
        assert upstream.idle == 1
        async with await upstream.send("GET", "/x") as answer:
            with pytest.raises(UpstreamStreamTruncated):
                await answer.pour(poured.append)
        assert b"".join(poured) == b"abc"
        assert upstream.idle == 0


# ------------------------------------------------------------------------------------------------ time

QUICK = Timeouts(connect_s=1.0, first_byte_s=0.05, idle_s=0.05)
QUICK_HEAD = Timeouts(connect_s=60.0, first_byte_s=0.05, idle_s=60.0)
QUICK_BODY = Timeouts(connect_s=60.0, first_byte_s=60.0, idle_s=0.05)
LAZY = Timeouts(connect_s=60.0, first_byte_s=60.0, idle_s=60.0)
SLOW = {
    "no head": say_and_stall(),
    "half a head": say_and_stall(OK),
    "a dripping head": drip_for_ever(OK + b"x: ", b"y"),
    "news and nothing more": say_and_stall(b"HTTP/1.1 102 Processing\r\n\r\n"),
}
SLOW_BODY = {
    "no body": say_and_stall(BEGUN),
    "half a body": say_and_stall(BEGUN + chunk(b"half")),
    "half a body without framing": say_and_stall(OK + b"\r\nhalf"),
}
SLOW_FOR_EVER = {"a dripping body": drip_for_ever(BEGUN, chunk(b"x"))}


@pytest.mark.usefixtures("quick_sweeps")
@pytest.mark.parametrize("name", [*SLOW, *SLOW_BODY])
async def test_silence_ends_in_a_timeout(name: str) -> None:
    async with FakeUpstream((SLOW | SLOW_BODY)[name]) as fake:
        error = await failure_of(upstream_at(fake.url, timeouts=QUICK_HEAD if name in SLOW else QUICK_BODY))
        assert isinstance(error, UpstreamTimeout)
        assert error.status == 504
        leak_nothing(error)
        await fake.until_all_left()


@pytest.mark.usefixtures("quick_sweeps")
@pytest.mark.parametrize("name", [*SLOW, *SLOW_BODY, *SLOW_FOR_EVER])
async def test_the_requests_own_time_ends_everything(name: str) -> None:
    async with FakeUpstream((SLOW | SLOW_BODY | SLOW_FOR_EVER)[name]) as fake:
        deadline = asyncio.get_running_loop().time() + 0.05
        error = await failure_of(upstream_at(fake.url, timeouts=LAZY), deadline=deadline)
        assert isinstance(error, UpstreamTimeout)
        await fake.until_all_left()


@pytest.mark.usefixtures("quick_sweeps")
async def test_a_long_answer_that_keeps_coming_is_not_late() -> None:
    async def steady(exchange: Exchange) -> None:
        await exchange.send(BEGUN)
        end = asyncio.get_running_loop().time() + 4 * QUICK.first_byte_s
        while asyncio.get_running_loop().time() < end:
            await exchange.drip(chunk(b"x"))
        await exchange.send(END)

    async with FakeUpstream(steady) as fake:
        upstream = upstream_at(fake.url, timeouts=QUICK)
        assert set(await got(upstream)) == set(b"x")
        upstream.close()


@pytest.mark.parametrize("late_s", [0.0, 1.0])
async def test_a_request_whose_time_is_over_is_not_sent(late_s: float) -> None:
    async with FakeUpstream(say(whole())) as fake:
        upstream = upstream_at(fake.url)
        past = asyncio.get_running_loop().time() - late_s
        assert isinstance(await failure_of(upstream, deadline=past), UpstreamTimeout)
        assert fake.connections == 0
        await got(upstream)
        assert isinstance(await failure_of(upstream, deadline=past), UpstreamTimeout)
        assert len(fake.asked) == 1
        assert upstream.idle == 1
        upstream.close()


async def hold(exchange: Exchange) -> None:
    """Take the connection and do not say a word, not even of TLS."""
    await exchange.until_left()


async def test_a_connection_that_is_not_made_in_time_is_unreachable() -> None:
    async with FakeUpstream(say(whole()), greeting=hold) as fake:
        upstream = upstream_at(fake.url.replace("http:", "https:"), timeouts=Timeouts(connect_s=0.05))
        error = await failure_of(upstream)
        assert isinstance(error, UpstreamUnreachable)
        assert "in time" in error.message
        await fake.until_all_left()


async def test_connecting_takes_no_longer_than_the_request_has() -> None:
    async with FakeUpstream(say(whole()), greeting=hold) as fake:
        upstream = upstream_at(fake.url.replace("http:", "https:"), timeouts=LAZY)
        deadline = asyncio.get_running_loop().time() + 0.05
        error = await failure_of(upstream, deadline=deadline)
        assert isinstance(error, UpstreamTimeout)
        await fake.until_all_left()


@pytest.mark.usefixtures("quick_sweeps")
@pytest.mark.parametrize(
    "linger", [say_and_stall(BEGUN, chunk(b"all")), flood(BEGUN + chunk(b"all"), chunk(b"x" * 1000))]
)
async def test_draining_does_not_take_for_ever(linger: Callable[[Exchange], Awaitable[None]]) -> None:
    async with FakeUpstream(linger) as fake:
        upstream = upstream_at(fake.url, timeouts=LAZY)
        async with asyncio.timeout(WITHIN_S), await upstream.send("GET", "/x") as answer:
            await answer.read()
            await answer.drain()
        await fake.until_all_left()
        assert (upstream.in_use, upstream.idle) == (0, 0)


# ------------------------------------------------------------------------------------------------ cancelling

STAGES: dict[str, Callable[[Exchange], Awaitable[None]]] = {
    "waiting for the head": say_and_stall(),
    "in the head": say_and_stall(OK),
    "waiting for the body": say_and_stall(BEGUN),
    "in the body": say_and_stall(BEGUN + chunk(b"half")),
    "in a flood": flood(BEGUN, chunk(b"x" * 8192)),
}


@pytest.mark.parametrize("turns", [*range(12), 30])
@pytest.mark.parametrize("name", STAGES)
async def test_a_request_that_is_cancelled_anywhere_leaves_nothing_behind(name: str, turns: int) -> None:
    tasks = len(asyncio.all_tasks())
    before = open_sockets()
    async with FakeUpstream(STAGES[name]) as fake:
        upstream = upstream_at(fake.url)
        asking = asyncio.create_task(got(upstream))
        for _ in range(turns):
            await asyncio.sleep(0)
        was_over = asking.done()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError if not was_over else UpstreamInvalidResponse):
            await asking
        assert (upstream.in_use, upstream.idle) == (0, 0)
        await fake.until_all_left()
    await until(lambda: open_sockets() == before)
    assert len(asyncio.all_tasks()) == tasks


async def test_a_request_that_is_cancelled_in_the_handshake_leaves_nothing_behind() -> None:
    before = open_sockets()
    async with FakeUpstream(say(whole()), greeting=hold) as fake:
        upstream = upstream_at(fake.url.replace("http:", "https:"))
        asking = asyncio.create_task(got(upstream))
        await fake.until(lambda: fake.connections == 1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await fake.until_all_left()
    await until(lambda: open_sockets() == before)


async def test_a_thousand_cancelled_requests_leave_a_pool_that_serves() -> None:
    async with FakeUpstream(say(whole())) as fake:
        upstream = upstream_at(fake.url)
        for number in range(250):
            group = [asyncio.create_task(got(upstream)) for _ in range(4)]
            for _ in range(number % 9):
                await asyncio.sleep(0)
            for task in group:
                task.cancel()
            await asyncio.gather(*group, return_exceptions=True)
        assert upstream.in_use == 0
        assert await got(upstream) == b"{}"
        upstream.close()
        await fake.until_all_left()


async def test_closing_while_a_request_runs_tells_it() -> None:
    async with FakeUpstream(say_and_stall(OK + b"\r\nhalf")) as fake:
        upstream = upstream_at(fake.url)
        answer: Answer = await upstream.send("GET", "/x")
        assert await answer.read() == b"half"
        reading = asyncio.create_task(answer.read())
        await asyncio.sleep(0)
        upstream.close()
        with pytest.raises(UpstreamStreamTruncated):
            await reading
        answer.close()
        await fake.until_all_left()


# ------------------------------------------------------------------------------------------------ reaching it


async def test_nobody_there_is_unreachable() -> None:
    port = closed_port()
    error = await failure_of(upstream_at(f"http://127.0.0.1:{port}"))
    assert isinstance(error, UpstreamUnreachable)
    assert f"127.0.0.1:{port}" in error.message
    leak_nothing(error)


async def test_nobody_at_any_of_several_addresses_is_unreachable() -> None:
    error = await failure_of(upstream_at(f"http://localhost:{closed_port()}"))
    assert isinstance(error, UpstreamUnreachable)
    # What asyncio raises where a name has several addresses.
    told = translate(OSError("Multiple exceptions: [Errno 111] x, [Errno 111] y"), name="t", address="a", begun=False)
    assert told.message == "t (a) cannot be reached: none of its addresses accepts a connection."


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..b"])
async def test_a_host_that_is_none_is_unreachable(host: str) -> None:
    error = await failure_of(upstream_at(f"http://{host}:1"))
    assert isinstance(error, UpstreamUnreachable)


async def test_a_name_that_is_not_known_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    upstream = upstream_at("http://nowhere.invalid")
    monkeypatch.setattr(upstream._pool, "connect", unknown)
    error = await failure_of(upstream)
    assert isinstance(error, UpstreamUnreachable)
    assert "not known" in error.message


# ------------------------------------------------------------------------------------------------ TLS


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=AUTHORITY)


async def test_a_certificate_of_a_trusted_authority_is_accepted() -> None:
    async with FakeUpstream(say(whole()), certificate="here") as fake:
        upstream = upstream_at(fake.url, tls=trusting())
        assert await got(upstream) == await got(upstream) == b"{}"
        assert fake.connections == 1
        upstream.close()
        await fake.until_all_left()


@pytest.mark.parametrize("certificate", ["expired", "elsewhere"])
async def test_a_certificate_that_is_not_right_is_refused(certificate: str) -> None:
    async with FakeUpstream(say(whole()), certificate=certificate) as fake:
        error = await failure_of(upstream_at(fake.url, tls=trusting()))
        assert isinstance(error, UpstreamTlsError)
        assert error.code == "upstream_tls_error"
        leak_nothing(error)
        assert not fake.asked


async def test_an_authority_nobody_trusts_is_refused_without_being_asked_to() -> None:
    async with FakeUpstream(say(whole()), certificate="here") as fake:
        error = await failure_of(upstream_at(fake.url))
        assert isinstance(error, UpstreamTlsError)
        assert not fake.asked


async def test_plain_http_where_tls_was_expected_is_refused() -> None:
    async with FakeUpstream(say(whole()), greeting=say_and_stall(whole())) as fake:
        error = await failure_of(upstream_at(fake.url.replace("http:", "https:"), tls=trusting()))
        assert isinstance(error, UpstreamTlsError)


async def test_a_provider_that_does_not_like_our_tls_is_told_as_such() -> None:
    protocol_version = b"\x15\x03\x03\x00\x02\x02\x46"
    async with FakeUpstream(say(whole()), greeting=say_and_stall(protocol_version)) as fake:
        error = await failure_of(upstream_at(fake.url.replace("http:", "https:"), tls=trusting()))
        assert isinstance(error, UpstreamTlsError)


async def test_a_hang_up_in_the_handshake_is_unreachable() -> None:
    async with FakeUpstream(say(whole()), greeting=say_and_reset()) as fake:
        error = await failure_of(upstream_at(fake.url.replace("http:", "https:"), tls=trusting()))
        assert isinstance(error, UpstreamUnreachable | UpstreamTlsError)


async def test_tls_answers_that_break_off_are_told() -> None:
    async with FakeUpstream(say_and_close(BEGUN + chunk(b"half")), certificate="here") as fake:
        assert isinstance(await failure_of(upstream_at(fake.url, tls=trusting())), UpstreamStreamTruncated)
        await fake.until_all_left()


async def test_a_slow_reader_stops_a_provider_behind_tls() -> None:
    async with FakeUpstream(flood(BEGUN, chunk(b"x" * 8192)), certificate="here") as fake:
        upstream = upstream_at(fake.url, tls=trusting())
        answer = await upstream.send("GET", "/x")
        (connection,) = upstream._pool._busy
        await until(lambda: connection._is_paused and fake.is_stuck)
        held = connection._buffered
        for _ in range(100):
            await asyncio.sleep(0)
        assert connection._buffered == held < 1 << 20
        answer.close()
        await fake.until_all_left()


# ------------------------------------------------------------------------------------------------ the table


def every(kind: type[BaseException]) -> set[type[BaseException]]:
    return {kind} | {below for child in kind.__subclasses__() for below in every(child)}


HERE = ("builtins", "socket", "ssl")
FROM_BELOW = sorted(
    (kind for kind in every(OSError) | every(UnicodeError) if kind.__module__ in HERE),
    key=lambda kind: kind.__qualname__,
)


@pytest.mark.parametrize("kind", FROM_BELOW, ids=lambda kind: f"{kind.__module__}.{kind.__qualname__}")
def test_whatever_the_socket_layer_raises_is_an_error_of_ours(kind: type[Exception]) -> None:
    for arguments in (
        (),
        (104, "the reason"),
        ("text",),
        ("utf-8", b"", 0, 1, "reason"),
        ("utf-8", "x", 0, 1, "reason"),
    ):
        try:
            error = kind(*arguments)
        except Exception:  # noqa: BLE001 - not every kind is made of these
            continue
        told = translate(error, name="there", address="here:1", begun=False)
        assert isinstance(told, UpstreamTlsError) == isinstance(error, ssl.SSLError)
        assert isinstance(told, UpstreamTlsError | UpstreamUnreachable)
        assert "there" in told.message
        assert "here:1" in told.message
        assert "None" not in told.message


@pytest.mark.parametrize(
    ("error", "begun", "kind"),
    [
        (Broken("x"), False, UpstreamError),
        (Broken("x"), True, UpstreamStreamTruncated),
        (Garbled("x"), False, UpstreamInvalidResponse),
        (Garbled("x"), True, UpstreamInvalidResponse),
        (TimedOut("x"), False, UpstreamTimeout),
        (TimedOut("x"), True, UpstreamTimeout),
        (TimeoutError(), False, UpstreamUnreachable),
        (ssl.SSLCertVerificationError(), False, UpstreamTlsError),
        (RuntimeError("x"), False, UpstreamError),
        (InternalError(), False, InternalError),
    ],
)
def test_the_table_is_read_most_specific_first(error: Exception, begun: bool, kind: type[FarmError]) -> None:
    assert type(translate(error, name="there", address="here:1", begun=begun)) is kind


def test_settings_never_show_what_may_be_a_key() -> None:
    settings = ProviderSettings(
        name="there", api_key=KEY, headers={"x-key": KEY}, options={"token": KEY, "nested": {"key": KEY}}
    )
    assert KEY not in repr(settings)
    assert KEY not in f"{settings}"
