"""One connection, one exchange at a time: what bytes it takes for an answer, and which sockets the pool keeps."""

from __future__ import annotations

import asyncio
import gc
import ssl
import sys
from collections.abc import Awaitable
from contextlib import suppress
from types import FrameType

import pytest
from tests.fakes.upstream import (
    CHUNKED,
    END,
    EVENTS,
    OK,
    Exchange,
    FakeUpstream,
    chunk,
    chunked,
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

from farmgate.core.errors import let_go
from farmgate.providers import http1
from farmgate.providers.http1 import Broken, Connection, Garbled, TimedOut
from farmgate.providers.pool import Pool

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
BARE = OK + b"content-length: 2\r\n\r\nok"


class Wire:
    """A transport that goes nowhere."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.unsent_bytes = 0
        self.is_aborted = False
        self.pauses = 0
        self.resumes = 0

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def pause_reading(self) -> None:
        self.pauses += 1

    def resume_reading(self) -> None:
        self.resumes += 1

    def abort(self) -> None:
        self.is_aborted = True


def wired() -> tuple[Connection, Wire]:
    """A connection with a request on its way."""
    connection, wire = Connection(asyncio.get_running_loop()), Wire()
    connection.connection_made(wire)  # type: ignore[arg-type]  # has what a connection uses
    connection.begin(REQUEST, b"")
    return connection, wire


async def body_of(connection: Connection) -> bytes:
    await connection.head()
    pieces = []
    while (data := await connection.read()) is not None:
        pieces.append(data)
    return b"".join(pieces)


def pool_to(fake: FakeUpstream, *, connect_s: float = 5.0) -> Pool:
    return Pool(host="127.0.0.1", port=fake.port, tls=None, connect_s=connect_s)


async def asked(pool: Pool) -> Connection:
    """A connection, new or used, with a request on its way."""
    connection = pool.reuse() or await pool.connect()
    connection.patience_s = 5.0
    connection.begin(REQUEST, b"")
    return connection


# ------------------------------------------------------------------------------------------------ what is an answer

ANSWERS = {
    "a length": (BARE, b"ok"),
    "chunks": (chunked([b"o", b"k"]), b"ok"),
    "no body": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "an empty body": (OK + b"content-length: 0\r\n\r\n", b""),
    "news before it": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + BARE, b"ok"),
    "a trailer": (OK + CHUNKED + b"\r\n" + chunk(b"ok") + b"0\r\nx-sum: 1\r\n\r\n", b"ok"),
    "chunk extensions": (OK + CHUNKED + b"\r\n2;name=value\r\nok\r\n" + END, b"ok"),
    "no reason": (b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok", b"ok"),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_is_the_same_whole_and_byte_by_byte(name: str) -> None:
    data, body = ANSWERS[name]
    for step in (len(data), 1, 7):
        connection, _ = wired()
        for at in range(0, len(data), step):
            connection.data_received(data[at : at + step])
        assert await body_of(connection) == body
        assert connection.is_reusable


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_cut_off_anywhere_is_not_an_answer(name: str) -> None:
    data, _ = ANSWERS[name]
    for end in range(len(data)):
        connection, _ = wired()
        connection.data_received(data[:end])
        connection.connection_lost(None)
        with pytest.raises(Broken) as broken:
            await body_of(connection)
        assert broken.value.is_clean == (end == 0)
        assert not connection.is_reusable


async def test_without_framing_the_end_of_the_connection_ends_the_answer() -> None:
    connection, _ = wired()
    connection.data_received(OK + b"\r\nok")
    connection.connection_lost(None)
    assert await body_of(connection) == b"ok"
    assert not connection.is_reusable


async def test_without_framing_a_reset_ends_nothing() -> None:
    connection, _ = wired()
    connection.data_received(OK + b"\r\nok")
    connection.connection_lost(ConnectionResetError())
    with pytest.raises(Broken):
        await body_of(connection)


async def test_without_framing_giving_up_does_not_make_half_an_answer_whole() -> None:
    connection, _ = wired()
    connection.data_received(OK + b"\r\nok")
    connection.give_up(TimedOut("too slow"))
    connection.connection_lost(None)
    with pytest.raises(TimedOut):
        await body_of(connection)


GARBLED = {
    "HTTP/0.9": b"<html>hello</html>",
    "HTTP/2": b"HTTP/2 200 OK\r\n\r\n",
    "another protocol": b"-ERR unknown command\r\n",
    "a bad chunk size": OK + CHUNKED + b"\r\nzz\r\n",
    "a chunk size without end": OK + CHUNKED + b"\r\nfffffffffffffffff\r\n",
    "a chunk longer than it said": OK + CHUNKED + b"\r\n1\r\nok\r\n",
    "length and chunks": OK + b"content-length: 2\r\n" + CHUNKED + b"\r\n" + chunk(b"ok") + END,
    "chunks and length": OK + CHUNKED + b"content-length: 2\r\n\r\n" + chunk(b"ok") + END,
    "two lengths": OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nok",
    "a negative length": OK + b"content-length: -2\r\n\r\nok",
    "a folded header": OK + b"a: b\r\n c\r\ncontent-length: 2\r\n\r\nok",
    "a bare CR": OK + b"a: b\rc: d\r\ncontent-length: 2\r\n\r\nok",
    "a status that is none, with a body": b"HTTP/1.1 020 OK\r\ncontent-length: 2\r\n\r\nno" + BARE,
    "news with a body": b"HTTP/1.1 199 News\r\ncontent-length: 2\r\n\r\nno" + BARE,
    "news with chunks": b"HTTP/1.1 199 News\r\ntransfer-encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n" + BARE,
    "another protocol from now on": b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "too many headers": OK + b"".join(b"x-%d: %s\r\n" % (n, b"y" * 60) for n in range(1000)) + b"\r\n",
}


@pytest.mark.parametrize("name", GARBLED)
async def test_what_is_not_http_is_refused_and_its_socket_closed(name: str) -> None:
    for step in (len(GARBLED[name]), 1):
        connection, wire = wired()
        for at in range(0, len(GARBLED[name]), step):
            if connection.is_open:
                connection.data_received(GARBLED[name][at : at + step])
        with pytest.raises(Garbled):
            await body_of(connection)
        assert wire.is_aborted
        assert not connection.is_reusable


ENDLESS = {
    "a status line": (b"HTTP/1.1 200 ", b"x" * 1000),
    "one header": (OK + b"x: ", b"y" * 1000),
    "headers": (OK, b"x: y\r\n" * 100),
    "news": (b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 10),
    "a trailer": (OK + CHUNKED + b"\r\n" + chunk(b"ok") + b"0\r\nx: ", b"y" * 1000),
    "a chunk extension": (OK + CHUNKED + b"\r\n2;x=", b"y" * 1000),
}


@pytest.mark.parametrize("name", ENDLESS)
@pytest.mark.parametrize("reads", [True, False])
async def test_no_part_of_a_head_or_trailer_may_be_endless(name: str, reads: bool) -> None:
    start, again = ENDLESS[name]
    connection, _ = wired()
    connection.data_received(start)
    sent = 0
    while connection.is_open:
        if reads and connection._body:
            await connection.read()
        connection.data_received(again)
        sent += len(again)
        assert sent < 300_000
    assert isinstance(connection.failure, Garbled)


async def test_a_long_answer_in_tiny_chunks_is_no_endless_head() -> None:
    connection, _ = wired()
    connection.data_received(OK + CHUNKED + b"\r\n")
    for _ in range(20_000):
        for byte in (b"1", b"\r", b"\n", b"x", b"\r", b"\n"):
            connection.data_received(byte)
        assert await connection.read() == b"x"
    assert connection.is_open


async def test_of_a_repeated_header_the_last_counts_and_names_are_in_lower_case() -> None:
    connection, _ = wired()
    connection.data_received(
        OK + b"X-A: 1\r\nx-a: 2\r\nX-\xc4: \xfc\r\nContent-Length: 0\r\n\r\n".replace(b"X-\xc4", b"X-B")
    )
    assert await connection.head() == 200
    assert connection.headers == {b"x-a": b"2", b"x-b": b"\xfc", b"content-length": b"0"}


# ------------------------------------------------------------------------------------------------ one answer, no more


@pytest.mark.parametrize(
    "more",
    [BARE.replace(b"ok", b"no"), b"HT", b"X", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: y\r\n\r\n"],
)
async def test_a_second_answer_behind_the_first_is_never_read(more: bytes) -> None:
    connection, wire = wired()
    connection.data_received(BARE + more)
    assert await body_of(connection) == b"ok"
    assert b"x" not in connection.headers
    assert wire.is_aborted
    assert not connection.is_reusable


async def test_bytes_on_an_idle_connection_make_it_useless() -> None:
    connection, wire = wired()
    connection.data_received(BARE)
    assert await body_of(connection) == b"ok"
    assert connection.is_reusable
    connection.data_received(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
    assert wire.is_aborted
    assert not connection.is_reusable


@pytest.mark.parametrize("more", [b"\r\n", b"\0", BARE, b"x"])
async def test_nothing_at_all_is_welcome_on_an_idle_connection(more: bytes) -> None:
    connection, wire = wired()
    connection.data_received(BARE)
    assert await body_of(connection) == b"ok"
    connection.data_received(more)
    assert wire.is_aborted


async def test_a_connection_whose_answer_goes_on_is_not_kept() -> None:
    connection, _ = wired()
    connection.data_received(OK + CHUNKED + b"\r\n" + chunk(b"ok"))
    assert await connection.read() == b"ok"
    assert not connection.is_reusable
    connection.data_received(END)
    assert connection.is_reusable


async def test_a_connection_is_kept_only_when_both_directions_are_done() -> None:
    connection, wire = wired()
    wire.unsent_bytes = 1
    connection.data_received(BARE)
    assert await body_of(connection) == b"ok"
    assert not connection.is_reusable
    wire.unsent_bytes = 0
    assert connection.is_reusable


async def test_a_connection_somebody_still_waits_on_is_not_kept() -> None:
    connection, _ = wired()
    waiting = asyncio.create_task(body_of(connection))
    await asyncio.sleep(0)
    connection.data_received(OK + b"content-length: 0\r\n\r\n")
    assert not connection.is_reusable
    await waiting
    assert connection.is_reusable


async def test_a_connection_that_is_gone_needs_no_collector() -> None:
    gc.disable()
    try:
        before = connections()
        connection, _ = wired()
        connection.begin(REQUEST, b"")
        connection.connection_lost(None)
        with pytest.raises(Broken) as caught:
            await connection.head()
        let_go(caught.value)
        await asyncio.sleep(0)
        del connection, caught
        assert connections() == before
    finally:
        gc.enable()


def connections() -> int:
    return sum(isinstance(one, Connection) for one in gc.get_objects())


@pytest.mark.parametrize("head", [b"connection: close\r\ncontent-length: 2\r\n\r\nok", b"\r\nok"])
async def test_a_connection_the_provider_will_close_is_not_kept(head: bytes) -> None:
    connection, _ = wired()
    connection.data_received(OK + head)
    assert await connection.read() == b"ok"
    assert not connection.is_reusable


# ------------------------------------------------------------------------------------------------ back-pressure


async def test_unread_bytes_are_bounded() -> None:
    connection, wire = wired()
    connection.data_received(OK + CHUNKED + b"\r\n")
    pushed = 0
    while not wire.pauses:
        connection.data_received(chunk(b"x" * 1000))
        pushed += 1000
    assert http1.HIGH_WATER < pushed <= http1.HIGH_WATER + 1000
    assert await connection.read() == b"x" * pushed
    assert (wire.pauses, wire.resumes) == (1, 1)


async def test_work_grows_with_the_bytes_however_they_are_cut() -> None:
    async def calls(size: int) -> int:
        data = chunked([b"x" * 20] * (size // 20))
        connection, _ = wired()
        count = 0

        def tally(frame: FrameType, event: str, argument: object) -> None:
            nonlocal count
            count += event in ("call", "c_call")

        read = 0
        sys.setprofile(tally)
        try:
            for at in range(len(data)):
                connection.data_received(data[at : at + 1])
                if connection._body:
                    read += len(await connection.read() or b"")
        finally:
            sys.setprofile(None)
        assert read == size // 20 * 20
        return count

    few, many = await calls(10_000), await calls(100_000)
    assert many < 10.2 * few


# ------------------------------------------------------------------------------------------------ pouring


async def test_pouring_hands_over_every_byte_as_it_arrives() -> None:
    connection, _ = wired()
    got: list[bytes] = []
    connection.data_received(OK + CHUNKED + b"\r\n" + chunk(b"a"))
    pouring = asyncio.create_task(connection.pour(got.append))
    await asyncio.sleep(0)
    assert got == [b"a"]
    connection.data_received(chunk(b"b"))
    assert got == [b"a", b"b"]  # No task had to wake up.
    connection.data_received(chunk(b"c") + END)
    await pouring
    assert got == [b"a", b"b", b"c"]
    assert connection.is_reusable


async def test_a_sink_that_is_full_is_not_called_again_until_it_is_ready() -> None:
    connection, wire = wired()
    got: list[bytes] = []
    ready = asyncio.Event()

    async def later() -> None:
        await ready.wait()

    def sink(data: bytes) -> Awaitable[None] | None:
        got.append(data)
        return later() if len(got) == 1 else None

    connection.data_received(OK + CHUNKED + b"\r\n")
    pouring = asyncio.create_task(connection.pour(sink))
    await asyncio.sleep(0)
    connection.data_received(chunk(b"a"))
    assert (wire.pauses, wire.resumes) == (1, 0)
    connection.data_received(chunk(b"b"))  # The loop had it in hand already.
    await asyncio.sleep(0)
    connection.data_received(chunk(b"c") + END)
    await asyncio.sleep(0)
    assert got == [b"a"]
    assert not connection.waiting_since  # A slow client is not a silent provider.
    ready.set()
    await pouring
    assert b"".join(got) == b"abc"
    assert (wire.pauses, wire.resumes) == (1, 1)
    assert connection.is_reusable


@pytest.mark.parametrize("end", [b"", END])
@pytest.mark.parametrize("is_early", [True, False])
async def test_what_a_sink_raises_is_raised_even_at_the_end_of_the_answer(end: bytes, is_early: bool) -> None:
    connection, wire = wired()

    def sink(data: bytes) -> None:
        raise KeyError(data)

    connection.data_received(OK + CHUNKED + b"\r\n" + (chunk(b"a") + end if is_early else b""))
    pouring = asyncio.create_task(connection.pour(sink))
    await asyncio.sleep(0)
    if not is_early:
        connection.data_received(chunk(b"a") + end)
    with pytest.raises(KeyError):
        await pouring
    assert wire.is_aborted
    assert not connection.is_reusable


async def test_a_pour_that_is_cancelled_while_its_sink_is_full_leaves_no_paused_socket_behind() -> None:
    connection, wire = wired()

    async def never() -> None:
        await asyncio.Event().wait()

    connection.data_received(OK + CHUNKED + b"\r\n")
    pouring = asyncio.create_task(connection.pour(lambda _: never()))
    await asyncio.sleep(0)
    connection.data_received(chunk(b"a") + END)
    for _ in range(3):
        await asyncio.sleep(0)
    pouring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pouring
    assert (wire.pauses, wire.resumes) == (1, 0)
    assert not connection.is_reusable


async def test_a_pour_that_is_cancelled_before_it_could_wait_leaves_no_coroutine_behind() -> None:
    connection, _ = wired()
    begun = 0

    async def owed() -> None:
        nonlocal begun
        begun += 1

    connection.data_received(OK + CHUNKED + b"\r\n")
    pouring = asyncio.create_task(connection.pour(lambda _: owed()))
    await asyncio.sleep(0)
    connection.data_received(chunk(b"a"))
    pouring.cancel()
    with pytest.raises(asyncio.CancelledError):  # A coroutine nobody waited for would be a warning, so a failure.
        await pouring
    assert not begun


@pytest.mark.parametrize("failure", [None, ConnectionResetError()])
async def test_a_pour_that_breaks_off_is_told(failure: Exception | None) -> None:
    connection, _ = wired()
    got: list[bytes] = []
    connection.data_received(OK + CHUNKED + b"\r\n" + chunk(b"a"))
    pouring = asyncio.create_task(connection.pour(got.append))
    await asyncio.sleep(0)
    connection.connection_lost(failure)
    with pytest.raises(Broken):
        await pouring
    assert got == [b"a"]


# ------------------------------------------------------------------------------------------------ over real sockets


async def test_a_socket_is_used_again_after_a_whole_answer() -> None:
    async with FakeUpstream(say(whole())) as fake:
        pool = pool_to(fake)
        for _ in range(3):
            connection = await asked(pool)
            assert await body_of(connection) == b"{}"
            pool.give_back(connection)
            assert (pool.in_use, pool.idle) == (0, 1)
        assert fake.connections == 1
        assert len(fake.asked) == 3
        pool.close()
        await fake.until_all_left()


NOT_REUSED = {
    "unread": say_and_stall(OK + CHUNKED + b"\r\n" + chunk(b"ok")),
    "chunk cut": say_and_close(OK + CHUNKED + b"\r\n" + b"5\r\nok"),
    "length short": say_and_close(OK + b"content-length: 5\r\n\r\nok"),
    "no framing": say_and_close(OK + b"\r\nok"),
    "half closed": say_and_half_close(chunked([b"ok"], end=b"")),
    "reset": say_and_reset(OK + b"content-length: 5\r\n\r\nok"),
    "close": say(OK + b"connection: close\r\ncontent-length: 2\r\n\r\nok"),
    "garbled": say_and_stall(OK + CHUNKED + b"\r\nzz\r\n"),
}


@pytest.mark.parametrize("name", NOT_REUSED)
async def test_a_socket_is_ended_after_anything_else(name: str) -> None:
    async with FakeUpstream(NOT_REUSED[name]) as fake:
        pool = pool_to(fake)
        connection = await asked(pool)
        if name != "unread":
            with suppress(Broken):
                await body_of(connection)
        else:
            await connection.head()
        pool.give_back(connection)
        assert (pool.in_use, pool.idle) == (0, 0)
        await fake.until_all_left()
        pool.close()


async def test_giving_back_twice_changes_nothing() -> None:
    async with FakeUpstream(say(whole())) as fake:
        pool = pool_to(fake)
        connection = await asked(pool)
        await body_of(connection)
        pool.give_back(connection)
        pool.give_back(connection)
        assert (pool.in_use, pool.idle) == (0, 1)
        pool.close()


async def test_a_socket_the_provider_closed_while_idle_is_not_given_out() -> None:
    async with FakeUpstream(say_and_close(whole())) as fake:
        pool = pool_to(fake)
        connection = await asked(pool)
        await body_of(connection)
        pool.give_back(connection)
        await until(lambda: not connection.is_open)
        assert pool.reuse() is None
        assert pool.idle == 0
        pool.close()


async def test_a_slow_reader_stops_the_provider() -> None:
    async with FakeUpstream(flood(OK + EVENTS + CHUNKED + b"\r\n", chunk(b"x" * 8192))) as fake:
        pool = pool_to(fake)
        connection = await asked(pool)
        await connection.head()
        await until(lambda: connection._is_paused)
        held = connection._buffered
        await until(lambda: fake.is_stuck)
        for _ in range(100):
            await asyncio.sleep(0)
        assert connection._buffered == held < http1.HIGH_WATER + (1 << 18)
        pool.give_back(connection)
        await fake.until_all_left()
        pool.close()


async def test_what_was_held_back_can_be_read_after_giving_up() -> None:
    async with FakeUpstream(flood(OK + EVENTS + CHUNKED + b"\r\n", chunk(b"x" * 8192))) as fake:
        pool = pool_to(fake)
        connection = await asked(pool)
        await connection.head()
        await until(lambda: connection._is_paused)
        connection.give_up(TimedOut("too slow"))
        await fake.until_all_left()
        assert await connection.read()
        with pytest.raises(TimedOut):
            await connection.read()
        pool.give_back(connection)
        pool.close()


@pytest.mark.usefixtures("quick_sweeps")
async def test_silence_is_ended_by_the_sweeper() -> None:
    async with FakeUpstream(say_and_stall()) as fake:
        pool = pool_to(fake)
        connection = await asked(pool)
        connection.patience_s = 0.03
        with pytest.raises(TimedOut, match="no byte"):
            await connection.head()
        pool.give_back(connection)
        await fake.until_all_left()
        assert (pool.in_use, pool.idle) == (0, 0)
        pool.close()


@pytest.mark.usefixtures("quick_sweeps")
async def test_idle_sockets_are_ended_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farmgate.providers.pool.IDLE_KEPT_S", 0.02)
    async with FakeUpstream(say(whole())) as fake:
        pool = pool_to(fake)
        connection = await asked(pool)
        await body_of(connection)
        pool.give_back(connection)
        await fake.until_all_left()
        assert pool.idle == 0
        await until(lambda: pool._sweeper is None)  # Nothing to watch: nothing wakes up.
        connection = await asked(pool)
        await body_of(connection)
        assert pool._sweeper is not None
        pool.close()


async def test_closing_the_pool_ends_every_socket_and_fails_who_waits() -> None:
    async with FakeUpstream(say(whole()), say_and_stall(OK + b"\r\nhalf")) as fake:
        pool = pool_to(fake)
        idle = await asked(pool)
        await body_of(idle)
        busy = await pool.connect()
        busy.begin(REQUEST, b"")
        await busy.head()
        assert await busy.read() == b"half"
        pool.give_back(idle)
        reading = asyncio.create_task(busy.read())
        await asyncio.sleep(0)
        pool.close()
        with pytest.raises(Broken):
            await reading
        await fake.until_all_left()
        pool.give_back(busy)
        assert (pool.in_use, pool.idle) == (0, 0)


@pytest.mark.parametrize("turns", range(8))
async def test_a_connect_that_is_cancelled_at_any_moment_leaves_no_socket(turns: int) -> None:
    async with FakeUpstream(say(whole())) as fake:
        before = open_sockets()
        pool = pool_to(fake)
        connecting = asyncio.create_task(pool.connect())
        for _ in range(turns):
            await asyncio.sleep(0)
        connecting.cancel()
        with suppress(asyncio.CancelledError):
            pool.give_back(await connecting)
        await fake.until_all_left()
        await until(lambda: open_sockets() == before)
        assert (pool.in_use, pool.idle) == (0, 0)
        pool.close()


async def test_a_connect_that_takes_too_long_leaves_no_socket() -> None:
    async def silent(exchange: Exchange) -> None:
        await exchange.until_left()

    async with FakeUpstream(say(whole()), greeting=silent) as fake:
        pool = Pool(host="127.0.0.1", port=fake.port, tls=ssl.create_default_context(), connect_s=0.05)
        with pytest.raises(TimeoutError):
            await pool.connect()
        await fake.until_all_left()
        assert (pool.in_use, pool.idle) == (0, 0)
        pool.close()


async def test_a_large_body_is_sent_without_a_copy_of_it() -> None:
    connection, wire = wired()
    connection.data_received(BARE)
    await body_of(connection)
    body = b"x" * http1.HIGH_WATER
    connection.begin(REQUEST, body)
    assert wire.written[-2:] == [REQUEST, body]
    assert wire.written[-1] is body
