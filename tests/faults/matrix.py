"""The rows of the fault matrix, in order."""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults.rows_answers import ANSWERS
from tests.faults.rows_clients import CLIENTS
from tests.faults.rows_frames import FRAMES
from tests.faults.rows_gate import GATE
from tests.faults.rows_health import HEALTH
from tests.faults.rows_http import HTTP
from tests.faults.rows_network import NETWORK
from tests.faults.words import Row

__all__ = ["ROWS"]

WAITING = (
    Row(43, "Redis refuses, freezes, is slow, read-only, full", waits="Redis"),
    Row(44, "PostgreSQL refuses, freezes, fails over, is full", waits="PostgreSQL"),
    Row(46, "200 requests race for a budget of 10", waits="budgets"),
    Row(47, "the clock jumps by an hour", waits="libfaketime: not tried, nothing is known"),
    Row(50, "a guardrail hangs", waits="guardrails"),
    Row(51, "a worker dies between an answer and its record", waits="batches"),
    Row(52, "a migration is interrupted, old and new run together", waits="migrations"),
)

ROWS: Sequence[Row] = sorted(
    (*NETWORK, *ANSWERS, *FRAMES, *HEALTH, *HTTP, *CLIENTS, *GATE, *WAITING), key=lambda row: row.number
)
