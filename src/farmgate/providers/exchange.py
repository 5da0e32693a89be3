"""One exchange with a provider: a body out, and a whole answer or a stream back, read by the codec of its dialect."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from farmgate.core.errors import FarmError, UpstreamError, UpstreamInvalidResponse
from farmgate.core.event import Event
from farmgate.core.reply import Emit, Reply
from farmgate.core.request import Request
from farmgate.providers.settings import ProviderSettings
from farmgate.providers.transport import Answer, Upstream
from farmgate.wire.losses import Outgoing
from farmgate.wire.retry_after import retry_after_s

__all__ = ["ProviderCodec", "Reader", "ask", "refusal"]

ERROR_BYTES = 1 << 20
MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,64}/[a-z0-9!#$&^_.+-]{1,64}(;[ -~]{0,128})?")


class Reader(Protocol):
    """Reads one stream of a provider: bytes in any cut, events out, and whether the answer came to its end."""

    @property
    def is_done(self) -> bool:
        """The answer is over: whatever still comes says nothing."""

    def feed(self, data: bytes) -> Event | None:
        """What `data` completes, in one event. Raises FarmError for an error in the stream or nonsense."""

    def end(self) -> Event | None:
        """The stream ended. What its last bytes said; raises UpstreamStreamTruncated unless the answer is whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCodec:
    """How a provider's answers are read. `error` takes a status other than 200 and its body.

    The types are what a content type must start with.
    """

    error: Callable[[int, bytes], FarmError]
    whole: Callable[[bytes], Event]
    reader: Callable[[], Reader]
    stream_type: str | tuple[str, ...] = "text/event-stream"
    whole_type: str | tuple[str, ...] = "application/json"


async def ask(
    upstream: Upstream,
    path: str,
    outgoing: Outgoing,
    *,
    request: Request,
    settings: ProviderSettings,
    codec: ProviderCodec,
    headers: bytes = b"",
) -> Reply:
    """Ask, and give what is answered. The Reply's close frees or ends the connection. Raises FarmError.

    A provider may answer whole where a stream was asked for; one that streams unasked does not make sense.
    """
    answer = await upstream.send(
        "POST",
        path,
        body=outgoing.body,
        content_type=outgoing.content_type,
        headers=headers,
        deadline=request.deadline,
    )
    try:
        if answer.status != 200:
            raise await refusal(answer, codec.error)
        kind = answer.header(b"content-type").lower()
        if answer.header(b"content-encoding") not in ("", "identity"):
            raise UpstreamInvalidResponse(f"{settings.name} compressed its answer, which it was asked not to.")
        if request.stream and kind.startswith(codec.stream_type):
            reply = stream(answer, codec.reader(), request=request, provider=settings.name)
        elif kind.startswith(codec.whole_type):
            event = codec.whole(await answer.whole(settings.answer_bytes))
            answer.close()
            reply = Reply.whole(event, provider=settings.name, model=request.model or "")
        else:
            raise UpstreamInvalidResponse(f"{settings.name} answered with {kind[:80] or 'no content type'}.")
    except BaseException:
        answer.close()
        raise
    reply.dropped = outgoing.dropped
    if not kind.startswith("application/json"):
        reply.content_type = kind if MEDIA_TYPE.fullmatch(kind) else "application/octet-stream"
    return reply


async def refusal(answer: Answer, decode_error: Callable[[int, bytes], FarmError]) -> FarmError:
    """What an answer other than 200 means."""
    try:
        body = await answer.whole(ERROR_BYTES)
    except FarmError:
        body = b""
    error = decode_error(answer.status, body)
    wait_s = retry_after_s(answer.status, answer.header, now_unix=time.time())
    if wait_s is not None:
        error.retry_after_s = wait_s
    return error


def stream(answer: Answer, reader: Reader, *, request: Request, provider: str) -> Reply:
    """The events of a stream that has begun."""
    has_ended = False

    async def following() -> Event | None:
        nonlocal has_ended
        while not has_ended:
            data = None if reader.is_done else await answer.read()
            if data is None:
                has_ended = True
                event = reader.end()
                if reader.is_done:
                    await answer.drain()
            else:
                event = reader.feed(data)
            if event is not None:
                return event
        return None

    async def pour(emit: Emit) -> None:
        def sink(data: bytes) -> Awaitable[None] | None:
            event = reader.feed(data)
            if reader.is_done:
                answer.hurry()
            return None if event is None else emit(event)

        try:
            await answer.pour(sink)
        except UpstreamError:
            # An answer that is whole stays so, whatever its connection does afterwards.
            if not reader.is_done:
                raise
        last = reader.end()
        wait = None if last is None else emit(last)
        if wait is not None:
            await wait

    return Reply(following, provider=provider, model=request.model or "", close=answer.close, pour=pour)
