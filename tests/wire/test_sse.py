"""Server-sent events in any cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmgate.wire.sse import DONE, FrameTooLarge, Splitter, frame

steady = settings(max_examples=100, deadline=None, derandomize=True, database=None)

CASES = {
    "one": (b"data: a\n\n", [b"a"]),
    "two": (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
    "no space": (b"data:a\n\n", [b"a"]),
    "only one space is cut": (b"data:  a\n\n", [b" a"]),
    "CRLF": (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
    "CR": (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
    "a mix of line ends": (b"data: a\r\n\ndata: b\n\r\ndata: c\r\n\rdata: d\n\n", [b"a", b"b", b"c", b"d"]),
    "byte order mark": (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
    "a mark later on is text": (b"data: a\n\ndata: \xef\xbb\xbfb\n\n", [b"a", b"\xef\xbb\xbfb"]),
    "comments": (b": ping\n\n:\n\ndata: a\n: within\n\n", [b"a"]),
    "other fields": (b"event: x\nid: 1\nretry: 5\ndata: a\ndatabase: b\ndat: c\n\n", [b"a"]),
    "two lines": (b"data: a\ndata: b\n\n", [b"a\nb"]),
    "several lines": (b"data: a\ndata: b\ndata:c\n\n", [b"a\nb\nc"]),
    "a bare field is an empty line": (b"data\ndata: a\ndata\n\n", [b"\na\n"]),
    "empty data": (b"data\n\ndata:\n\ndata: \n\n", [b"", b"", b""]),
    "blank lines between": (b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n", [b"a", b"b"]),
    "an unfinished event": (b"data: a\n\ndata: b\n", [b"a"]),
    "colons in data": (b'data: {"a":"b: c"}\n\n', [b'{"a":"b: c"}']),
    "UTF-8": ("data: äöü €\n\n".encode(), ["äöü €".encode()]),
    "nothing": (b"", []),
}


def split(*pieces: bytes, limit: int = 1 << 20) -> list[bytes]:
    splitter = Splitter(limit)
    return [payload for piece in pieces for payload in splitter.feed(piece)]


@pytest.mark.parametrize(("stream", "events"), CASES.values(), ids=CASES)
def test_a_stream_says_the_same_in_every_cut(stream: bytes, events: list[bytes]) -> None:
    assert split(stream) == events
    assert split(*(stream[at : at + 1] for at in range(len(stream)))) == events
    for at in range(len(stream) + 1):
        assert split(stream[:at], stream[at:]) == events
        assert split(stream[:at], b"", stream[at:]) == events


LINES = st.sampled_from(
    [
        b"data: a",
        b"data:b",
        b"data",
        b"data: ",
        b": c",
        b"event: d",
        b"",
        b"",
        b"\xef\xbb\xbf",
        b"database",
        b"data: \xe2\x82\xac",
    ]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
STREAMS = st.lists(st.tuples(LINES, ENDS).map(b"".join), max_size=15).map(b"".join)


@steady
@given(STREAMS | st.binary(max_size=60), st.data())
def test_no_cut_changes_what_a_stream_says(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert split(*pieces) == split(stream)


@steady
@given(STREAMS, st.integers(5, 12), st.data())
def test_no_cut_changes_where_the_limit_is(stream: bytes, limit: int, data: st.DataObject) -> None:
    def told(pieces: list[bytes]) -> list[bytes] | None:
        try:
            return split(*pieces, limit=limit)
        except FrameTooLarge:
            return None

    cut = data.draw(st.integers(0, len(stream)))
    singly = told([stream[at : at + 1] for at in range(len(stream))])
    assert told([stream[:cut], stream[cut:]]) == singly
    assert told([stream]) == singly


@pytest.mark.parametrize("pieces", [[b"data: 1234\n\n"], [b"data: 1", b"234\n\n"], [b"data: 1234\n", b"\n"]])
def test_an_event_of_exactly_the_limit_passes_and_one_byte_more_does_not(pieces: list[bytes]) -> None:
    assert split(*pieces, limit=10) == [b"1234"]
    with pytest.raises(FrameTooLarge):
        split(*pieces, limit=9)


def test_an_event_that_never_ends_is_stopped_at_the_limit() -> None:
    splitter = Splitter(1000)
    for _ in range(100):
        assert splitter.feed(b"data: abc\n") == []
    with pytest.raises(FrameTooLarge):
        splitter.feed(b"data: abc\n")


@pytest.mark.parametrize("data", [b"data: " + b"x" * 5000, b"data: a\n\ndata: " + b"x" * 5000 + b"\n\n"])
def test_nothing_is_held_behind_an_event_too_large(data: bytes) -> None:
    """An error keeps alive what raised it, and may be kept itself."""
    splitter = Splitter(1000)
    with pytest.raises(FrameTooLarge):
        splitter.feed(data)
    assert splitter._buffer == b""


class Counting(bytearray):
    """Counts the bytes that are searched."""

    searched = 0

    def find(self, sub: object, start: object = 0, end: object = None) -> int:
        assert isinstance(sub, bytes)
        assert isinstance(start, int)
        self.searched += len(self) - start
        return super().find(sub, start)


@pytest.mark.parametrize("size", [1000, 4000])
def test_work_is_linear_in_the_bytes_however_small_the_pieces(size: int) -> None:
    splitter = Splitter()
    splitter._buffer = counting = Counting()
    for byte in b"data: " + b"x" * size + b"\n\n":
        splitter.feed(bytes((byte,)))
    assert counting.searched <= 4 * size


def test_a_frame_is_read_as_it_was_written() -> None:
    assert split(frame(b'{"a":1}') + DONE) == [b'{"a":1}', b"[DONE]"]


def test_lines_of_json_can_be_joined_to_one_line() -> None:
    splitter = Splitter(joint=b" ")
    assert splitter.feed(b'data: {\ndata: "a":1}\n\n') == [b'{ "a":1}']


def test_what_came_before_an_event_too_large_is_not_lost_with_it() -> None:
    for rest in (b"data: 0123456789\n\n", b"data: 0123456789"):
        with pytest.raises(FrameTooLarge) as caught:
            Splitter(8).feed(b"data: a\n\ndata: b\n\n" + rest)
        assert caught.value.found == [b"a", b"b"]
