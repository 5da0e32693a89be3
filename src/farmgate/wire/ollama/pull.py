"""Ollama's pulls: the progress of every layer, told as one that never goes back."""

from __future__ import annotations

import msgspec

from farmgate.core.errors import UpstreamInvalidResponse, UpstreamStreamTruncated
from farmgate.core.ports import Progress
from farmgate.wire.ndjson import LineTooLarge, Splitter
from farmgate.wire.ollama.errors import decode_pull_error
from farmgate.wire.ollama.stream import NONE, NOTHING

__all__ = ["PullReader"]


class Line(msgspec.Struct):
    """One line of a pull. `completed` is left out until a layer's first byte is there."""

    status: str = ""
    digest: str | None = None
    total: int | None = None
    completed: int | None = None
    error: msgspec.Raw = NONE


decode_line = msgspec.json.Decoder(Line).decode


class PullReader:
    """Reads one pull: bytes in, progress out, and whether it came to its end.

    Layers come up one by one, so `total` grows too; neither figure ever shrinks.
    """

    __slots__ = ("_completed", "_model", "_provider", "_splitter", "_totals", "is_done")

    def __init__(self, *, provider: str, model: str, frame_bytes: int = 1 << 20) -> None:
        self._splitter = Splitter(frame_bytes)
        self._provider = provider
        self._model = model
        self._totals: dict[str, int] = {}
        self._completed: dict[str, int] = {}
        self.is_done = False

    def feed(self, data: bytes) -> Progress | None:
        """How far the pull is after `data`; None if that completes no line. Raises what went wrong with the pull."""
        try:
            lines = self._splitter.feed(data)
        except LineTooLarge as error:
            raise UpstreamInvalidResponse(f"{self._provider} sent a line larger than the limit.") from error
        status = ""
        for line in lines:
            status = self._note(line)
        return self._progress(status) if lines else None

    def end(self) -> Progress | None:
        """The stream ended. Raises UpstreamStreamTruncated unless the model is there."""
        lines = self._splitter.end()
        try:
            status = self._note(lines[0]) if lines else ""
        except UpstreamInvalidResponse as error:
            raise self._truncated() from error
        if not self.is_done:
            raise self._truncated()
        return self._progress(status) if lines else None

    def _truncated(self) -> UpstreamStreamTruncated:
        return UpstreamStreamTruncated(
            f"{self._provider} broke off pulling {self._model!r}: pull it again, it goes on where it was."
        )

    def _note(self, payload: bytes) -> str:
        try:
            line = decode_line(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UpstreamInvalidResponse(f"{self._provider} tells its progress in a form we do not know.") from error
        if bytes(line.error) not in NOTHING:
            raise decode_pull_error(payload, provider=self._provider, model=self._model)
        if line.digest and line.total is not None:
            total = max(line.total, self._totals.get(line.digest, 0))
            self._totals[line.digest] = total
            # A part that is fetched anew makes Ollama's own figure shrink.
            most = max(line.completed or 0, self._completed.get(line.digest, 0))
            self._completed[line.digest] = min(most, total)
        if line.status == "success":
            self.is_done = True
            self._completed = dict(self._totals)
        return line.status

    def _progress(self, status: str) -> Progress:
        total = sum(self._totals.values())
        return Progress(status=status, completed=sum(self._completed.values()), total=total or None)
