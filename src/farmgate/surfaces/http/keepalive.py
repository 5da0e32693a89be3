"""A stream whose first content is long in coming is kept open: what stands between us and the caller ends silent
connections, usually after a minute."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from farmgate.surfaces.http.door import Send

__all__ = ["KeepAlive"]

COMMENT = b": keep-alive\n\n"


class KeepAlive:
    """After a while begins the answer, and sends a comment every so often until the answer is here.

    From then on its status is 200: what goes wrong is told in the stream.
    """

    __slots__ = ("_begin", "_every_s", "_loop", "_send", "_task", "_timer")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, send: Send, begin: Callable[[], Awaitable[None]], every_s: float
    ) -> None:
        """`begin` sends the head."""
        self._loop = loop
        self._send = send
        self._begin = begin
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None
        self._timer = loop.call_later(every_s, self._start)

    def cancel(self) -> None:
        """Nothing more is sent."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    async def end(self) -> None:
        """Nothing more is sent, and nothing is being sent."""
        self.cancel()
        if self._task is not None:
            await asyncio.wait([self._task])

    def _start(self) -> None:
        self._task = self._loop.create_task(self._keep())

    async def _keep(self) -> None:
        await self._begin()
        while True:
            await self._send({"type": "http.response.body", "body": COMMENT, "more_body": True})
            await asyncio.sleep(self._every_s)
