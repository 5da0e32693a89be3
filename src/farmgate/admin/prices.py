"""What a call cost: whose price holds for a model, and what it makes of the tokens.

The operator's price beats the provider's own list, which beats what is published. Nobody's price is no price: what is
unknown is told as unknown, not as 0.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from farmgate.admin.published import published
from farmgate.core.model import Facts
from farmgate.core.money import Price, Rates

__all__ = ["Beside", "Used", "cost_usd", "day_of", "first_of"]

MILLION = 1_000_000
NOTHING = Facts()


class Used(Protocol):
    """Tokens of a call. `prompt_tokens` includes what was read from the provider's cache and written to it."""

    @property
    def prompt_tokens(self) -> int: ...
    @property
    def completion_tokens(self) -> int: ...
    @property
    def cached_tokens(self) -> int: ...
    @property
    def cache_write_tokens(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What is known of models beside what their providers list.

    `stated`: by the operator, for a provider and its model, or for a model of any provider (None). `kinds`: providers
    whose models are those published for that kind of provider; one at an address of its own may serve anything.
    `parents`: the model that one is an adapter of, for a provider and a model: what is said of it holds for both.
    """

    stated: Mapping[tuple[str | None, str], Facts] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    parents: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def said(self, provider: str, model: str) -> Facts:
        """What the operator says, of this provider's model before models of that name. Ollama's `:latest` goes without
        saying."""
        if not self.stated:
            return NOTHING
        parent = self.parents.get((provider, model))
        names = dict.fromkeys((model, model.removesuffix(":latest"), *((parent,) if parent else ())))
        keys = ((of, name) for name in names for of in (provider, None))
        return first_of(*(self.stated[key] for key in keys if key in self.stated))

    def published(self, provider: str, model: str, *, at_unix: float) -> Facts:
        """What is published, with the price at that time."""
        kind = self.kinds.get(provider)
        return (kind and published(kind, model, day=day_of(at_unix))) or NOTHING

    def price(self, provider: str, model: str, at_unix: float) -> Price | None:
        """What a call cost by the million at that time, as far as can be told without asking the provider."""
        return self.said(provider, model).price or self.published(provider, model, at_unix=at_unix).price


def day_of(at_unix: float) -> str:
    """The day at a time, in UTC, as prices are dated."""
    return time.strftime("%Y-%m-%d", time.gmtime(at_unix))


def first_of(*told: Facts) -> Facts:
    """What the first one says, and of what it leaves open what the next one says."""
    known = NOTHING
    for facts in told:
        known = Facts(
            context_tokens=known.context_tokens or facts.context_tokens,
            max_output_tokens=known.max_output_tokens or facts.max_output_tokens,
            capabilities=known.capabilities | (facts.capabilities - known.lacks),
            lacks=known.lacks | (facts.lacks - known.capabilities),
            price=known.price or facts.price,
        )
    return known


def cost_usd(used: Used, price: Price | None) -> Decimal | None:
    """What a call cost; None where a rate it needs is not known.

    Tokens read from or written to the provider's cache have rates of their own; where those are not known they cost
    what others do, which is what a provider without such a price asks.
    """
    if price is None:
        return None
    rates = rates_for(used.prompt_tokens, price)
    cached = min(used.cached_tokens, used.prompt_tokens)
    written = min(used.cache_write_tokens, used.prompt_tokens - cached)
    parts = (
        (used.prompt_tokens - cached - written, rates.input_usd),
        (cached, first_known(rates.cached_input_usd, rates.input_usd)),
        (written, first_known(rates.cache_write_usd, rates.input_usd)),
        (used.completion_tokens, rates.output_usd),
    )
    total = Decimal(0)
    for tokens, rate in parts:
        if tokens and rate is None:
            return None
        total += tokens * (rate or Decimal(0))
    return total / MILLION


def first_known(rate: Decimal | None, other: Decimal | None) -> Decimal | None:
    return other if rate is None else rate


def rates_for(prompt_tokens: int, price: Price) -> Rates:
    """The rates of a whole call: those of the highest step its prompt is above."""
    return next((rates for tokens, rates in reversed(price.above) if prompt_tokens > tokens), price.rates)
