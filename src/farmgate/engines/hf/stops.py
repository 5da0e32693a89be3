"""Text up to the first stop string, in whatever pieces it comes: what may be the beginning of one is held back."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Stops"]


class Stops:
    """For one answer. `hit` is the stop string that ended it, None as long as none has come."""

    __slots__ = ("_held", "_longest", "_texts", "hit")

    def __init__(self, texts: Sequence[str] = ()) -> None:
        """Empty strings stop nothing."""
        self._texts = tuple(text for text in texts if text)
        self._longest = max(map(len, self._texts), default=0)
        self._held = ""
        self.hit: str | None = None

    def feed(self, piece: str) -> str:
        """What of the text so far, not given out yet, is sure to belong to the answer. Nothing after a hit."""
        if not self._texts or self.hit is not None:
            return "" if self.hit is not None else piece
        text = self._held + piece
        found = self._first(text)
        if found is not None:
            at, self.hit = found
            self._held = ""
            return text[:at]
        keep = self._beginning(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def end(self) -> str:
        """What was held back of a text that ended by itself."""
        held, self._held = self._held, ""
        return held

    def _first(self, text: str) -> tuple[int, str] | None:
        """Where the stop string begins that is complete first, however the text was cut; of several the longest."""
        places = ((text.find(stop), stop) for stop in self._texts)
        found = [(at + len(stop), at, stop) for at, stop in places if at >= 0]
        return min(found)[1:] if found else None

    def _beginning(self, text: str) -> int:
        """How many characters at the end of the text may become a stop string."""
        for size in range(min(self._longest - 1, len(text)), 0, -1):
            end = text[-size:]
            if any(len(stop) > size and stop.startswith(end) for stop in self._texts):
                return size
        return 0
