"""Every fault of `farmgate mock`, over real sockets, as a client sees it that believes nothing."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from tests.fakes.raw import Dial, Raw, ask

from farmgate.mock import Call, Mock
from farmgate.mock.plan import FAULTS

CUT = 150


def is_whole(raw: Raw) -> bool:
    return raw.is_whole


def never(raw: Raw) -> bool:
    """Read until the connection ends."""
    return False


def has_head(raw: Raw) -> bool:
    return b"\r\n\r\n" in raw.data


def has_two_frames(raw: Raw) -> bool:
    return len(raw.frames) >= 2


@dataclass(frozen=True, kw_only=True)
class Row:
    """A fault asked for, and what is seen: each status (None: no head), the last answer, how the last call ended."""

    faults: str
    seen: Callable[[Raw, Call], bool] = lambda raw, call: True
    ended: str = "answered"
    how: str = "open"
    statuses: tuple[int | None, ...] = (200,)
    stream: bool = True
    until: Callable[[Raw], bool] | None = is_whole


def contents(raw: Raw) -> list[str]:
    """The pieces of text in a stream of chat."""
    deltas = [choice["delta"] for event in raw.events for choice in event["choices"]]
    return [delta["content"] for delta in deltas if delta.get("content")]


def finishes(raw: Raw) -> set[str | None]:
    return {choice["finish_reason"] for event in raw.events for choice in event["choices"]}


def is_short(raw: Raw) -> bool:
    """Whether the last chunk is ten bytes shorter than it says."""
    size, _, chunk = raw.payload.rpartition(b"\r\ndata: ")
    return int(size.rpartition(b"\r\n")[2], 16) == len(b"data: " + chunk) + 10


def waited(call: Call, least_s: float) -> bool:
    # A loop wakes up to one tick of its clock early.
    return call.took_s is not None and call.took_s > least_s * 0.95


ROWS: dict[str, Row] = {
    # when
    "times": Row(faults="status=503,times=1", statuses=(503, 200, 200)),
    "after": Row(faults="status=503,after=2", statuses=(200, 200, 503)),
    "for": Row(faults="status=503,for=60m", statuses=(503, 503)),
    "share": Row(faults="status=503,share=50%", statuses=(503, 503, 200, 503, 200, 200)),
    "seed": Row(faults="status=503,share=50%,seed=4", statuses=(200, 200, 200, 200, 503, 200)),
    # the answer
    "frames": Row(faults="frames=2", seen=lambda raw, call: contents(raw) == ["mock-0 ", "mock-1 "]),
    "size": Row(faults="size=40", seen=lambda raw, call: {len(text) for text in contents(raw)} == {40}),
    "unicode": Row(faults="unicode", seen=lambda raw, call: contents(raw)[0] == "mock-0 é漢🙂 "),
    "echo": Row(faults="echo,size=3", seen=lambda raw, call: contents(raw) == ["hel", "lo"]),
    "finish": Row(faults="finish=filter", seen=lambda raw, call: finishes(raw) == {None, "content_filter"}),
    # time
    "head": Row(faults="head=20ms", seen=lambda raw, call: waited(call, 0.02)),
    "first": Row(faults="first=20ms", seen=lambda raw, call: waited(call, 0.02) and raw.reads > 1),
    "between": Row(faults="between=2ms", seen=lambda raw, call: waited(call, 0.016)),
    "slow-head": Row(faults="slow-head=0.1ms", seen=lambda raw, call: raw.reads > 20),
    "drip": Row(faults="drip=0.01ms", seen=lambda raw, call: {len(one) for one in raw.chunks} == {0, 1}),
    # a proper refusal
    "status": Row(faults="status=418", statuses=(418,), seen=lambda raw, call: "418" in raw.json["error"]["message"]),
    "code": Row(
        faults="status=400,code=odd", statuses=(400,), seen=lambda raw, call: raw.json["error"]["code"] == "odd"
    ),
    "retry-after": Row(
        faults="retry-after=soon", statuses=(429,), seen=lambda raw, call: raw.headers["retry-after"] == "soon"
    ),
    "reset": Row(
        faults="reset=6m0s",
        statuses=(429,),
        seen=lambda raw, call: raw.headers["x-ratelimit-reset-requests"] == "6m0s",
    ),
    "redirect": Row(
        faults="redirect",
        statuses=(302,),
        seen=lambda raw, call: raw.headers["location"].startswith("http://169.254.169.254/"),
    ),
    # no answer
    "refuse": Row(faults="refuse", statuses=(None,), until=never, how="rst", ended="refuse"),
    "hangup": Row(faults="hangup", statuses=(None,), until=never, how="fin", ended="hangup"),
    "hang": Row(faults="hang", statuses=(None,), until=None, ended="left"),
    "head-only": Row(faults="head-only", until=has_head, ended="left", seen=lambda raw, call: raw.payload == b""),
    "garbage": Row(
        faults="garbage", statuses=(None,), until=never, how="fin", ended="garbage", seen=lambda r, c: len(r.data) > 99
    ),
    # a stream that breaks
    "stall": Row(faults="stall=2", until=has_two_frames, ended="left", seen=lambda raw, call: call.sent_frames == 2),
    "end": Row(faults="end=2", ended="end", seen=lambda raw, call: len(raw.frames) == 2),
    "fin": Row(
        faults="fin=2", until=never, how="fin", ended="fin", seen=lambda r, c: len(r.frames) == 2 and not r.is_whole
    ),
    "rst": Row(faults="rst=2", until=never, how="rst", ended="rst", seen=lambda raw, call: len(raw.frames) == 2),
    "half": Row(faults="half=2", until=never, how="fin", ended="left", seen=lambda raw, call: len(raw.frames) == 2),
    "error": Row(
        faults="error=2",
        seen=lambda raw, call: len(raw.frames) == 3 and raw.events[2]["error"]["type"] == "server_error",
    ),
    "cut": Row(faults=f"cut={CUT}", until=never, how="fin", ended="cut", seen=lambda raw, call: len(raw.body) == CUT),
    "cut-end": Row(
        faults=f"cut-end={CUT}", ended="cut-end", seen=lambda raw, call: len(raw.body) == CUT and raw.is_whole
    ),
    "cut-rst": Row(
        faults=f"cut-rst={CUT}", until=never, how="rst", ended="cut-rst", seen=lambda raw, call: len(raw.body) == CUT
    ),
    "short-chunk": Row(
        faults="short-chunk=2",
        until=never,
        how="fin",
        ended="short-chunk",
        seen=lambda raw, call: len(raw.frames) == 2 and is_short(raw),
    ),
    "bad-chunk": Row(
        faults="bad-chunk=2",
        until=never,
        how="fin",
        ended="bad-chunk",
        seen=lambda raw, call: len(raw.frames) == 2 and b"\r\nzz\r\ndata: " in raw.payload,
    ),
    "length": Row(
        faults="length=+5",
        stream=False,
        until=never,
        how="fin",
        seen=lambda raw, call: int(raw.headers["content-length"]) == len(raw.payload) + 5,
    ),
    # frames that lie
    "no-done": Row(faults="no-done", seen=lambda r, c: b"[DONE]" not in r.body and finishes(r) == {None, "stop"}),
    "no-finish": Row(faults="no-finish", seen=lambda r, c: b"[DONE]" in r.body and finishes(r) == {None}),
    "bad-json": Row(faults="bad-json=1", seen=lambda raw, call: raw.frames[1] == b"data: {not json"),
    "bad-utf8": Row(faults="bad-utf8=1", seen=lambda raw, call: b"\xff\xfe" in raw.frames[1]),
    "duplicate": Row(
        faults="duplicate=1", seen=lambda raw, call: contents(raw)[:3] == ["mock-0 ", "mock-0 ", "mock-1 "]
    ),
    "swap": Row(faults="swap=1", seen=lambda raw, call: contents(raw)[:3] == ["mock-1 ", "mock-0 ", "mock-2 "]),
    "huge": Row(faults="huge=64k", seen=lambda raw, call: len(contents(raw)[0]) == 65_536),
    "usage": Row(faults="usage=negative", seen=lambda raw, call: raw.events[-1]["usage"]["total_tokens"] < 0),
    "endless": Row(faults="endless", until=lambda raw: len(raw.frames) > 100, ended="left"),
    # bytes that lie
    "split": Row(faults="split=3", seen=lambda raw, call: {len(one) for one in raw.chunks} <= {0, 1, 2, 3}),
    "split-at": Row(faults="split-at=4", seen=lambda r, c: r.chunks[0] == b"data" and len(r.chunks) == 2 * 9 + 1),
    "eol": Row(
        faults="eol=crlf", seen=lambda raw, call: raw.body.count(b"\r\n\r\n") == 9 == raw.body.count(b"\n") // 2
    ),
    "multiline": Row(faults="multiline", seen=lambda raw, call: raw.frames[0].count(b"data: ") == 2),
    "bom": Row(faults="bom", seen=lambda raw, call: raw.body.startswith(b"\xef\xbb\xbfdata: ")),
    "comments": Row(faults="comments", seen=lambda raw, call: raw.body.count(b": ping\n\n") == 9),
    # something else than was asked
    "kind": Row(faults="kind=html", seen=lambda raw, call: raw.body.startswith(b"<!DOCTYPE html>")),
    "content-type": Row(
        faults="content-type=text/odd", seen=lambda raw, call: raw.headers["content-type"] == "text/odd"
    ),
    "body": Row(faults="body=no-choices", seen=lambda raw, call: raw.json["choices"] == []),
    # heads and HTTP that lie
    "big-header": Row(faults="big-header=20k", seen=lambda raw, call: len(raw.headers["x-big"]) == 20_480),
    "headers": Row(faults="headers=50", seen=lambda raw, call: len(raw.headers) > 50),
    "cookie": Row(faults="cookie", seen=lambda raw, call: "HttpOnly" in raw.headers["set-cookie"]),
    "header": Row(faults="header=x-odd:1", seen=lambda raw, call: raw.headers["x-odd"] == "1"),
    "informational": Row(
        faults="informational=3",
        statuses=(102,),
        until=lambda raw: raw.data.endswith(b"0\r\n\r\n"),
        seen=lambda raw, call: raw.data.count(b"HTTP/1.1 102 ") == 3 and raw.data.count(b"HTTP/1.1 200 ") == 1,
    ),
    "http09": Row(
        faults="http09",
        statuses=(None,),
        until=never,
        how="fin",
        seen=lambda r, c: r.data.endswith(b"data: [DONE]\n\n"),
    ),
    "cl-te": Row(
        faults="cl-te", seen=lambda r, c: r.headers["content-length"] == "100" and "transfer-encoding" in r.headers
    ),
    # compression
    "gzip": Row(
        faults="gzip=2",
        seen=lambda raw, call: (
            gzip.decompress(gzip.decompress(raw.body)).endswith(b"data: [DONE]\n\n")
            and raw.headers["content-encoding"] == "gzip, gzip"
        ),
    ),
    "bomb": Row(faults="bomb=1m", seen=lambda r, c: len(gzip.decompress(r.body)) == 1 << 20 and len(r.body) < 1 << 12),
    # connections
    "close": Row(faults="close", until=never, how="fin", seen=lambda raw, call: raw.headers["connection"] == "close"),
    "close-idle": Row(faults="close-idle=1ms", until=never, how="fin", seen=lambda r, c: "connection" not in r.headers),
    "close-reuse": Row(faults="close-reuse=1"),
}


def test_every_fault_has_its_row() -> None:
    assert set(ROWS) == set(FAULTS)
    for name, row in ROWS.items():
        assert f",{name}" in f",{row.faults}", name


@pytest.mark.parametrize("name", ROWS)
async def test_a_client_sees_the_fault_it_asked_for(mock: Mock, dial: Dial, name: str) -> None:
    row = ROWS[name]
    for at, status in enumerate(row.statuses, 1):
        raw = await dial()
        raw.send(ask(f"mock:{row.faults}", stream=row.stream))
        await (mock.saw(at) if row.until is None else raw.until(row.until))
        if status is None:
            assert not raw.data.startswith(b"HTTP/"), raw
        else:
            assert raw.status == status, raw
    assert raw.how == row.how, raw
    raw.leave()
    call = (await mock.settled())[-1]
    assert row.seen(raw, call), (raw, call)
    assert call.ended == row.ended
    assert row.statuses[-1] in (None, 102, call.status)


async def test_a_connection_is_closed_under_its_second_request(mock: Mock, dial: Dial) -> None:
    raw = await dial()
    raw.send(ask("mock:close-reuse=1"))
    assert (await raw.whole()).how == "open"
    raw.send(ask("mock:close-reuse=1"))
    assert (await raw.ended()).how == "fin"
    assert raw.data.count(b"HTTP/1.1") == 1
    assert [call.ended for call in await mock.settled()] == ["answered", "close-reuse"]


async def test_a_half_closed_connection_stays_open_on_the_other_side(mock: Mock, dial: Dial) -> None:
    raw = await dial()
    raw.send(ask("mock:half=1"))
    await raw.ended()
    assert (mock.connections, mock.counted.open) == (1, 1)
    raw.leave()
    await mock.settled()
