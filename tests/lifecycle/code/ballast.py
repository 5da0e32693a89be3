"""A model of one's own that takes much memory, all of it written to."""

from __future__ import annotations

import array

__all__ = ["Ballast"]

BYTES = 64 << 20


class Ballast:
    """Adds up what it is sent."""

    def load(self) -> None:
        self.held = array.array("B", bytes([1])) * BYTES

    def predict(self, inputs: list[list[float]]) -> list[float]:
        """One sum for each row."""
        return [sum(row) for row in inputs]
