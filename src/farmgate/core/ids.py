"""Ids that sort by time: UUID version 7, as 32 hexadecimal digits.

Source: https://www.rfc-editor.org/rfc/rfc9562#section-5.7
"""

from __future__ import annotations

import random
import time

__all__ = ["new_id"]

getrandbits = random.Random().getrandbits  # noqa: S311 - ids are not secrets


LOW_62 = (1 << 62) - 1


def new_id() -> str:
    """An id of our own. It names a request in headers, logs and the journal; it is not a secret."""
    ms = time.time_ns() // 1_000_000
    chance = getrandbits(74)
    return f"{ms << 80 | 7 << 76 | chance >> 62 << 64 | 2 << 62 | chance & LOW_62:032x}"
