"""What every reader of a provider's answers relies on."""

from __future__ import annotations

import msgspec
import pytest

from farmgate.core.errors import FarmError, UpstreamError, UpstreamInvalidResponse, UpstreamStreamTruncated
from farmgate.core.event import Part, Text
from farmgate.wire.sse import Splitter
from farmgate.wire.upstream import frames_of, prove_end, proved, said_in


class Told(msgspec.Struct):
    text: str = ""


decode = msgspec.json.Decoder(Told).decode


class Reader:
    def __init__(self) -> None:
        self.is_done = False
        self.failure: FarmError | None = None

    def read(self, piece: str) -> list[Part]:
        if piece == "!":
            raise UpstreamError("it broke")
        self.is_done = piece == "."
        return [Text(piece)] if piece else []


def test_a_form_is_read() -> None:
    assert proved('{"text":"ä"}'.encode(), decode, "p", "lies").text == "ä"


@pytest.mark.parametrize("data", [b"", b"{", b"7", b'{"text":7}', b'{"x":"\xff"}', b"[" * 100_000])
def test_anything_else_is_the_providers_fault_and_told_as_one(data: bytes) -> None:
    with pytest.raises(UpstreamInvalidResponse, match=r"^p lies\.$"):
        proved(data, decode, "p", "lies")


LARGE = b"data: 0123456789"


def test_a_frame_too_large_is_the_providers_fault() -> None:
    with pytest.raises(UpstreamInvalidResponse, match="larger than the limit"):
        list(frames_of(Splitter(8), b"data: 0123456789", Reader(), provider="p"))


def test_what_came_before_a_frame_too_large_is_told_before_it() -> None:
    reader = Reader()
    event = said_in(
        map(bytes.decode, frames_of(Splitter(8), b"data: a\n\n" + LARGE, reader, provider="p")), reader.read, reader
    )
    assert event is not None
    assert event.parts == (Text("a"),)
    with pytest.raises(UpstreamInvalidResponse, match="larger than the limit"):
        prove_end(reader, is_whole=False, provider="p")


def test_a_frame_too_large_behind_the_end_is_nobodys_concern() -> None:
    reader = Reader()
    event = said_in(
        map(bytes.decode, frames_of(Splitter(8), b"data: .\n\n" + LARGE, reader, provider="p")), reader.read, reader
    )
    assert event is not None
    assert list(frames_of(Splitter(8), LARGE, reader, provider="p")) == []
    prove_end(reader, is_whole=True, provider="p")


def test_pieces_are_told_until_the_answer_is_over() -> None:
    reader = Reader()
    event = said_in(["a", "", "b", ".", "never"], reader.read, reader)
    assert event is not None
    assert event.parts == (Text("a"), Text("b"), Text("."))
    prove_end(reader, is_whole=True, provider="p")


def test_what_was_said_before_a_failure_is_told_before_it() -> None:
    reader = Reader()
    event = said_in(["a", "!", "never"], reader.read, reader)
    assert event is not None
    assert event.parts == (Text("a"),)
    assert reader.is_done
    with pytest.raises(UpstreamError, match="it broke"):
        prove_end(reader, is_whole=True, provider="p")


def test_a_failure_behind_nothing_is_told_at_once() -> None:
    reader = Reader()
    with pytest.raises(UpstreamError, match="it broke"):
        said_in(["", "!"], reader.read, reader)
    assert said_in([""], reader.read, reader) is None


def test_an_answer_that_is_cut_off_is_not_whole() -> None:
    with pytest.raises(UpstreamStreamTruncated, match=r"^p.s stream ended before"):
        prove_end(Reader(), is_whole=False, provider="p")
