"""A caller that costs little: one connection, raw bytes, no retry; what came back is judged to the letter."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field
from typing import cast

from tests.cuts.hearing import Heard, answer_of, hear
from tests.cuts.rig import Outcome

from farmgate.mock import answer_text

__all__ = ["Asked", "Caller", "Came", "Outcome", "judged"]

IDLE_S = 4.0
"""A connection that was idle for longer is not used again: a server may be closing it."""
LAST_CHUNK = b"\r\n0\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request. `id` is its `x-request-id` and the word that every piece of its answer begins with."""

    id: str
    model: str
    stream: bool
    frames: int

    @property
    def text(self) -> str:
        """The whole, right answer."""
        return answer_text(self.id, self.frames)

    @property
    def body(self) -> bytes:
        asked: dict[str, object] = {
            "model": self.model,
            "messages": [{"role": "user", "content": f"marker={self.id}"}],
        }
        if self.stream:
            asked |= {"stream": True, "stream_options": {"include_usage": True}}
        return json.dumps(asked).encode()

    def request(self) -> bytes:
        """The bytes of it."""
        body = self.body
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            f"x-request-id: {self.id}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@dataclass(slots=True, kw_only=True)
class Came:
    """What came of it. `began` is on the monotonic clock; `first_s` and `took_s` count from there."""

    asked: Asked
    began: float
    outcome: Outcome = Outcome.BROKEN
    why: str = ""
    first_s: float | None = None
    took_s: float = 0.0
    attempts: int = 1


@dataclass(slots=True)
class Hearing(asyncio.Protocol):
    """One connection: gathers an answer until HTTP says that it is over."""

    needle: bytes = b""
    data: bytearray = field(default_factory=bytearray)
    first_at: float | None = None
    size: int | None = None
    """Bytes of an answer whose length was told; 0 for chunks; None while its head has not come."""
    is_open: bool = False
    idle_since: float = 0.0
    over: asyncio.Future[None] | None = None
    transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def ask(self, request: bytes, needle: bytes) -> asyncio.Future[None]:
        """Done when the answer is whole, as HTTP counts it, or the connection is gone."""
        assert self.transport is not None
        self.needle, self.first_at, self.size = needle, None, None
        self.data.clear()
        self.over = asyncio.get_running_loop().create_future()
        if self.is_open:
            self.transport.write(request)
        else:
            self.over.set_result(None)
        return self.over

    def data_received(self, data: bytes) -> None:
        self.data += data
        if self.first_at is None and self.needle in self.data:
            self.first_at = time.monotonic()
        if self.size is None:
            self.size = told_size(self.data)
        is_over = self.data.endswith(LAST_CHUNK) if self.size == 0 else self.size == len(self.data)
        if is_over:
            self._end()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        self._end()

    def _end(self) -> None:
        self.idle_since = time.monotonic()
        if self.over is not None and not self.over.done():
            self.over.set_result(None)

    @property
    def is_fresh(self) -> bool:
        return self.is_open and time.monotonic() - self.idle_since < IDLE_S

    def close(self) -> None:
        self.is_open = False
        if self.transport is not None:
            self.transport.abort()


def told_size(data: bytearray) -> int | None:
    """How long an answer will be, head and body; 0 for chunks, None before the end of its head."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(data[:end]).lower()
    _, found, rest = head.partition(b"\r\ncontent-length:")
    return end + 4 + int(rest.split(b"\r\n")[0]) if found else 0


class Caller:
    """Asks one request after the other, on one connection while it lasts."""

    def __init__(self, port: int, *, patience_s: float = 60.0) -> None:
        self._port = port
        self._patience_s = patience_s
        self._hearing = Hearing()

    async def ask(self, asked: Asked) -> Came:
        """Never raises for what the other side does."""
        came = Came(asked=asked, began=time.monotonic())
        try:
            async with asyncio.timeout(self._patience_s):
                if not self._hearing.is_fresh:
                    await self._connect()
                await self._hearing.ask(asked.request(), f'"{asked.id}-0 '.encode())
        except OSError as error:
            came.why = "hung" if isinstance(error, TimeoutError) else f"{type(error).__name__}"
        except asyncio.CancelledError:
            self.close()
            raise
        else:
            self._note(came)
        came.took_s = time.monotonic() - came.began
        if came.outcome is not Outcome.WHOLE:
            self.close()
        return came

    async def _connect(self) -> None:
        self.close()
        loop = asyncio.get_running_loop()
        _, self._hearing = await loop.create_connection(Hearing, "127.0.0.1", self._port)

    def _note(self, came: Came) -> None:
        hearing = self._hearing
        data = bytes(hearing.data)
        came.outcome, came.why = judged(came.asked, data)
        if hearing.first_at is not None:
            came.first_s = hearing.first_at - came.began
        told = answer_of(data).headers.get(b"x-farmgate-attempts", b"1") if data else b"1"
        came.attempts = int(told)

    def close(self) -> None:
        self._hearing.close()


def judged(asked: Asked, data: bytes) -> tuple[Outcome, str]:
    """What a caller was left with, and why it is called that."""
    try:
        heard = hear("openai", data) if asked.stream else hear_whole(data)
    except (AssertionError, ValueError, KeyError, TypeError, IndexError) as error:
        return Outcome.WRONG, f"{type(error).__name__} {error}: {data[-200:]!r}"
    if heard.status == 0:
        return Outcome.BROKEN, "no answer"
    if heard.status != 200:
        return Outcome.STATUS, f"{heard.status} {heard.error}"
    if not asked.text.startswith(heard.text):
        return Outcome.WRONG, f"said {heard.text[:80]!r}"
    if heard.error is not None:
        return Outcome.ERROR_FRAME, heard.error
    if heard.is_ended and heard.text == asked.text and heard.finish == "stop":
        return (Outcome.WHOLE, "") if heard.is_closed else (Outcome.BROKEN, "behind the end")
    return (Outcome.SILENT, f"ended behind {heard.text[-40:]!r}") if heard.is_closed else (Outcome.BROKEN, "cut")


def hear_whole(data: bytes) -> Heard:
    """An answer that is no stream."""
    received = answer_of(data) if data else None
    if received is None or not received.is_closed:
        return Heard(status=received.status if received else 0)
    heard = Heard(status=received.status, is_closed=True)
    with contextlib.suppress(KeyError):
        told = json.loads(received.body)
        if "error" in told:
            heard.error = told["error"]["code"]
            return heard
        choice = told["choices"][0]
        heard.text, heard.finish, heard.is_ended = choice["message"]["content"], choice["finish_reason"], True
    return heard
