"""The headers that tell of an answer: who gave it and after what, or why there is none and when to come back."""

from __future__ import annotations

import re
import time
from functools import lru_cache

from farmgate.core.errors import FarmError, MethodNotAllowed
from farmgate.core.reply import Reply

__all__ = ["answered_by", "error_headers", "served_by"]

HEADER_VALUE = re.compile(r"[\x20-\x7e]{1,256}")


@lru_cache(maxsize=1024)
def answered_by(
    provider: str, model: str, dropped: tuple[str, ...] = (), attempts: int = 1, fallback: str = ""
) -> tuple[tuple[bytes, bytes], ...]:
    """Headers that tell who answers, after how many calls and instead of whom, and what they could not be told; what
    cannot stand in a header is left out."""
    told = [(b"x-farmgate-provider", provider), (b"x-farmgate-model", model)]
    told.append((b"x-farmgate-attempts", str(attempts)))
    if fallback:
        told.append((b"x-farmgate-fallback", fallback))
    if dropped:
        told.append((b"x-farmgate-dropped", ", ".join(dropped)))
    return tuple((name, value.encode()) for name, value in told if HEADER_VALUE.fullmatch(value))


def served_by(reply: Reply, started: float) -> tuple[tuple[bytes, bytes], ...]:
    """The headers of a reply. `started`: when its request was here, on the monotonic clock.

    The overhead is what the gate itself has taken until now; for a stream that is until its first content. What no
    provider gave has no headers.
    """
    if not reply.provider:
        return ()
    overhead_ms = (time.monotonic() - started - reply.waited_s) * 1000
    told = answered_by(reply.provider, reply.model, reply.dropped, reply.attempts, reply.fallback)
    return (*told, (b"x-farmgate-overhead-ms", b"%.2f" % overhead_ms))


def error_headers(error: FarmError) -> tuple[tuple[bytes, bytes], ...]:
    """When to come back, whether to try again at all, and which methods there are."""
    headers: list[tuple[bytes, bytes]] = []
    if error.retry_after_s is not None:
        whole_s = max(1, round(error.retry_after_s))
        headers.append((b"retry-after", str(whole_s).encode()))
        headers.append((b"retry-after-ms", str(round(error.retry_after_s * 1000)).encode()))
    if error.attempts:
        headers.append((b"x-farmgate-attempts", str(error.attempts).encode()))
    if error.should_retry is False:
        # The SDKs of OpenAI and Anthropic heed it: without it each of their retries becomes as many calls as ours.
        headers.append((b"x-should-retry", b"false"))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", error.allow.encode()))
    if error.status in (408, 413, 431):
        # What is left of the body was not read: the connection cannot carry another request.
        headers.append((b"connection", b"close"))
    return tuple(headers)
