"""A provider of three dialects that cuts its answer where the question tells it to."""

from __future__ import annotations

import asyncio
import random
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tests.cuts.streams import STREAMS

__all__ = ["Cut", "How", "Upstream"]


class How(StrEnum):
    """What becomes of the connection where the answer is cut."""

    CLEAN = "clean end of the chunks"
    FIN = "FIN within the chunks"
    RST = "RST within the chunks"
    LENGTH = "FIN before the Content-Length"
    CLOSE = "FIN of an unframed body"


@dataclass(frozen=True)
class Cut:
    """One question: asked in `surface`, answered in `provider`'s dialect up to the byte `at`, in pieces of `seed`."""

    number: int
    surface: str
    provider: str
    how: How
    at: int
    seed: int

    @property
    def has_all(self) -> bool:
        """Whether the cut loses nothing."""
        return self.at >= STREAMS[self.provider].whole_at

    @property
    def must_be_whole(self) -> bool:
        """Whether neither the dialect nor HTTP says that anything is missing."""
        return self.has_all and self.how in (How.CLEAN, How.CLOSE)


PATHS = {b"/v1/chat/completions": "openai", b"/v1/messages": "anthropic", b"/api/chat": "ollama"}
CUT = re.compile(rb"cut:(\d+)")
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Upstream:
    """Knows the cuts by their numbers; `asked` counts how often it was asked for each."""

    def __init__(self, cuts: Mapping[int, Cut]) -> None:
        self._cuts = cuts
        self.asked: dict[int, int] = {}
        self.port = 0

    async def __aenter__(self) -> Upstream:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection may carry another exchange."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(head)
        body = await reader.readexactly(int(length[1])) if length else b""
        dialect, number = PATHS.get(head.split(b" ")[1]), CUT.search(body)
        if dialect is None or number is None:
            writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
            return True
        cut = self._cuts[int(number[1])]
        assert cut.provider == dialect
        self.asked[cut.number] = self.asked.get(cut.number, 0) + 1
        return await self._send(writer, cut)

    async def _send(self, writer: asyncio.StreamWriter, cut: Cut) -> bool:
        stream = STREAMS[cut.provider]
        chunked = cut.how in (How.CLEAN, How.FIN, How.RST)
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {stream.kind}\r\n{framing(cut)}\r\n\r\n".encode())
        chance = random.Random(cut.seed)
        places = sorted(chance.randrange(cut.at + 1) for _ in range(chance.choice((0, 1, 3, 12))))
        for begin, end in zip([0, *places], [*places, cut.at], strict=True):
            piece = stream.body[begin:end]
            if not piece:
                continue
            breaks_off = end == cut.at and cut.how in (How.FIN, How.RST) and chance.random() < 0.5
            writer.write(chunk(piece, breaks_off=breaks_off) if chunked else piece)
            await writer.drain()
            await asyncio.sleep(0)
        if cut.how is How.CLEAN:
            writer.write(b"0\r\n\r\n")
        if cut.how is How.RST:
            await flushed(writer, chance)
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        return cut.how is How.CLEAN


def chunk(piece: bytes, *, breaks_off: bool) -> bytes:
    """One that breaks off has promised more than it holds."""
    return b"%x\r\n%b" % (len(piece) + 7, piece) if breaks_off else b"%x\r\n%b\r\n" % (len(piece), piece)


async def flushed(writer: asyncio.StreamWriter, chance: random.Random) -> None:
    """Let the other side read some of what an RST may throw away."""
    for _ in range(chance.randrange(4)):
        await asyncio.sleep(0)


def framing(cut: Cut) -> str:
    match cut.how:
        case How.LENGTH:
            return f"content-length: {len(STREAMS[cut.provider].body)}"
        case How.CLOSE:
            return "connection: close"
    return "transfer-encoding: chunked"
