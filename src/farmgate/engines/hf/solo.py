"""One answer at a time, through the model's own `generate`: for models whose answers cannot share steps.

Our drawing, stop strings and cancellation hold here too: `generate` only moves the model on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from farmgate.engines.hf.drawing import draw
from farmgate.engines.hf.worker import Take
from farmgate.engines.hf.writing import Writing

__all__ = ["Solo"]


class Drawn(LogitsProcessor):  # type: ignore[misc] # transformers is not there where types are checked
    """Leaves only the token that our rules draw."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        (token,) = draw(scores, [self._writing.chooser])
        only = torch.full_like(scores, -torch.inf)
        only[:, token] = 0.0
        return only


class Over(StoppingCriteria):  # type: ignore[misc] # transformers is not there where types are checked
    """Hands on each token, and ends with the answer, or with who waited for it."""

    def __init__(self, writing: Writing, take: Take) -> None:
        self._writing = writing
        self._take = take
        self.is_over = False

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        if not self.is_over:
            self.is_over = not self._take(self._writing, int(input_ids[0, -1]))
        return torch.tensor([self.is_over], device=input_ids.device)


class Solo:
    """Steps whose one step is a whole answer."""

    most = 1

    def __init__(self, model: Any, *, device: str, use: Callable[[str | None], None]) -> None:
        self._model = model
        self._device = device
        self._use = use
        self._writing: Writing | None = None

    def enter(self, writing: Writing) -> None:
        self._writing = writing

    def leave(self, writing: Writing) -> None:
        if self._writing is writing:
            self._writing = None

    def clear(self) -> None:
        self._writing = None

    def use(self, adapter: str | None) -> None:
        self._use(adapter)

    def step(self, take: Take) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            with torch.inference_mode():
                self._write(writing, take)

    def _write(self, writing: Writing, take: Take) -> None:
        ids = torch.tensor([list(writing.ids)], device=self._device)
        over = Over(writing, take)
        self._model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            generation_config=GenerationConfig(
                max_new_tokens=writing.most_tokens, do_sample=False, use_cache=True, pad_token_id=0
            ),
            logits_processor=LogitsProcessorList([Drawn(writing)]),
            stopping_criteria=StoppingCriteriaList([over]),
        )
        if not over.is_over:
            raise RuntimeError("generate ended before the answer did")
