"""Requests come out of bytes in any cut, and bytes that are none are refused."""

from __future__ import annotations

import pytest

from farmgate.mock.reading import Reader, Request, Unreadable

SIZED = b"POST /v1/a?x=1&x=2 HTTP/1.1\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello"
CHUNKED = b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;n=1\r\nhel\r\n2\r\nlo\r\n0\r\na: 1\r\nb: 2\r\n\r\n"
PLAIN = b"GET / HTTP/1.1\r\n\r\n"
ALL = SIZED + CHUNKED + PLAIN
EXPECTED = [
    Request(method="POST", path="/v1/a", query={"x": "2"}, headers={"content-length": "5", "x-a": "b"}, body=b"hello"),
    Request(method="POST", path="/c", query={}, headers={"transfer-encoding": "chunked"}, body=b"hello"),
    Request(method="GET", path="/", query={}, headers={}),
]


def read(*parts: bytes) -> list[Request]:
    reader, found = Reader(), []
    for part in parts:
        reader.feed(part)
        while (request := reader.take()) is not None:
            found.append(request)
    assert reader.is_empty
    return found


def test_requests_are_read_whole_byte_by_byte_and_cut_anywhere() -> None:
    assert read(ALL) == EXPECTED
    assert read(*(ALL[at : at + 1] for at in range(len(ALL)))) == EXPECTED
    for at in range(len(ALL)):
        assert read(ALL[:at], ALL[at:]) == EXPECTED


def test_nothing_of_a_request_is_left_behind_it() -> None:
    assert read(CHUNKED) == EXPECTED[1:2]


def test_a_caller_who_waits_to_be_told_is_noticed() -> None:
    reader = Reader()
    reader.feed(b"POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n")
    assert reader.take() is None
    assert reader.wants_continue
    reader.feed(b"x")
    assert reader.take() is not None
    assert not reader.wants_continue


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/2\r\n\r\n", 400),
        (b"GET //[ HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" + b"1" * 2000, 400),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nfffffffff\r\n", 413),
        (b"GET / HTTP/1.1\r\ncontent-length: 999999999\r\n\r\n", 413),
        (b"x" * (257 << 10), 431),
    ],
)
def test_what_is_no_request_is_refused(data: bytes, status: int) -> None:
    with pytest.raises(Unreadable) as told:
        read(data)
    assert told.value.status == status
