"""Lines come out whole, however the bytes were cut."""

from __future__ import annotations

import pytest

from farmgate.wire.ndjson import LineTooLarge, Splitter

STREAM = '{"a":1}\n{"b":"zwölf"}\r\n\n  \r\n{"c":[]}\n{"last":true}'.encode()
LINES = [b'{"a":1}', '{"b":"zwölf"}'.encode(), b'{"c":[]}', b'{"last":true}']


def split(*pieces: bytes, limit_bytes: int = 1 << 20) -> list[bytes]:
    splitter = Splitter(limit_bytes)
    found = [line for piece in pieces for line in splitter.feed(piece)]
    return found + splitter.end()


def test_a_stream_is_cut_into_its_lines() -> None:
    assert split(STREAM) == LINES


def test_the_cut_of_the_bytes_makes_no_difference() -> None:
    assert split(*(STREAM[at : at + 1] for at in range(len(STREAM)))) == LINES
    for at in range(len(STREAM) + 1):
        assert split(STREAM[:at], STREAM[at:]) == LINES


def test_one_read_that_is_one_line_comes_out_at_once() -> None:
    splitter = Splitter()
    assert splitter.feed(b'{"a":1}\n') == [b'{"a":1}']
    assert splitter.feed(b"") == []
    assert splitter.feed(b"\n") == []
    assert splitter.end() == []


def test_a_carriage_return_inside_a_line_is_part_of_it() -> None:
    assert split(b"a\rb\r\nc\r", b"\nd\n") == [b"a\rb", b"c", b"d"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_a_line_may_be_as_large_as_the_limit_and_no_larger(end: bytes) -> None:
    fits, larger = b"x" * 8 + end, b"x" * 9 + end
    assert split(fits, limit_bytes=8) == [b"x" * 8]
    assert split(*(fits[at : at + 1] for at in range(len(fits))), limit_bytes=8) == [b"x" * 8]
    with pytest.raises(LineTooLarge):
        split(larger, limit_bytes=8)
    with pytest.raises(LineTooLarge):
        split(*(larger[at : at + 1] for at in range(len(larger))), limit_bytes=8)


def test_a_line_without_an_end_is_refused_before_it_is_all_there() -> None:
    splitter = Splitter(limit_bytes=100)
    splitter.feed(b"x" * 50)
    splitter.feed(b"x" * 50)
    with pytest.raises(LineTooLarge):
        splitter.feed(b"x" * 50)


def test_each_byte_is_looked_at_once() -> None:
    splitter = Splitter(limit_bytes=1 << 20)
    for _ in range(1000):
        splitter.feed(b"x")
        assert splitter._scanned == len(splitter._buffer)


def test_what_came_before_a_line_too_large_is_not_lost_with_it() -> None:
    for rest in (b"0123456789\n", b"0123456789", b"0123456789\nc\n"):
        with pytest.raises(LineTooLarge) as caught:
            Splitter(4).feed(b"a\n\nb\n" + rest)
        assert caught.value.found == [b"a", b"b"]


@pytest.mark.parametrize("data", [b"x" * 5000, b"{}\n" + b"x" * 5000])
def test_nothing_is_held_behind_a_line_too_large(data: bytes) -> None:
    """An error keeps alive what raised it, and may be kept itself."""
    splitter = Splitter(1000)
    with pytest.raises(LineTooLarge):
        splitter.feed(data)
    assert splitter._buffer == b""
