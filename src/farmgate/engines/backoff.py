"""After a crash the next start waits: longer each time, never long, and short again after a healthy while."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Backoff", "Pause", "after_crash"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """The n-th crash in a row waits `first_s` * 2^(n-1), at most `cap_s`; `healthy_s` of being ready ends the row."""

    first_s: float = 0.5
    cap_s: float = 60.0
    healthy_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """`crashes` in a row, this one included, and how long to wait before the next start."""

    crashes: int
    wait_s: float


def after_crash(crashes_before: int, ready_s: float, backoff: Backoff) -> Pause:
    """`ready_s`: how long the process that crashed had been ready; 0 when it never was."""
    crashes = 1 if ready_s >= backoff.healthy_s else crashes_before + 1
    # 2^60 of anything is beyond every cap; without a bound the number itself would grow for ever.
    return Pause(crashes=crashes, wait_s=min(backoff.cap_s, backoff.first_s * 2.0 ** min(crashes - 1, 60)))
