"""Does the process come to its limits? Looked at once a second; while it does, new requests are told to come back and
those in flight go on."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from farmgate.core.ports import Clock
from farmgate.flow.admit import Pressure
from farmgate.telemetry import log

__all__ = ["Reading", "Watch", "read_process", "strain"]

EVERY_S = 1.0
LAG_S = 0.2
LAGS = 5
"""So many looks in a row must have come late: one alone is somebody else's use of the machine."""
MEMORY_SHARE = 0.85
FILES_SHARE = 0.8
CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the process uses and may use, in bytes and file descriptors; None where the system does not tell."""

    memory: int | None = None
    memory_limit: int | None = None
    files: int | None = None
    files_limit: int | None = None


def strain(reading: Reading, lags_s: deque[float]) -> str | None:
    """What is nearly used up; None while all is well."""
    if share(reading.files, reading.files_limit) > FILES_SHARE:
        return "file descriptors"
    if share(reading.memory, reading.memory_limit) > MEMORY_SHARE:
        return "memory"
    if len(lags_s) == LAGS and min(lags_s) > LAG_S:
        return "processor time"
    return None


def share(used: int | None, limit: int | None) -> float:
    return used / limit if used is not None and limit else 0.0


class Watch:
    """Tells a Pressure how it is."""

    def __init__(
        self,
        pressure: Pressure,
        *,
        read: Callable[[], Reading] | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._pressure = pressure
        self._read = read or read_process
        self._clock = clock
        self._lags_s: deque[float] = deque(maxlen=LAGS)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            began = self._clock()
            await asyncio.sleep(EVERY_S)
            self.look(self._clock() - began - EVERY_S)

    def look(self, lag_s: float) -> None:
        """Once. `lag_s`: how much later than wanted this came."""
        self._lags_s.append(lag_s)
        lacks = strain(self._read(), self._lags_s)
        if lacks == self._pressure.lacks:
            return
        self._pressure.lacks = lacks
        if lacks is None:
            log.info("takes_requests_again")
        else:
            log.warning("takes_no_new_requests", lacks=lacks)


def read_process() -> Reading:
    """This process, on Linux; elsewhere nothing is known."""
    return Reading(memory=resident(), memory_limit=memory_limit(), files=open_files(), files_limit=files_limit())


def resident() -> int | None:
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None


def memory_limit() -> int | None:
    """The limit of the group of processes this one is in; None where there is none."""
    for path in CGROUP_LIMITS:
        with suppress(OSError, ValueError):
            limit = int(Path(path).read_text())
            # The older interface says a number near 2**63 for none.
            return limit if limit < 1 << 60 else None
    return None


def open_files() -> int | None:
    try:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError as error:
        # To look takes one more: without it there is none left.
        return files_limit() if error.errno in (errno.EMFILE, errno.ENFILE) else None


def files_limit() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft
