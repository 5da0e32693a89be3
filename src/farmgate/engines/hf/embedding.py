"""Texts as vectors: those that wait, whoever sent them, go through the model together."""

from __future__ import annotations

import sys
import threading
import traceback
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch

from farmgate.core.errors import InternalError
from farmgate.engines.hf.folder import Pooling
from farmgate.engines.hf.worker import Counts

__all__ = ["Embedder"]

MOST_TEXTS = 64
MOST_TOKENS = 8192
"""Of one batch, what fills up the shorter texts included."""
Vector: TypeAlias = list[float]


@dataclass(slots=True)
class Job:
    """The texts of one request; `left` counts those without a vector yet."""

    vectors: list[Vector]
    left: int
    result: Future[list[Vector]] = field(default_factory=Future)


@dataclass(slots=True)
class Item:
    job: Job
    place: int
    ids: Sequence[int]


class Embedder:
    """One thread that owns the model. Start it once; it lives as long as the process."""

    def __init__(self, model: Any, *, device: str, pooling: Pooling) -> None:
        self.counts = Counts()
        self._model = model
        self._device = device
        self._pooling = pooling
        self._waiting: deque[Item] = deque()
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._live, daemon=True, name="inference")

    def start(self) -> None:
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def submit(self, texts: Sequence[Sequence[int]]) -> Future[list[Vector]]:
        """A vector for each text, of length 1. Cancel the future, and what has not begun never will."""
        job = Job(vectors=[[] for _ in texts], left=len(texts))
        with self._news:
            self._waiting.extend(Item(job, place, ids) for place, ids in enumerate(texts))
            self._news.notify()
        return job.result

    def _live(self) -> None:
        while True:
            with self._news:
                while not self._waiting:
                    self._news.wait()
                batch = self._batch()
                self.counts.waiting, self.counts.running = len(self._waiting), len(batch)
            if batch:
                self._answer(batch)
            self.counts.running = 0

    def _batch(self) -> list[Item]:
        """The next texts, in their order, as many as fit beside one another."""
        batch: list[Item] = []
        longest = 0
        while self._waiting and len(batch) < MOST_TEXTS:
            item = self._waiting[0]
            if item.job.result.done():
                # Nobody waits for it any more, or another of its texts failed.
                self._waiting.popleft()
                continue
            longest = max(longest, len(item.ids))
            if batch and longest * (len(batch) + 1) > MOST_TOKENS:
                break
            batch.append(self._waiting.popleft())
        return batch

    def _answer(self, batch: Sequence[Item]) -> None:
        try:
            vectors = self.vectors([item.ids for item in batch])
        except Exception as error:  # noqa: BLE001 - a batch that fails must not leave its askers waiting for ever
            where = "".join(traceback.format_tb(error.__traceback__))
            sys.stderr.write(f"a batch failed: {type(error).__name__}\n{where}")
            self.counts.failed += 1
            for job in {id(item.job): item.job for item in batch}.values():
                fail(job, InternalError(f"The engine failed while it embedded: {type(error).__name__}."))
            return
        self.counts.steps += 1
        self.counts.rows += len(batch)
        self.counts.prompt_tokens += sum(len(item.ids) for item in batch)
        for item, vector in zip(batch, vectors, strict=True):
            item.job.vectors[item.place] = vector
            item.job.left -= 1
            if not item.job.left and item.job.result.set_running_or_notify_cancel():
                item.job.result.set_result(item.job.vectors)

    def vectors(self, texts: Sequence[Sequence[int]]) -> list[Vector]:
        """Padded on the right, where no token sees it: causal models look left, others are told the mask."""
        longest = max(map(len, texts))
        ids = torch.zeros((len(texts), longest), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = torch.tensor(list(text))
            mask[row, : len(text)] = 1
        ids, mask = ids.to(self._device), mask.to(self._device)
        with torch.inference_mode():
            hidden = self._model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
            pooled = torch.nn.functional.normalize(pool(hidden, mask, self._pooling), dim=-1)
        told: list[Vector] = pooled.tolist()
        return told


def pool(hidden: Any, mask: Any, pooling: Pooling) -> Any:
    """(texts, tokens, size) to (texts, size)."""
    match pooling:
        case Pooling.FIRST:
            return hidden[:, 0]
        case Pooling.LAST:
            return hidden[torch.arange(len(hidden), device=hidden.device), mask.sum(1) - 1]
        case Pooling.MEAN:
            shares = mask[:, :, None].float()
            return (hidden * shares).sum(1) / shares.sum(1)


def fail(job: Job, error: Exception) -> None:
    if not job.result.done() and job.result.set_running_or_notify_cancel():
        job.result.set_exception(error)
