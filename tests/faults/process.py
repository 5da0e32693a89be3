"""A process seen from outside: its memory and its time on the processor."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cpu_s", "memory_mib"]

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGESIZE")


def cpu_s(pid: int) -> float:
    """Seconds it has computed, its own and the kernel's for it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mib(pid: int) -> float:
    """Resident memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 2**20
