"""Continuous batching: all answers that are being written take each step of the model together, as rows of one batch.

A row joins when its prompt has been read and leaves with its last token; the others do not wait. Long prompts are read
a piece at a time between the steps of the others.

Why not transformers' own (`init_continuous_batching`): it has no seed, no stop strings and no end after a cancellation
for each request, takes its memory at the start, and keeps one set of drawing rules unless told otherwise when it is
made. And it is slower here: on a processor, with the model of tests/models and 12 answers at once, it writes a quarter
of the tokens that these rows do (bench/engine.py; figures in ADR 0016). What it has beyond this, pages of keys and
values shared between rows, pays with thousands of tokens on a GPU: nobody has measured that here.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import DynamicCache

from farmgate.engines.hf.cache import RowCache
from farmgate.engines.hf.drawing import draw
from farmgate.engines.hf.worker import Take, Unreadable
from farmgate.engines.hf.writing import Writing

__all__ = ["Rows", "why_alone"]

PIECE_TOKENS = 512
"""Of prompts, read between two steps: more delays those who write, less delays those who wait."""
PROBES = ((3, 1, 4), (1, 5, 9, 2, 6, 5, 3))
BEHIND = (2, 7)
NEEDED = ("input_ids", "attention_mask", "position_ids")
CACHE = ("cache", "past_key_values")
"""What a model's forward calls keys and values: the library's own word since 5.24, and before."""


@dataclass(slots=True)
class Coming:
    """Its prompt is being read, into a cache of its own."""

    writing: Writing
    cache: Any
    read: int = 0


class Rows:
    """Steps for a model that keeps keys and values, whatever else it is."""

    def __init__(self, model: Any, *, device: str, most: int, use: Callable[[str | None], None]) -> None:
        self._model = model
        self._device = device
        self._most = most
        self._use = use
        self._coming: deque[Coming] = deque()
        self._rows: list[Writing] = []
        self._last: list[int] = []
        """The newest token of each row: what the next step reads."""
        self._cache = RowCache()
        # Only the last position's logits are of use; a long prompt's are larger than the model.
        self._narrow = {"logits_to_keep": 1} if "logits_to_keep" in parameters(model) else {}
        self._cached = next((name for name in CACHE if name in parameters(model)), CACHE[0])

    @property
    def most(self) -> int:
        return self._most

    def enter(self, writing: Writing) -> None:
        self._coming.append(Coming(writing, DynamicCache()))

    def leave(self, writing: Writing) -> None:
        self._coming = deque(each for each in self._coming if each.writing is not writing)
        if writing in self._rows:
            self._remove(self._rows.index(writing))

    def clear(self) -> None:
        self._coming.clear()
        self._rows, self._last = [], []
        self._cache.clear()

    def use(self, adapter: str | None) -> None:
        self._use(adapter)

    def step(self, take: Take) -> None:
        with torch.inference_mode():
            self._step(take)

    def _step(self, take: Take) -> None:
        self._read_prompts(take)
        if not self._rows:
            return
        logits = self.forward(self._last)
        tokens = draw(logits, [writing.chooser for writing in self._rows])
        self._last = tokens
        stays = [take(writing, token) for writing, token in zip(self._rows, tokens, strict=True)]
        for at in reversed(range(len(stays))):
            if not stays[at]:
                self._remove(at)
        if not self._rows:
            # Nobody is there to make room for: what a long answer needed is not kept for the next short one.
            self._cache.clear()

    def forward(self, tokens: Sequence[int]) -> Any:
        """One more token for each row: logits of (rows, vocabulary)."""
        cache = self._cache
        cache.prepare()
        device = self._device
        told = self._model(
            input_ids=torch.tensor(tokens, device=device)[:, None],
            attention_mask=cache.mask(device),
            position_ids=torch.tensor(cache.lengths, device=device)[:, None],
            use_cache=True,
            **{self._cached: cache.cache},
            **self._narrow,
        )
        cache.advance()
        return told.logits[:, -1]

    def read(self, ids: Sequence[int], cache: Any, done: int) -> Any:
        """A piece of one prompt, after the `done` tokens in `cache`: logits of (1, vocabulary) behind it.

        Without a cache nothing is kept of it.
        """
        device, end = self._device, done + len(ids)
        told = self._model(
            input_ids=torch.tensor([list(ids)], device=device),
            attention_mask=torch.ones((1, end), dtype=torch.long, device=device),
            position_ids=torch.arange(done, end, device=device)[None, :],
            use_cache=cache is not None,
            **{self._cached: cache},
            **self._narrow,
        )
        return told.logits[:, -1]

    def join(self, cache: Any) -> None:
        self._cache.join(cache)

    def _read_prompts(self, take: Take) -> None:
        left = PIECE_TOKENS
        while self._coming and left > 0:
            coming = self._coming[0]
            writing = coming.writing
            piece = writing.ids[coming.read : coming.read + left]
            try:
                logits = self.read(piece, coming.cache, coming.read)
            except Exception as error:
                self._coming.popleft()
                raise Unreadable(writing) from error
            coming.read += len(piece)
            left -= len(piece)
            if coming.read < len(writing.ids):
                return
            self._coming.popleft()
            (token,) = draw(logits, [writing.chooser])
            if take(writing, token):
                self.join(coming.cache)
                self._rows.append(writing)
                self._last.append(token)

    def _remove(self, at: int) -> None:
        self._cache.leave(at)
        self._rows[at], self._last[at] = self._rows[-1], self._last[-1]
        self._rows.pop()
        self._last.pop()


def parameters(model: Any) -> frozenset[str]:
    return frozenset(inspect.signature(model.forward).parameters)


def why_alone(model: Any, device: str) -> str | None:
    """Why this model's answers must be written one at a time; None where rows may share its steps.

    Asked of the model itself, not of a list of names: two prompts of different lengths must be continued together as
    each is alone.
    """
    if getattr(model, "_is_stateful", False):
        return "it keeps a state instead of keys and values"
    known = parameters(model)
    if not known.issuperset(NEEDED) or known.isdisjoint(CACHE):
        return f"its forward takes only {', '.join(sorted(known))}"
    try:
        with torch.inference_mode():
            rows = Rows(model, device=device, most=len(PROBES), use=lambda _: None)
            alone = [rows.read([*ids, *BEHIND], None, 0)[0].float() for ids in PROBES]
            together = list(probe(rows).float())
    except Exception as error:  # noqa: BLE001 - whatever it raises, it is no model for this
        return f"it does not go on from keys and values that it is given ({type(error).__name__})"
    worst = max(float((one - other).abs().max()) for one, other in zip(alone, together, strict=True))
    scale = max(float(one.abs().max()) for one in alone)
    allowed = 1e-3 if model.dtype == torch.float32 else 0.1
    # Also where it is not a number.
    return None if worst <= allowed * scale else "its answers come out differently beside others"


def probe(rows: Rows) -> Any:
    """The logits behind each prompt and the tokens after it, which are read one by one."""
    for ids in PROBES:
        cache = DynamicCache()
        rows.read(ids, cache, 0)
        rows.join(cache)
    for token in BEHIND:
        logits = rows.forward([token] * len(PROBES))
    return logits
