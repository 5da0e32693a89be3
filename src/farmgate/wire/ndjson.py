"""Newline-delimited JSON: bytes in any cut, whole lines out. Blank lines are passed over.

Source: https://github.com/ndjson/ndjson-spec
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["LineTooLarge", "Splitter"]


class LineTooLarge(ValueError):
    """A line is larger than the limit. `found` is what the same bytes completed before it."""

    def __init__(self, found: Sequence[bytes] = ()) -> None:
        super().__init__()
        self.found = found


class Splitter:
    """Cuts a stream into lines, without their LF or CRLF. Work is linear in the bytes fed, however they are cut."""

    __slots__ = ("_buffer", "_limit", "_scanned")

    def __init__(self, limit_bytes: int = 8 << 20) -> None:
        """`limit_bytes`: a line larger than this raises LineTooLarge."""
        self._buffer = bytearray()
        self._scanned = 0
        self._limit = limit_bytes

    def feed(self, data: bytes) -> list[bytes]:
        """Every line that `data` completes."""
        # Nearly always a network read is exactly one line.
        if not self._buffer and data.find(b"\n") == len(data) - 1:
            return self._kept([data[:-1]])
        buffer = self._buffer
        buffer += data
        end = buffer.rfind(b"\n", self._scanned)
        if end < 0:
            self._scanned = len(buffer)
            if self._scanned > self._limit + 1:  # The CR of a CRLF may already be here.
                raise self._overflow()
            return []
        lines = bytes(buffer[:end]).split(b"\n")
        del buffer[: end + 1]
        self._scanned = len(buffer)
        kept = self._kept(lines)
        if self._scanned > self._limit + 1:
            raise self._overflow(kept)
        return kept

    def _overflow(self, found: Sequence[bytes] = ()) -> LineTooLarge:
        """Nothing of the rest is of use: whoever holds the error, and this with it, holds no more than that."""
        self._buffer.clear()
        self._scanned = 0
        return LineTooLarge(found)

    def end(self) -> list[bytes]:
        """The last line, where the stream ended without a newline behind it."""
        last = bytes(self._buffer)
        self._buffer.clear()
        self._scanned = 0
        return self._kept([last])

    def _kept(self, lines: list[bytes]) -> list[bytes]:
        bare = [line.removesuffix(b"\r") for line in lines]
        kept = [line for line in bare if line.strip()]
        for at, line in enumerate(bare):
            if len(line) > self._limit:
                raise LineTooLarge([line for line in bare[:at] if line.strip()])
        return kept
