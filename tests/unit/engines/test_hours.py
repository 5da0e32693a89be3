"""Hours of the day and the week at which a model is kept loaded."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from farmgate.engines.hours import NotHours, parse_hours

MONDAY = datetime(2026, 11, 30)  # noqa: DTZ001 - the machine's own clock


@pytest.mark.parametrize(
    ("text", "day", "hour", "minute", "holds"),
    [
        ("08:00-18:00", 0, 8, 0, True),
        ("08:00-18:00", 6, 17, 59, True),
        ("08:00-18:00", 0, 18, 0, False),
        ("08:00-18:00", 0, 7, 59, False),
        ("Mon-Fri 08:00-18:00", 4, 12, 0, True),
        ("Mon-Fri 08:00-18:00", 5, 12, 0, False),
        ("sat 9:30-10:00", 5, 9, 30, True),
        ("sat 9:30-10:00", 6, 9, 30, False),
        ("Sat-Mon 08:00-09:00", 6, 8, 30, True),
        ("Sat-Mon 08:00-09:00", 0, 8, 30, True),
        ("Sat-Mon 08:00-09:00", 1, 8, 30, False),
        ("08:00-18:59", 0, 18, 58, True),
        ("22:00-06:00", 2, 22, 0, True),
        ("22:00-06:00", 2, 21, 59, False),
        ("22:00-06:00", 2, 23, 0, True),
        ("22:00-06:00", 2, 5, 59, True),
        ("22:00-06:00", 2, 6, 0, False),
        ("Fri 22:00-06:00", 5, 3, 0, True),
        ("Fri 22:00-06:00", 4, 3, 0, False),
        ("00:00-24:00", 3, 23, 59, True),
    ],
)
def test_when_they_hold(text: str, day: int, hour: int, minute: int, holds: bool) -> None:
    now = MONDAY + timedelta(days=day, hours=hour, minutes=minute)
    assert parse_hours(text).hold(now) is holds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8-18",
        "08:00",
        "25:00-26:00",
        "08:60-09:00",
        "08:00-09:60",
        "Foo 08:00-09:00",
        "Mon-Xyz 08:00-09:00",
        "08:00-24:01",
    ],
)
def test_what_is_no_hours_is_told_with_what_they_look_like(text: str) -> None:
    with pytest.raises(NotHours, match="must"):
        parse_hours(text)
