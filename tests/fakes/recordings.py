"""Answers of providers, kept as files under tests/recordings, and requests to ask for them with."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.fakes.eventstream import event, exception, stream_error
from tests.fakes.upstream import CHUNKED, END, EVENTS, OK, chunk, whole

from farmgate.core.identity import ANONYMOUS
from farmgate.core.request import Body, Kind, Request, Typed
from farmgate.core.words import Ask

__all__ = ["ID", "answered", "recorded_events", "recorded_lines", "recording", "request_for", "streamed"]

RECORDINGS = Path(__file__).parents[1] / "recordings"
ID = "0197a3b2c4d57e8f9a0b1c2d3e4f5061"


def recording(name: str) -> bytes:
    """`gemini/text.json`, byte for byte."""
    return (RECORDINGS / name).read_bytes()


def recorded_lines(name: str) -> list[dict[str, Any]]:
    """The lines of a recording that is no bytes of a wire but says what is in them."""
    return [json.loads(line) for line in (RECORDINGS / name).read_text().splitlines() if line]


def recorded_events(name: str) -> list[bytes]:
    """The messages of an AWS event stream. A line is one message: `{"event": ..., "payload": ...}`, with `exception` or
    `error` instead of `event` where the service sends those; a payload that is text goes out as it stands."""
    return [message_of(line) for line in recorded_lines(name)]


def message_of(line: dict[str, Any]) -> bytes:
    payload = line.get("payload", {})
    data = payload.encode() if isinstance(payload, str) else json.dumps(payload, separators=(",", ":")).encode()
    if "exception" in line:
        return exception(line["exception"], data)
    if "error" in line:
        return stream_error(line["error"], line.get("message", ""))
    return event(
        line["event"], data, kind="application/octet-stream" if isinstance(payload, str) else "application/json"
    )


def answered(name: str, *, status: int = 200, headers: bytes = b"") -> bytes:
    """A recording as a whole answer."""
    return whole(recording(name), status=status, headers=b"content-type: application/json; charset=UTF-8\r\n" + headers)


def streamed(name: str) -> bytes:
    """A recording as a stream."""
    return OK + EVENTS + CHUNKED + b"\r\n" + chunk(recording(name)) + END


def request_for(
    words: Ask | Body, *, kind: Kind = Kind.CHAT, model: str = "m", stream: bool = False, usage: bool = True
) -> Request:
    """What a surface would send on. Made inside a running event loop."""
    return Request(
        id=ID,
        kind=kind,
        body=Typed(words) if isinstance(words, Ask) else words,
        principal=ANONYMOUS,
        deadline=asyncio.get_running_loop().time() + 60.0,
        started=0.0,
        model=model,
        stream=stream,
        want_usage=usage,
    )
