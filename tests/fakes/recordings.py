"""Answers of real providers, kept as files under tests/recordings, and requests to ask for them with."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.fakes.upstream import CHUNKED, END, EVENTS, OK, chunk, whole

from farmgate.core.identity import ANONYMOUS
from farmgate.core.request import Body, Kind, Request, Typed
from farmgate.core.words import Ask

__all__ = ["ID", "answered", "recording", "request_for", "streamed"]

RECORDINGS = Path(__file__).parents[1] / "recordings"
ID = "0197a3b2c4d57e8f9a0b1c2d3e4f5061"


def recording(name: str) -> bytes:
    """`gemini/text.json`."""
    return (RECORDINGS / name).read_bytes()


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
