"""A provider of the matrix: its configuration, recordings with what they say, and where a request's facts belong."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from tests.fakes.recordings import recorded_events, recording
from tests.fakes.upstream import Asked, chunked, whole
from tests.matrix.facts import Fact, Told
from tests.matrix.surface import Json
from tests.matrix.walking import Places, lost_facts

__all__ = ["EVENT_STREAM", "Provider", "Recording"]

EVENT_STREAM = "application/vnd.amazon.eventstream"
JSON = "application/json"
SSE = "text/event-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A file under tests/recordings, and what it says.

    `error`: words of the provider's that its caller must see; `heard_status`: the status they have there, where the
    provider wraps it in one of its own.
    """

    file: str
    told: Told = field(default_factory=Told)
    error: str = ""
    status: int = 200
    heard_status: int = 0
    kind: str = ""

    @property
    def streams(self) -> bool:
        return not self.file.endswith(".json")

    @property
    def content_type(self) -> str:
        return self.kind or (SSE if self.file.endswith(".sse") else JSON)

    def pieces(self) -> list[bytes]:
        """What goes over the wire."""
        if self.kind == EVENT_STREAM:
            return recorded_events(self.file)
        return [recording(self.file)]

    def bytes_sent(self) -> bytes:
        return b"".join(self.pieces())

    def answer(self) -> bytes:
        """The HTTP answer that holds it. A 429 says when to come back."""
        headers = f"content-type: {self.content_type}\r\n"
        if 429 in (self.status, self.heard_status):
            headers += "retry-after: 7\r\n"
        if self.streams and self.status == 200:
            return chunked(self.pieces(), headers=headers.encode())
        return whole(self.bytes_sent(), status=self.status, headers=headers.encode())

    def cut(self, at: int, *, in_order: bool) -> bytes:
        """The same, cut off behind so many bytes; `in_order`: the HTTP body ends as if nothing were wrong."""
        headers = f"content-type: {self.content_type}\r\n".encode()
        pieces = [self.bytes_sent()[:at]] if at else []
        return chunked(pieces, headers=headers, end=b"0\r\n\r\n" if in_order else b"")


@dataclass(frozen=True, kw_only=True)
class Provider:
    """One provider. `whole_at`: what a stream says last before it counts as whole.

    `looked_up`: recordings of what is asked of it beside the request, by path. `implied`: facts its dialect has no
    field for, because order says them. `natively`: what it is to a surface whose dialect it has too. `form`: which
    version of its dialect is written.
    """

    name: str
    title: str
    dialect: str
    model: str
    recordings: Mapping[str, Recording]
    places: Places = field(default_factory=dict)
    entry: Json = field(default_factory=dict)
    suffix: str = ""
    whole_at: bytes = b""
    has_wire: bool = True
    looked_up: Mapping[str, str] = field(default_factory=dict)
    implied: frozenset[Fact] = frozenset()
    natively: Mapping[str, Provider] = field(default_factory=dict)
    form: str = ""
    note: str = ""

    def facing(self, surface: str) -> Provider:
        """What it is to that surface."""
        return self.natively.get(surface, self)

    def recording(self, name: str) -> Recording | None:
        """What answers a probe; None where nothing is recorded for it."""
        if name == "chosen" and name not in self.recordings:
            name = "tools"
        return self.recordings.get(name)

    def lost(self, asked: Asked, facts: Collection[Fact]) -> list[Fact]:
        """The facts that did not reach the provider."""
        return lost_facts(json.loads(asked.body), frozenset(facts) - self.implied, self.places)

    def cuts(self, recording: Recording) -> Iterable[int]:
        """Where a stream is cut: behind nothing, within and between its frames, and just before it would be whole."""
        sent = recording.bytes_sent()
        end = sent.rindex(self.whole_at)
        edges = [len(b"".join(recording.pieces()[:number])) for number in range(len(recording.pieces()))]
        edges += [at + 2 for at in range(end) if sent.startswith(b"\n\n", at)]
        inside = [at for at in edges if 0 < at < end]
        return sorted({0, 1, end // 5, end // 2, end * 4 // 5, end, *inside[:: max(1, len(inside) // 3)]})
