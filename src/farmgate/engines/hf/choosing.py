"""Which token comes next, from the likeliest ones: temperature, top_k, top_p and a seed for each request.

Greedy is temperature 0. Else: top_k keeps the likeliest k, top_p of those the fewest that have this share, and one of
what is left is drawn by its probability. The order is that of transformers' own `generate`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from farmgate.core.words import Sampling

__all__ = ["FEW", "Chooser", "Habits", "NotEnough", "chooser"]

FEW = 256
"""How many candidates are looked at first: nearly always they are enough, and sorting a whole vocabulary is slow."""


class NotEnough(Exception):
    """The token is not among the candidates: ask again with all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How a model's makers want tokens drawn where a request does not say; OpenAI's way where they do not either."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0


class Chooser:
    """For one answer. Two of the same settings and seed choose the same from the same candidates."""

    __slots__ = ("_dice", "_drawn", "temperature", "top_k", "top_p")

    def __init__(self, *, temperature: float, top_p: float, top_k: int, seed: int | None) -> None:
        """`top_k` below 1 and `top_p` 1 keep all."""
        self.temperature = temperature
        self.top_p = top_p
        self.top_k = max(top_k, 0)
        # Not torch's: a generator of its own for each request, that nobody else's draws move on.
        self._dice = random.Random(seed)  # noqa: S311 - text, not secrets
        self._drawn: float | None = None

    @property
    def is_greedy(self) -> bool:
        return self.temperature <= 0 or self.top_k == 1

    def choose(self, shares: Sequence[float], *, all_shown: bool) -> int:
        """The place of the chosen one among `shares`: probabilities after temperature, falling, at least `top_k` of
        them. They are of the whole vocabulary, so that few may have less than 1 together.

        Raises NotEnough unless `all_shown`; asked again, it chooses with the same throw.
        """
        if self._drawn is None:
            self._drawn = self._dice.random()
        place = pick(shares, self._drawn, top_p=self.top_p, top_k=self.top_k, all_shown=all_shown)
        self._drawn = None
        return place


def pick(shares: Sequence[float], drawn: float, *, top_p: float, top_k: int, all_shown: bool) -> int:
    """`drawn`: from 0 to 1."""
    is_whole = all_shown
    if 0 < top_k <= len(shares):
        shares, is_whole = shares[:top_k], True
    total = sum(shares) if is_whole else 1.0
    if top_p < 1:
        kept = nucleus(shares, top_p * total, is_whole=is_whole)
        shares, total, is_whole = shares[:kept], sum(shares[:kept]), True
    reached, aim = 0.0, drawn * total
    for place, share in enumerate(shares):
        reached += share
        if reached > aim:
            return place
    if not is_whole:
        raise NotEnough
    return len(shares) - 1


def nucleus(shares: Sequence[float], wanted: float, *, is_whole: bool) -> int:
    """How many of the likeliest are needed to have `wanted` together; always one."""
    reached = 0.0
    for place, share in enumerate(shares):
        reached += share
        if reached >= wanted:
            return place + 1
    if not is_whole:
        raise NotEnough
    return max(len(shares), 1)


def chooser(wanted: Sampling, habits: Habits) -> Chooser:
    """What a request says, and else the model's habits."""
    return Chooser(
        temperature=habits.temperature if wanted.temperature is None else wanted.temperature,
        top_p=habits.top_p if wanted.top_p is None else wanted.top_p,
        top_k=habits.top_k if wanted.top_k is None else wanted.top_k,
        seed=wanted.seed,
    )
