"""AWS's event stream framing: any cut gives the same messages, and a flipped bit is never believed."""

from __future__ import annotations

import struct
from binascii import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.eventstream import encode_message, event, exception, text_header
from tests.fakes.reading import cuts

from farmgate.wire.eventstream import Garbled, Message, MessageTooLarge, Splitter

steady = settings(max_examples=100, deadline=None, derandomize=True, database=None)

FIRST = event("messageStart", b'{"role":"assistant"}')
SECOND = exception("throttlingException", '{"message":"später"}'.encode())
EMPTY = encode_message(b"", b"")
ALL = FIRST + EMPTY + SECOND
MESSAGES = [
    Message(
        headers={":event-type": "messageStart", ":content-type": "application/json", ":message-type": "event"},
        payload=b'{"role":"assistant"}',
    ),
    Message(headers={}, payload=b""),
    Message(
        headers={
            ":exception-type": "throttlingException",
            ":content-type": "application/json",
            ":message-type": "exception",
        },
        payload='{"message":"später"}'.encode(),
    ),
]


def fed(pieces: list[bytes]) -> list[Message]:
    splitter = Splitter()
    found = [message for piece in pieces for message in splitter.feed(piece)]
    assert not splitter.holds_part
    return found


def test_any_cut_gives_the_same_messages() -> None:
    for pieces in cuts(ALL):
        assert fed(pieces) == MESSAGES


def test_a_message_that_has_not_ended_is_held() -> None:
    splitter = Splitter()
    assert splitter.feed(FIRST[:-1]) == []
    assert splitter.holds_part
    assert splitter.feed(FIRST[-1:]) == MESSAGES[:1]
    assert not splitter.holds_part


def test_a_flipped_bit_is_noticed_wherever_it_is() -> None:
    for at in range(len(FIRST)):
        for bit in range(8):
            broken = bytearray(FIRST)
            broken[at] ^= 1 << bit
            with pytest.raises(Garbled):
                Splitter().feed(bytes(broken))


def test_a_length_is_not_believed_before_its_checksum() -> None:
    lengths = struct.pack(">II", 1 << 30, 0)
    with pytest.raises(Garbled):
        Splitter().feed(lengths + b"\0\0\0\0" + b"\0" * 4)


@pytest.mark.parametrize(("total", "header_bytes"), [(15, 0), (20, 5), (1 << 20, (128 << 10) + 1)])
def test_lengths_that_make_no_sense_are_refused_though_their_checksum_holds(total: int, header_bytes: int) -> None:
    lengths = struct.pack(">II", total, header_bytes)
    with pytest.raises(Garbled):
        Splitter().feed(lengths + struct.pack(">I", crc32(lengths)) + b"\0" * 8)


def test_a_message_larger_than_the_limit_is_refused_before_it_has_come() -> None:
    with pytest.raises(MessageTooLarge):
        Splitter(len(FIRST) - 1).feed(FIRST[:16])
    assert Splitter(len(FIRST)).feed(FIRST) == MESSAGES[:1]


EVERY_TYPE = b"".join(
    [
        b"\x01a\x00",
        b"\x01b\x01",
        b"\x01c\x02\x07",
        b"\x01d\x03\x00\x07",
        b"\x01e\x04\x00\x00\x00\x07",
        b"\x01f\x05" + bytes(8),
        b"\x01g\x06\x00\x03abc",
        text_header(":event-type", "ü"),
        b"\x01h\x08" + bytes(8),
        b"\x01i\x09" + bytes(16),
    ]
)


def test_headers_of_every_type_are_stepped_over_and_texts_kept() -> None:
    (message,) = Splitter().feed(encode_message(EVERY_TYPE, b"x"))
    assert message == Message(headers={":event-type": "ü"}, payload=b"x")


@pytest.mark.parametrize(
    "headers",
    [
        b"\x01",
        b"\x01a",
        b"\x05a\x00",
        b"\x01a\x0a",
        b"\x01a\x07",
        b"\x01a\x07\x00",
        b"\x01a\x07\x00\x05abc",
        b"\x01a\x04\x00",
        b"\x01a\x07\x00\x01\xff",
        b"\x01\xff\x07\x00\x01a",
    ],
)
def test_headers_that_make_no_sense_are_refused(headers: bytes) -> None:
    with pytest.raises(Garbled):
        Splitter().feed(encode_message(headers, b""))


@steady
@given(st.binary(max_size=200))
def test_anything_else_is_refused_or_waited_for(data: bytes) -> None:
    splitter = Splitter()
    try:
        assert splitter.feed(data) == []
    except (Garbled, MessageTooLarge):
        return
    assert len(data) < 16


@steady
@given(st.lists(st.tuples(st.binary(max_size=60), st.text(max_size=20)), max_size=5), st.data())
def test_messages_are_those_another_reader_finds(told: list[tuple[bytes, str]], data: st.DataObject) -> None:
    stream = b"".join(encode_message(text_header("name", text), payload) for payload, text in told)
    other = EventStreamBuffer()
    other.add_data(stream)
    expected = [Message(headers=dict(message.headers), payload=message.payload) for message in other]
    at = data.draw(st.integers(0, len(stream)))
    assert (
        fed([stream[:at], stream[at:]])
        == expected
        == [Message(headers={"name": text}, payload=payload) for payload, text in told]
    )


def test_work_is_linear_in_the_bytes_however_they_are_cut() -> None:
    """A large message that comes byte by byte is looked at once, not once a byte."""
    splitter = Splitter()
    whole = encode_message(text_header(":event-type", "x"), bytes(200_000))
    found = [message for at in range(0, len(whole), 7) for message in splitter.feed(whole[at : at + 7])]
    assert len(found) == 1
