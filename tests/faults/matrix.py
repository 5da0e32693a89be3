"""The rows of the fault matrix, in order."""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults.rows_answers import ANSWERS
from tests.faults.rows_frames import FRAMES
from tests.faults.rows_health import HEALTH
from tests.faults.rows_http import HTTP
from tests.faults.rows_network import NETWORK
from tests.faults.words import Row

__all__ = ["ROWS"]

ROWS: Sequence[Row] = sorted((*NETWORK, *ANSWERS, *FRAMES, *HEALTH, *HTTP), key=lambda row: row.number)
