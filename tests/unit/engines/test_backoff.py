from __future__ import annotations

from farmgate.engines.backoff import Backoff, Pause, after_crash

BACKOFF = Backoff(first_s=0.5, cap_s=60.0, healthy_s=30.0)


def test_each_crash_in_a_row_waits_twice_as_long_up_to_the_cap() -> None:
    waits = [after_crash(before, 0.0, BACKOFF).wait_s for before in range(10)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_healthy_while_ends_the_row() -> None:
    assert after_crash(7, 30.0, BACKOFF) == Pause(crashes=1, wait_s=0.5)
    assert after_crash(7, 29.9, BACKOFF) == Pause(crashes=8, wait_s=60.0)


def test_any_number_of_crashes_has_a_wait() -> None:
    assert after_crash(10**9, 0.0, BACKOFF).wait_s == 60.0
