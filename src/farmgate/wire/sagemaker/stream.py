"""InvokeEndpointWithResponseStream: the container's own stream, cut anywhere into parts of AWS's event stream."""

from __future__ import annotations

from typing import Protocol

from farmgate.core.errors import FarmError
from farmgate.core.event import Event
from farmgate.wire.eventstream import Message, Splitter
from farmgate.wire.sagemaker.errors import decode_exception
from farmgate.wire.upstream import messages_of

__all__ = ["Inner", "StreamReader"]


class Inner(Protocol):
    """Reads the container's stream; it decides when the answer is whole."""

    is_done: bool

    def feed(self, data: bytes) -> Event | None: ...

    def end(self) -> Event | None: ...


class StreamReader:
    """Takes AWS's framing off and gives what is in it to `inner`."""

    __slots__ = ("_inner", "_provider", "_splitter", "failure", "is_done")

    def __init__(self, inner: Inner, *, provider: str, frame_bytes: int = 8 << 20) -> None:
        self._inner = inner
        self._provider = provider
        self._splitter = Splitter(frame_bytes)
        self.is_done = False
        self.failure: FarmError | None = None
        """What broke the stream behind pieces that are still to be relayed; `end` raises it."""

    def feed(self, data: bytes) -> Event | None:
        """What `data` completes, in one event. Raises FarmError for an exception in the stream or nonsense."""
        payload = b"".join(self._payloads(data))
        event = self._inner.feed(payload) if payload and not self._inner.is_done else None
        if self._inner.is_done:
            self.failure = None  # The answer is whole, whatever is said behind it.
        elif event is None and self.failure is not None:
            raise self.failure
        self.is_done = self._inner.is_done or self.failure is not None
        return event

    def end(self) -> Event | None:
        """The stream ended. Raises what broke it, or what `inner` raises for an answer that is not whole."""
        if self.failure is not None:
            raise self.failure
        return self._inner.end()

    def _payloads(self, data: bytes) -> list[bytes]:
        payloads: list[bytes] = []
        try:
            for message in messages_of(self._splitter, data, self, provider=self._provider):
                payloads += self._payload(message)
        except FarmError as error:
            self.failure = error
        return payloads

    def _payload(self, message: Message) -> list[bytes]:
        """A part of the container's stream; nothing for what is none. Raises an exception that the service sent."""
        headers = message.headers
        if headers.get(":message-type") == "event":
            return [message.payload] if headers.get(":event-type") == "PayloadPart" else []
        name = headers.get(":exception-type") or headers.get(":error-code") or "no name"
        raise decode_exception(name, message.payload, provider=self._provider)
