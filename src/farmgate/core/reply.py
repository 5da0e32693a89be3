"""What is answered: a Reply is a stream of Events.

An answer that came whole is one Event, its bytes untouched. A Reply ends in None only if the answer is complete;
anything else is raised. Whoever holds a Reply closes it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

from farmgate.core.errors import UpstreamStreamTruncated
from farmgate.core.event import Event, Finish, Part, Ranked, Vector

__all__ = ["Close", "Emit", "Ended", "Next", "Pour", "Reply"]

Emit: TypeAlias = Callable[[Event], Awaitable[None] | None]
"""Takes an event; may give something to wait for before it takes the next."""
Pour: TypeAlias = Callable[[Emit], Awaitable[None]]
Next: TypeAlias = Callable[[], Awaitable[Event | None]]
Close: TypeAlias = Callable[[], None]
Ended: TypeAlias = Callable[[BaseException | None], None]


async def nothing() -> Event | None:
    """No more events."""
    return None


class Reply:
    """The answer of one target, event by event.

    `provider` and `model` are the ones that answer; `dropped` names what they could not be told. Taps see every event
    on its way; they must be quick and must not raise. `close()` is idempotent, frees the upstream at once and runs what
    `when_closed` was given.
    """

    __slots__ = (
        "_close",
        "_closers",
        "_held",
        "_next",
        "_pour",
        "_taps",
        "attempts",
        "content_type",
        "dropped",
        "event",
        "failure",
        "fallback",
        "is_closed",
        "model",
        "provider",
        "streams",
        "waited_s",
    )

    def __init__(
        self,
        next_event: Next,
        *,
        provider: str,
        model: str,
        close: Close | None = None,
        pour: Pour | None = None,
        streams: bool = True,
    ) -> None:
        """`next_event` gives the next event, None after the last; it raises a FarmError when the answer breaks.

        `pour` does what calling `next_event` to the end does, emitting each event as soon as it arrives. `streams`:
        the bytes of its events are frames of a stream, not one whole body.
        """
        self._next = next_event
        self._close = close
        self._pour = pour
        self._taps: list[Callable[[Event], None]] = []
        self._closers: list[Ended] = []
        self._held: deque[Event] = deque()
        self.provider = provider
        self.model = model
        self.streams = streams
        self.event: Event | None = None
        """The whole answer, until it is read."""
        self.dropped: tuple[str, ...] = ()
        self.attempts = 1
        """How often a provider was asked until this came."""
        self.fallback = ""
        """What was wanted first, `provider/model`, where another answers; else empty."""
        self.waited_s = 0.0
        """How long providers took until it said something, all calls together, and the rests between them."""
        self.content_type = "application/json"
        """Of a whole answer's bytes."""
        self.is_closed = False
        self.failure: BaseException | None = None

    @classmethod
    def whole(cls, event: Event, *, provider: str, model: str) -> Reply:
        """An answer that is already there."""
        reply = cls(nothing, provider=provider, model=model, streams=False)
        reply.event = event
        return reply

    @classmethod
    def of(cls, events: list[Event], *, provider: str, model: str) -> Reply:
        """An answer made of these events."""
        left = deque(events)

        async def following() -> Event | None:
            return left.popleft() if left else None

        return cls(following, provider=provider, model=model)

    @classmethod
    def stream(cls, parts: AsyncIterator[Part], *, provider: str, model: str) -> Reply:
        """An answer from an async generator of parts. One that ends without a Finish was cut off."""
        finished = False

        async def following() -> Event | None:
            nonlocal finished
            async for part in parts:
                finished = finished or isinstance(part, Finish | Vector | Ranked)
                return Event((part,))
            if not finished:
                raise UpstreamStreamTruncated
            return None

        return cls(following, provider=provider, model=model)

    async def next(self) -> Event | None:
        """The next event, or None after the last of a complete answer. Raises FarmError when it breaks."""
        if self.event is not None:
            whole, self.event = self.event, None
            return whole
        if self._held:
            return self._held.popleft()
        try:
            event = await self._next()
        except BaseException as error:
            self.failure = error
            raise
        if event is None:
            # Whoever looked ahead to the end may ask again: the provider is not.
            self._next, self._pour = nothing, None
            return None
        for tap in self._taps:
            tap(event)
        return event

    async def pour(self, emit: Emit) -> None:
        """Give every event to `emit` as it comes. Raises as `next` does, or what `emit` raises."""
        while self._held or self.event is not None or self._pour is None:
            event = await self.next()
            if event is None:
                return
            wait = emit(event)
            if wait is not None:
                await wait
        taps = tuple(self._taps)

        def see(event: Event) -> Awaitable[None] | None:
            for tap in taps:
                tap(event)
            return emit(event)

        try:
            await self._pour(see)
        except BaseException as error:
            self.failure = error
            raise

    def __aiter__(self) -> Reply:
        return self

    async def __anext__(self) -> Event:
        event = await self.next()
        if event is None:
            raise StopAsyncIteration
        return event

    def hold(self, events: list[Event]) -> None:
        """Give back events that were read to look ahead. Taps have seen them already."""
        self._held.extendleft(reversed(events))

    def tap(self, see: Callable[[Event], None]) -> None:
        """Show `see` every event from here on; one that is already there at once."""
        self._taps.append(see)
        if self.event is not None:
            see(self.event)

    def when_closed(self, do: Ended) -> None:
        """Call `do` once, with what broke the answer or None."""
        self._closers.append(do)

    def close(self, failure: BaseException | None = None) -> None:
        """Free the upstream. `failure` says why the answer was given up, where the reply does not know itself."""
        if self.is_closed:
            return
        self.is_closed = True
        if self.failure is None:
            self.failure = failure
        try:
            if self._close is not None:
                self._close()
        finally:
            for do in self._closers:
                do(self.failure)

    def __enter__(self) -> Reply:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.close(error)

    async def __aenter__(self) -> Reply:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.close(error)
