"""One answer while it is written: tokens in, what is sure of its text out, and in the end why it ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from farmgate.core.errors import FarmError
from farmgate.core.event import Finish, FinishReason, Part, Usage
from farmgate.engines.hf.choosing import Chooser
from farmgate.engines.hf.pieces import Decode, Pieces
from farmgate.engines.hf.speech import Plain, Speech
from farmgate.engines.hf.stops import Stops

__all__ = ["Told", "Writing"]

Told: TypeAlias = tuple[Part, ...] | FarmError
"""What its asker hears: parts, the last of them Finish and Usage; or what broke it."""


class Writing:
    """Belongs to the worker's thread, but for `cancel`, and `tell`, which the thread of who asked calls."""

    __slots__ = (
        "_end_ids",
        "_most_calls",
        "_pieces",
        "_speech",
        "_stops",
        "adapter",
        "chooser",
        "ids",
        "is_cancelled",
        "is_over",
        "most_tokens",
        "tell",
        "tokens",
    )

    def __init__(
        self,
        ids: Sequence[int],
        *,
        most_tokens: int,
        chooser: Chooser,
        decode: Decode,
        end_ids: frozenset[int],
        stop: Sequence[str] = (),
        speech: Speech | None = None,
        most_calls: int | None = None,
        adapter: str | None = None,
        tell: Callable[[Told], None] = lambda _: None,
    ) -> None:
        """`ids`: the prompt; `most_tokens` at least 1; `end_ids`: tokens that end an answer; `adapter`: its LoRA.

        `speech` understands its text; with so many calls of tools as `most_calls` the answer is over.
        """
        self.ids = ids
        self.most_tokens = most_tokens
        self.chooser = chooser
        self.adapter = adapter
        self.tell = tell
        self.tokens = 0
        """How many the model has written, the one that ended it and those of a stop string included."""
        self.is_cancelled = False
        self.is_over = False
        self._end_ids = end_ids
        self._pieces = Pieces(decode)
        self._stops = Stops(stop)
        self._speech = speech if speech is not None else Plain()
        self._most_calls = most_calls

    def cancel(self) -> None:
        """Nobody waits for it any more. From any thread; what it holds is free before the model's next step."""
        self.is_cancelled = True

    def take(self, token: int) -> tuple[Part, ...]:
        """What the next token adds; empty where nothing is sure yet."""
        begun = self._speech.begin() if self.tokens == 0 else ()
        self.tokens += 1
        if token in self._end_ids:
            return (*begun, *self._end(FinishReason.STOP))
        parts = (*begun, *self._speech.feed(self._stops.feed(self._pieces.feed(token))))
        if self._stops.hit is not None or self._has_called_enough():
            return (*parts, *self._end(FinishReason.STOP))
        if self.tokens >= self.most_tokens:
            return (*parts, *self._end(FinishReason.LENGTH))
        return parts

    def _has_called_enough(self) -> bool:
        return self._most_calls is not None and self._speech.calls >= self._most_calls

    def _end(self, reason: FinishReason) -> tuple[Part, ...]:
        self.is_over = True
        rest = () if self._has_called_enough() else self._rest()
        stop = self._stops.hit
        if stop is not None:
            reason = FinishReason.STOP
        if reason is FinishReason.STOP and self._speech.calls:
            reason = FinishReason.TOOL_CALLS
        usage = Usage(prompt_tokens=len(self.ids), completion_tokens=self.tokens)
        return (*rest, Finish(reason, stop=stop), usage)

    def _rest(self) -> tuple[Part, ...]:
        text = self._stops.feed(self._pieces.end()) + self._stops.end()
        return (*self._speech.feed(text), *self._speech.end())
