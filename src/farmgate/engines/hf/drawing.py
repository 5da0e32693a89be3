"""A token for each row out of its logits: the likeliest, or drawn as its request wants it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from farmgate.engines.hf.choosing import FEW, Chooser, NotEnough

__all__ = ["draw"]


def draw(logits: Any, choosers: Sequence[Chooser]) -> list[int]:
    """`logits`: (rows, vocabulary). The device is waited for once, or twice where not all want the likeliest."""
    tokens: list[int] = logits.argmax(-1).tolist()
    rows = [at for at, chooser in enumerate(choosers) if not chooser.is_greedy]
    if not rows:
        return tokens
    heat = torch.tensor([[choosers[at].temperature] for at in rows], device=logits.device, dtype=torch.float32)
    warmed = logits[rows].float() / heat
    size = warmed.shape[-1]
    few = min(size, max(FEW, *(choosers[at].top_k for at in rows)))
    shares, ids = likeliest(warmed, few)
    for place, at in enumerate(rows):
        try:
            chosen = choosers[at].choose(shares[place], all_shown=few == size)
            tokens[at] = ids[place][chosen]
        except NotEnough:
            everything, names = likeliest(warmed[place : place + 1], size)
            tokens[at] = names[0][choosers[at].choose(everything[0], all_shown=True)]
    return tokens


def likeliest(warmed: Any, many: int) -> tuple[list[list[float]], list[list[int]]]:
    """The probabilities of so many, falling, and which tokens they are."""
    best = warmed.topk(many, dim=-1)
    shares = (best.values - warmed.logsumexp(-1, keepdim=True)).exp()
    return shares.tolist(), best.indices.tolist()
