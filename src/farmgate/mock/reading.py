"""HTTP/1.1 requests out of bytes in any cut. Bounded, and no more particular than it must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

__all__ = ["Reader", "Request", "Unreadable"]

MOST_HEAD_BYTES = 256 << 10
MOST_BODY_BYTES = 256 << 20
END = b"\r\n\r\n"


class Unreadable(Exception):
    """The bytes are no request that can be answered; `status` says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. Header names are in lower case; of a name that comes twice the last counts."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Head:
    """A request whose body has not all come. `size` is None where it comes in chunks."""

    method: str
    target: str
    headers: dict[str, str]
    size: int | None


class Reader:
    """Bytes in, requests out, one after the other."""

    __slots__ = ("_body", "_buffer", "_head", "_searched")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: Head | None = None
        self._body = bytearray()
        self._searched = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing of a request has come."""
        return self._head is None and not self._buffer

    @property
    def wants_continue(self) -> bool:
        """Whether a caller waits to be told to send its body."""
        return self._head is not None and self._head.headers.get("expect", "").lower() == "100-continue"

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def take(self) -> Request | None:
        """The next request, if all of it is here. Raises Unreadable."""
        if self._head is None:
            self._head = self._take_head()
        head = self._head
        if head is None or not (self._take_chunks() if head.size is None else self._take_sized(head.size)):
            return None
        self._head, body = None, bytes(self._body)
        self._body.clear()
        try:
            url = urlsplit(head.target)
        except ValueError as error:
            raise Unreadable(400, "The address in the request cannot be read.") from error
        query = {name: values[-1] for name, values in parse_qs(url.query).items()} if url.query else {}
        return Request(method=head.method, path=url.path, query=query, headers=head.headers, body=body)

    def _take_head(self) -> Head | None:
        at = self._buffer.find(END, max(0, self._searched - 3))
        if at < 0:
            self._searched = len(self._buffer)
            if self._searched > MOST_HEAD_BYTES:
                raise Unreadable(431, "The head of the request is too large.")
            return None
        raw = bytes(self._buffer[:at])
        del self._buffer[: at + 4]
        self._searched = 0
        return head_of(raw)

    def _take_sized(self, size: int) -> bool:
        if len(self._buffer) < size:
            return False
        self._body += self._buffer[:size]
        del self._buffer[:size]
        return True

    def _take_chunks(self) -> bool:
        while (end := self._buffer.find(b"\r\n", 0, 1024)) >= 0:
            size = number_of(bytes(self._buffer[:end]).partition(b";")[0], 16)
            if len(self._body) + size > MOST_BODY_BYTES:
                raise Unreadable(413, "The request is too large.")
            if not size:
                # Trailers are lines, until an empty one.
                last = self._buffer.find(END if self._buffer[end + 2 : end + 4] != b"\r\n" else b"\r\n", end + 2)
                if last < 0:
                    return False
                del self._buffer[: last + (4 if self._buffer[last : last + 4] == END else 2)]
                return True
            if len(self._buffer) < end + 2 + size + 2:
                return False
            self._body += self._buffer[end + 2 : end + 2 + size]
            del self._buffer[: end + 2 + size + 2]
        if len(self._buffer) > 1024:
            raise Unreadable(400, "A chunk of the request has no size.")
        return False


def head_of(raw: bytes) -> Head:
    """A head without its last empty line. Raises Unreadable."""
    line, *rest = raw.lstrip(b"\r\n").decode("latin-1").split("\r\n")
    method, _, target = line.partition(" ")
    target, _, version = target.rpartition(" ")
    if not version.startswith("HTTP/1.") or not target:
        raise Unreadable(400, "That is no HTTP/1.1 request.")
    headers = {}
    for one in rest:
        name, found, value = one.partition(":")
        if not found:
            raise Unreadable(400, "A header has no colon.")
        headers[name.strip().lower()] = value.strip()
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return Head(method, target, headers, None)
    size = number_of(headers.get("content-length", "0").encode(), 10)
    if size > MOST_BODY_BYTES:
        raise Unreadable(413, "The request is too large.")
    return Head(method, target, headers, size)


def number_of(text: bytes, base: int) -> int:
    """A length. Raises Unreadable."""
    try:
        number = int(text, base)
    except ValueError:
        number = -1
    if number < 0:
        raise Unreadable(400, "A length in the request is no number.")
    return number
