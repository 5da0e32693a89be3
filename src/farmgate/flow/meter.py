"""What a call used: written to the journal before the provider is asked and when the answer ends, and counted."""

from __future__ import annotations

import asyncio
import time

from farmgate.core.errors import CallGivenUp, ClientGone, FarmError
from farmgate.core.event import Event, Usage
from farmgate.core.ports import Journal, Target
from farmgate.core.reply import Reply
from farmgate.core.request import Kind, Request
from farmgate.core.usage import Call, Outcome
from farmgate.telemetry import Telemetry

__all__ = ["Meter"]

BYTES_PER_TOKEN = 4
WRITTEN = frozenset({Kind.CHAT, Kind.COMPLETION})
COUNTED = WRITTEN | {Kind.EMBEDDING, Kind.RERANK}
"""Kinds whose tokens can be told from bytes where the provider does not: sound and pictures are none."""


class Meter:
    """A Target that keeps account of another."""

    def __init__(self, inner: Target, *, journal: Journal, telemetry: Telemetry) -> None:
        self._inner = inner
        self._journal = journal
        self._telemetry = telemetry

    async def send(self, request: Request) -> Reply:
        running = Running(request, self._journal, self._telemetry)
        try:
            reply = await self._inner.send(request)
        except BaseException as error:
            running.end(error)
            raise
        reply.tap(running.see)
        if reply.event is not None:
            running.weigh(reply.event)
        reply.when_closed(running.end)
        return reply


class Running:
    """One call under way."""

    __slots__ = ("_began", "_call", "_journal", "_last", "_pieces", "_request", "_telemetry", "_usage")

    def __init__(self, request: Request, journal: Journal, telemetry: Telemetry) -> None:
        self._request = request
        self._journal = journal
        self._telemetry = telemetry
        self._usage: Usage | None = None
        self._pieces = 0
        self._call = Call(
            id=request.id,
            asked_id=request.asked_id,
            key_name=request.principal.key_name,
            kind=request.kind,
            provider=request.provider or "",
            model=request.model or "",
            stream=request.stream,
            began_unix=time.time(),
        )
        # Written before sending: a call that hangs or kills us must be on record too.
        journal.began(self._call)
        self._began = self._last = time.monotonic()

    def see(self, event: Event) -> None:
        """Note an event on its way to the caller."""
        if event.usage is not None:
            self._usage = event.usage
        if event.bears_content:
            if not self._pieces:
                self._last = time.monotonic()
                self._call.first_token_ms = (self._last - self._began) * 1000
            self._pieces += 1

    def weigh(self, whole: Event) -> None:
        """Count an answer that came in one piece by its size, in case nobody tells its tokens."""
        self._pieces = max(self._pieces, len(whole.raw) // BYTES_PER_TOKEN)

    def end(self, failure: BaseException | None) -> None:
        """The call is over."""
        call = self._call
        now = time.monotonic()
        call.duration_ms = (now - self._began) * 1000
        call.outcome, call.code = outcome_of(failure)
        if self._usage is None and self._pieces and self._request.kind in COUNTED:
            # A stream brings about a token per piece; what was asked is counted by its size.
            size = len(self._request.body.raw) // BYTES_PER_TOKEN
            told = self._pieces if self._request.kind in WRITTEN else 0
            self._usage = Usage(prompt_tokens=size, completion_tokens=told, estimated=True)
        if self._usage is not None:
            call.prompt_tokens = self._usage.prompt_tokens
            call.completion_tokens = self._usage.completion_tokens
            call.cached_tokens = self._usage.cached_tokens
            call.cache_write_tokens = self._usage.cache_write_tokens
            call.estimated = self._usage.estimated
        self._journal.ended(call)
        overhead_s = self._began - self._request.started
        if failure is None and not call.stream:
            overhead_s += now - self._last
        self._telemetry.ended(call, overhead_s=overhead_s)


def outcome_of(failure: BaseException | None) -> tuple[Outcome, str | None]:
    """How a call ended, and the code of what ended it."""
    match failure:
        case None:
            return Outcome.OK, None
        case CallGivenUp() | asyncio.CancelledError(args=(CallGivenUp(),)):
            return Outcome.CANCELLED, CallGivenUp.code
        case asyncio.CancelledError(args=(FarmError() as reason,)):
            # Given up by us: its time was over, or the gate ends.
            return Outcome.ERROR, reason.code
        case ClientGone() | asyncio.CancelledError() | GeneratorExit():
            return Outcome.CANCELLED, "client_gone"
        case FarmError():
            return Outcome.ERROR, failure.code
        case _:
            return Outcome.ERROR, "internal_error"
