"""When a provider wants to be asked again, in every way its headers may say so.

Sources: RFC 9110, 10.2.3; https://platform.openai.com/docs/guides/rate-limits (`6m0s`, `20ms`);
https://docs.anthropic.com/en/api/rate-limits (times in RFC 3339).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["LONGEST_S", "retry_after_s"]

LONGEST_S = 300.0
NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d{1,3})?", re.ASCII)
SPAN = re.compile(
    r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,6}(?:\.\d{1,9})?)s)?(?:(\d{1,9}(?:\.\d{1,9})?)ms)?"
)
UNITS_S = (86_400.0, 3600.0, 60.0, 1.0, 0.001)
MOST_TEXT = 64
LIMITS = (
    (b"x-ratelimit-remaining-requests", b"x-ratelimit-reset-requests"),
    (b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens"),
    (b"anthropic-ratelimit-requests-remaining", b"anthropic-ratelimit-requests-reset"),
    (b"anthropic-ratelimit-tokens-remaining", b"anthropic-ratelimit-tokens-reset"),
    (b"anthropic-ratelimit-input-tokens-remaining", b"anthropic-ratelimit-input-tokens-reset"),
    (b"anthropic-ratelimit-output-tokens-remaining", b"anthropic-ratelimit-output-tokens-reset"),
)


def retry_after_s(status: int, header: Callable[[bytes], str], *, now_unix: float) -> float | None:
    """Seconds from now, 0 to 300; None where nothing that can be understood is said.

    `header`: a header's value by its name in lower case, empty where there is none. The reset of a rate limit counts
    only in a 429 that says nothing plainer, and only of a limit that is used up.
    """
    wait_s = milliseconds(header(b"retry-after-ms"))
    if wait_s is None:
        wait_s = moment(header(b"retry-after"), now_unix)
    if wait_s is None and status == 429:
        resets = (
            moment(header(reset), now_unix) for remaining, reset in LIMITS if header(remaining) in ("", "0", "0.0")
        )
        wait_s = max((reset for reset in resets if reset is not None), default=None)
    return None if wait_s is None else min(max(wait_s, 0.0), LONGEST_S)


def milliseconds(text: str) -> float | None:
    return float(text) / 1000 if NUMBER.fullmatch(text) else None


def moment(text: str, now_unix: float) -> float | None:
    """Seconds from now: a number of them, a span such as `6m0s`, or a date in either of two forms."""
    text = text.strip()
    if NUMBER.fullmatch(text):
        return float(text)
    if not text or len(text) > MOST_TEXT:
        return None
    span = SPAN.fullmatch(text)
    if span is not None:
        return sum(float(part) * unit for part, unit in zip(span.groups(), UNITS_S, strict=True) if part)
    told = date(text)
    return None if told is None else told.timestamp() - now_unix


def date(text: str) -> datetime | None:
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            told = read(text)
        except (ValueError, TypeError, OverflowError):
            continue
        return told if told.tzinfo is not None else told.replace(tzinfo=UTC)
    return None
