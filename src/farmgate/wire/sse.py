"""Server-sent events: bytes in any cut, the data of whole events out.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["DONE", "FrameTooLarge", "Splitter", "frame"]

DONE = b"data: [DONE]\n\n"
BOM = b"\xef\xbb\xbf"


class FrameTooLarge(ValueError):
    """An event is larger than the limit. `found` is what the same bytes completed before it."""

    def __init__(self, found: Sequence[bytes] = ()) -> None:
        super().__init__()
        self.found = found


def frame(data: bytes) -> bytes:
    """One event that says `data`, which must be a single line."""
    return b"data: " + data + b"\n\n"


class Splitter:
    """Cuts a stream into events. Comments and fields other than `data` are passed over.

    Work is linear in the bytes fed, however they are cut.
    """

    __slots__ = ("_after_cr", "_at_start", "_buffer", "_joint", "_limit", "_scanned")

    def __init__(self, limit_bytes: int = 8 << 20, *, joint: bytes = b"\n") -> None:
        """`limit_bytes`: an event larger than this, its field names included, raises FrameTooLarge.

        `joint` stands between the data lines of one event. Where data is JSON a space says the same as the newline,
        and the event can be sent on as a single line.
        """
        self._joint = joint
        self._buffer = bytearray()
        self._scanned = 0
        self._limit = limit_bytes
        self._after_cr = False
        self._at_start = True

    def feed(self, data: bytes) -> list[bytes]:
        """The data of every event that `data` completes."""
        # Nearly always a network read is exactly one event of one line.
        size = len(data)
        if (
            data.startswith(b"data: ")
            and data.find(b"\n", 6) == size - 2
            and data.endswith(b"\n\n")
            and data.find(b"\r") < 0
            and not self._buffer
            and not self._after_cr
        ):
            self._at_start = False
            if size - 2 > self._limit:
                raise FrameTooLarge
            return [data[6:-2]]
        return self._feed_any(data)

    def _feed_any(self, data: bytes) -> list[bytes]:
        if self._after_cr and data[:1] == b"\n":
            data = data[1:]
            self._after_cr = False
        if not data:
            return []
        self._after_cr = data[-1:] == b"\r"
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        buffer = self._buffer
        buffer += data
        if self._at_start:
            if len(buffer) < len(BOM) and BOM.startswith(buffer):
                return []
            self._at_start = False
            if buffer.startswith(BOM):
                del buffer[: len(BOM)]
        found: list[bytes] = []
        begin = 0
        end = buffer.find(b"\n\n", self._scanned)
        while end >= 0:
            if end - begin > self._limit:
                raise self._overflow(found)
            payload = data_of(bytes(buffer[begin:end]), self._joint)
            if payload is not None:
                found.append(payload)
            begin = end + 2
            end = buffer.find(b"\n\n", begin)
        if begin:
            del buffer[:begin]
        if len(buffer) > self._limit + 1:  # The first newline of its end may already be here.
            raise self._overflow(found)
        self._scanned = max(0, len(buffer) - 1)
        return found

    def _overflow(self, found: Sequence[bytes]) -> FrameTooLarge:
        """Nothing of the rest is of use: whoever holds the error, and this with it, holds no more than that."""
        self._buffer.clear()
        self._scanned = 0
        return FrameTooLarge(found)


def data_of(block: bytes, joint: bytes) -> bytes | None:
    """The data lines of one event, joined; None for an event without any."""
    lines = [line for line in block.split(b"\n") if line == b"data" or line.startswith(b"data:")]
    return joint.join([line[5:].removeprefix(b" ") for line in lines]) if lines else None
