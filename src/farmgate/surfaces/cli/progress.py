"""How far a pull is: a bar on a terminal, a line per 10 % elsewhere, JSON lines for programs. It never goes back."""

from __future__ import annotations

import time
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from farmgate.core.ports import Clock, Progress
from farmgate.surfaces.cli.words import duration, one_line, size

if TYPE_CHECKING:
    from farmgate.surfaces.cli.out import Out

__all__ = ["Bar", "bar_line", "step_line"]

REDRAW_S = 0.1
WIDTH = 24
NARROWEST = 8
# A first report above this is a download that goes on; below, it is its first piece.
RESUMED_BYTES = 1_000_000


def bar_line(title: str, progress: Progress, rate: float, columns: int = 120) -> str:
    """`starter  downloading  [#####-----] 42 %  39.1 MB of 92.9 MB  11.2 MB/s  4 s left`; `rate` in bytes per second.

    The bar is as long as `columns` allow; where they are few there is none, and the figures stay.
    """
    if not progress.total:
        told = f"  {size(progress.completed)}" if progress.completed else ""
        return f"{title}  {progress.status}{told}"
    share = min(1.0, progress.completed / progress.total)
    parts = [f"{share * 100:3.0f} %", of_total(progress.completed, progress.total)]
    if rate > 0:
        parts.append(f"{size(int(rate))}/s")
        if share < 1:
            parts.append(f"{time_left((progress.total - progress.completed) / rate)} left")
    figures, before = "  ".join(parts), f"{title}  {progress.status}  "
    width = min(WIDTH, columns - len(before) - len(figures) - len("[] ") - 1)
    if width < NARROWEST:
        return before + figures
    filled = round(share * width)
    return f"{before}[{'#' * filled}{'-' * (width - filled)}] {figures}"


def of_total(completed: int, total: int) -> str:
    """`39.1 of 92.9 MB`, the unit once where it is the same."""
    done, whole = size(completed), size(total)
    number, _, unit = done.rpartition(" ")
    return f"{number if whole.endswith(' ' + unit) else done} of {whole}"


def time_left(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 60 else duration(seconds)


def step_line(title: str, progress: Progress) -> str:
    """The same for a log: `starter: downloading 40 % (37.2 MB of 92.9 MB)`."""
    if not progress.total:
        return f"{title}: {progress.status}"
    share = progress.completed * 100 // progress.total
    return f"{title}: {progress.status} {share} % ({size(progress.completed)} of {size(progress.total)})"


class Bar:
    """A Report. A new status begins a new line; within one, what is shown never goes down."""

    def __init__(self, title: str, out: Out, clock: Clock = time.monotonic) -> None:
        self._title = one_line(title)
        self._out = out
        self._clock = clock
        self._status: str | None = None
        self._most = 0
        self._began = (0.0, 0)
        self._drawn = float("-inf")
        self._step = -1

    def __call__(self, progress: Progress) -> None:
        now = self._clock()
        status = one_line(progress.status)
        begins = status != self._status
        if begins:
            self._begin(status, progress, now)
        self._most = max(self._most, progress.completed)
        told = Progress(status=status, completed=self._most, total=progress.total)
        is_last = bool(told.total) and told.completed >= (told.total or 0)
        if self._out.json:
            if begins or is_last or now - self._drawn >= REDRAW_S:
                self._drawn = now
                self._out.record({"status": status, "completed": told.completed, "total": told.total})
        elif self._out.moves:
            if begins or is_last or now - self._drawn >= REDRAW_S:
                self._drawn = now
                columns = get_terminal_size().columns
                self._out.sketch(bar_line(self._title, told, self._rate(now), columns))
        else:
            self._log(told, begins)

    def _begin(self, status: str, progress: Progress, now: float) -> None:
        self._out.end_sketch()
        self._status = status
        self._most, self._step = 0, -1
        self._began = (now, progress.completed)
        is_download = status.startswith(("download", "pull"))
        if is_download and progress.total and RESUMED_BYTES < progress.completed < progress.total:
            share = progress.completed * 100 // progress.total
            self._out.say(f"{self._title}: resuming at {share} %")

    def _rate(self, now: float) -> float:
        began, completed = self._began
        return (self._most - completed) / (now - began) if now - began > 0.2 else 0.0

    def _log(self, told: Progress, begins: bool) -> None:
        step = told.completed * 10 // told.total if told.total else -1
        if begins or step > self._step:
            self._step = step
            self._out.say(step_line(self._title, told))
