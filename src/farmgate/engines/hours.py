"""Hours at which a model is kept loaded, as `08:00-18:00` or `Mon-Fri 08:00-18:00`, by this machine's own clock."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

__all__ = ["Hours", "NotHours", "local_time", "parse_hours"]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FORM = re.compile(r"(?:([a-z]{3})(?:-([a-z]{3}))?\s+)?(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})", re.IGNORECASE)
DAY_MINUTES = 24 * 60


class NotHours(ValueError):
    """The text is no hours; it says what they look like."""


@dataclass(frozen=True, slots=True)
class Hours:
    """`days` from 0, Monday, on which it begins; minutes of the day. An end that is not after the beginning is on the
    next day."""

    days: frozenset[int]
    begin: int
    end: int

    def hold(self, now: datetime) -> bool:
        """Whether it is within them."""
        minute = now.hour * 60 + now.minute
        if self.begin < self.end:
            return now.weekday() in self.days and self.begin <= minute < self.end
        yesterday = (now - timedelta(days=1)).weekday()
        return (now.weekday() in self.days and minute >= self.begin) or (yesterday in self.days and minute < self.end)


def parse_hours(text: str) -> Hours:
    """Raises NotHours."""
    found = FORM.fullmatch(text.strip())
    if found is None:
        raise NotHours(f"{text!r} must be hours such as 08:00-18:00 or Mon-Fri 08:00-18:00")
    first, last = (found[1] or "mon").lower(), (found[2] or found[1] or "sun").lower()
    begin, end = int(found[3]) * 60 + int(found[4]), int(found[5]) * 60 + int(found[6])
    if first not in DAYS or last not in DAYS:
        raise NotHours(f"{text!r} must name days as Mon, Tue, Wed, Thu, Fri, Sat, Sun")
    if int(found[4]) > 59 or int(found[6]) > 59 or begin >= DAY_MINUTES or end > DAY_MINUTES:
        raise NotHours(f"{text!r} must have times of a day, from 00:00 to 24:00")
    at, until = DAYS.index(first), DAYS.index(last)
    days = frozenset(day % 7 for day in range(at, until + 1 if at <= until else until + 8))
    return Hours(days, begin, end)


def local_time() -> datetime:
    return datetime.now()  # noqa: DTZ005 - the machine's own clock is what they are meant by
