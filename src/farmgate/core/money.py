"""What tokens cost: US dollars for a million of them, exact. A price nobody knows is None, never 0."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

__all__ = ["Price", "Rates"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """US dollars per million tokens: asked, read from the provider's cache, written to it, answered.

    Decimal, because lists of prices are decimal: 0.1 + 0.2 is 0.3, and a price per token (`0.00000015`) becomes one
    per million without rounding.
    """

    input_usd: Decimal | None = None
    cached_input_usd: Decimal | None = None
    cache_write_usd: Decimal | None = None
    output_usd: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a model costs. `above`: other rates for a whole call whose prompt has more tokens than that, lowest first.

    `source` says who told it; `as_of` is the day it was told, as `2026-11-25`, where that is known.
    """

    rates: Rates
    above: tuple[tuple[int, Rates], ...] = ()
    source: str = ""
    as_of: str | None = None
