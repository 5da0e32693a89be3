"""Google's streams (`alt=sse`): bytes from the provider in any cut, our words out.

There is no mark at their end: an answer is whole when every candidate that was asked for has a finish reason.
"""

from __future__ import annotations

from farmgate.core.errors import FarmError
from farmgate.core.event import Event, Part
from farmgate.wire.gemini.reading import Reading
from farmgate.wire.sse import Splitter
from farmgate.wire.upstream import frames_of, prove_end, said_in

__all__ = ["StreamReader"]


class StreamReader:
    """Reads one stream of a provider, and whether the answer came to its end."""

    __slots__ = ("_choices", "_has_told_usage", "_provider", "_reading", "_splitter", "failure", "is_done")

    def __init__(
        self, *, provider: str, model: str = "", request_id: str = "", choices: int = 1, frame_bytes: int = 8 << 20
    ) -> None:
        """`choices`: how many answers were asked for."""
        self._splitter = Splitter(frame_bytes, joint=b" ")
        self._reading = Reading(provider=provider, model=model, request_id=request_id)
        self._provider = provider
        self._choices = choices
        self._has_told_usage = False
        self.is_done = False
        self.failure: FarmError | None = None
        """What broke the stream behind words that are still to be passed on; `end` raises it."""

    def feed(self, data: bytes) -> Event | None:
        """What `data` completes, in one event; None if nothing. Raises FarmError for an error in it or nonsense."""
        return said_in(frames_of(self._splitter, data, self, provider=self._provider), self._parts, self)

    def end(self) -> Event | None:
        """The stream ended. The usage, if it was not told yet; raises what broke it, or UpstreamStreamTruncated."""
        prove_end(self, is_whole=self._has_ended(), provider=self._provider)
        parts = self._usage()
        return Event(tuple(parts)) if parts else None

    def _parts(self, payload: bytes) -> list[Part]:
        parts = self._reading.read(payload)
        # The piece that ends the last answer tells what all of it cost.
        if self._reading.usage is not None and self._has_ended():
            self.is_done = True
            parts += self._usage()
        return parts

    def _has_ended(self) -> bool:
        return self._reading.is_blocked or len(self._reading.finished) >= self._choices

    def _usage(self) -> list[Part]:
        if self._has_told_usage or self._reading.usage is None:
            return []
        self._has_told_usage = True
        return [self._reading.usage]
