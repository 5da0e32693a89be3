"""Google's whole answers."""

from __future__ import annotations

from farmgate.core.errors import UpstreamInvalidResponse
from farmgate.core.event import Event, Finish
from farmgate.wire.gemini.reading import Reading

__all__ = ["decode_whole"]


def decode_whole(body: bytes, *, provider: str, model: str = "", request_id: str = "") -> Event:
    """A provider's 200 answer. Raises UpstreamInvalidResponse for anything that is not one, or the error in it."""
    reading = Reading(provider=provider, model=model, request_id=request_id)
    parts = reading.read(body)
    if not reading.seen:
        raise UpstreamInvalidResponse(f"{provider} answered without an answer in it.")
    # What came whole has ended, whether or not it says so.
    parts += [Finish(choice=choice) for choice in sorted(reading.seen - reading.finished)]
    if reading.usage is not None:
        parts.append(reading.usage)
    return Event(tuple(parts))
