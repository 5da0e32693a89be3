"""The beginning of an answer: nothing goes out before it has said something, so that until then it can be hidden."""

from __future__ import annotations

from farmgate.core.event import Event
from farmgate.core.reply import Reply

__all__ = ["HELD_BYTES", "first_content"]

HELD_BYTES = 64 * 1024
"""Of opening frames. An answer that has more of them goes out as it is."""


async def first_content(reply: Reply) -> None:
    """Wait until an answer has said something or is complete. Closes the reply and raises when it breaks before."""
    if reply.event is not None:
        return
    held: list[Event] = []
    size = 0
    try:
        while True:
            event = await reply.next()
            if event is None:
                break
            held.append(event)
            size += len(event.raw)
            if event.bears_content or size > HELD_BYTES:
                break
    except BaseException as error:
        reply.close(error)
        raise
    reply.hold(held)
