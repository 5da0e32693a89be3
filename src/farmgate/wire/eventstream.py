"""AWS's event stream framing: bytes in any cut, whole messages out, each proved by its two checksums.

Source: https://smithy.io/2.0/aws/amazon-eventstream.html (application/vnd.amazon.eventstream)
"""

from __future__ import annotations

import struct
from binascii import crc32
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Broken", "Garbled", "Message", "MessageTooLarge", "Splitter"]

PRELUDE = struct.Struct(">III")
CHECKSUM = struct.Struct(">I")
LENGTH = struct.Struct(">H")
OVERHEAD = PRELUDE.size + CHECKSUM.size
MOST_HEADER_BYTES = 128 << 10

# What each type of header value is: its size, or None where two bytes say it.
TRUE, FALSE, TEXT = 0, 1, 7
SIZES: Mapping[int, int | None] = {TRUE: 0, FALSE: 0, 2: 1, 3: 2, 4: 4, 5: 8, 6: None, TEXT: None, 8: 8, 9: 16}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message. `headers` are those whose value is text: all that AWS's services tell there is."""

    headers: Mapping[str, str]
    payload: bytes


class Broken(ValueError):
    """The stream cannot be read any further. `found` is what the same bytes completed before that."""

    found: Sequence[Message] = ()


class Garbled(Broken):
    """The bytes are no event stream: a checksum, a length or a header is wrong."""


class MessageTooLarge(Broken):
    """A message is larger than the limit."""


class Splitter:
    """Cuts a stream into messages. Work is linear in the bytes fed, however they are cut."""

    __slots__ = ("_buffer", "_limit", "_needed")

    def __init__(self, limit_bytes: int = 8 << 20) -> None:
        """`limit_bytes`: a message larger than this raises MessageTooLarge, before its bytes have come."""
        self._buffer = bytearray()
        self._limit = limit_bytes
        self._needed = OVERHEAD

    def feed(self, data: bytes) -> list[Message]:
        """Every message that `data` completes. Raises Broken, after which the stream is of no use."""
        self._buffer += data
        found: list[Message] = []
        try:
            self._split(found)
        except Broken as error:
            error.found = found
            raise
        return found

    def _split(self, found: list[Message]) -> None:
        buffer = self._buffer
        begin = 0
        while len(buffer) - begin >= self._needed:
            total, header_bytes, checksum = PRELUDE.unpack_from(buffer, begin)
            if self._needed == OVERHEAD:
                self._prove_prelude(bytes(buffer[begin : begin + 8]), total, header_bytes, checksum)
                self._needed = total
                if len(buffer) - begin < total:
                    break
            found.append(message_of(bytes(buffer[begin : begin + total]), header_bytes))
            begin += total
            self._needed = OVERHEAD
        del buffer[:begin]

    @property
    def holds_part(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._buffer)

    def _prove_prelude(self, lengths: bytes, total: int, header_bytes: int, checksum: int) -> None:
        """Lengths are believed only after their checksum was: nothing is waited for that a flipped bit asks for."""
        if crc32(lengths) != checksum:
            raise Garbled("the checksum of a prelude is wrong")
        if header_bytes > MOST_HEADER_BYTES or total < OVERHEAD + header_bytes:
            raise Garbled("the lengths in a prelude make no sense")
        if total > self._limit:
            raise MessageTooLarge


def message_of(whole: bytes, header_bytes: int) -> Message:
    (checksum,) = CHECKSUM.unpack_from(whole, len(whole) - CHECKSUM.size)
    if crc32(whole[: -CHECKSUM.size]) != checksum:
        raise Garbled("the checksum of a message is wrong")
    end = PRELUDE.size + header_bytes
    return Message(headers=headers_of(whole[PRELUDE.size : end]), payload=whole[end : -CHECKSUM.size])


def headers_of(block: bytes) -> dict[str, str]:
    """The text headers in a block; others are stepped over."""
    headers: dict[str, str] = {}
    at = 0
    try:
        while at < len(block):
            name_at, name_end = at + 1, at + 1 + block[at]
            kind = block[name_end]
            size = SIZES[kind]
            at = name_end + 1
            if size is None:
                (size,) = LENGTH.unpack_from(block, at)
                at += LENGTH.size
            value = block[at : at + size]
            if len(value) != size:
                raise Garbled("a header is cut off")
            if kind == TEXT:
                headers[block[name_at:name_end].decode()] = value.decode()
            at += size
    except (IndexError, KeyError, UnicodeDecodeError, struct.error) as error:
        raise Garbled("a header makes no sense") from error
    return headers
