"""What was used and what it cost, summed from the journal: costs are worked out when they are read, from the price at
the time of each call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from farmgate.admin.prices import cost_usd
from farmgate.core.money import Price
from farmgate.core.usage import Call, Outcome

__all__ = ["Line", "PriceOf", "summarise"]

PriceOf: TypeAlias = Callable[[str, str, float], Price | None]
"""The price of a provider's model at a time (in seconds since 1970), if anybody knows it."""


@dataclass(slots=True, kw_only=True)
class Line:
    """The calls of one key to one model. `estimated_calls` had no tokens told by the provider.

    `cost_usd` is that of the calls whose price is known, None where no call's is; `unpriced_calls` used tokens at a
    price nobody knows.
    """

    key_name: str
    provider: str
    model: str
    calls: int = 0
    errors: int = 0
    cancelled: int = 0
    lost: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated_calls: int = 0
    cost_usd: Decimal | None = None
    unpriced_calls: int = 0


def summarise(calls: Iterable[Call], *, since_unix: float = 0.0, price_of: PriceOf = lambda *_: None) -> list[Line]:
    """One line per key, provider and model, most tokens first."""
    lines: dict[tuple[str, str, str], Line] = {}
    for call in calls:
        if call.began_unix < since_unix:
            continue
        key = (call.key_name, call.provider, call.model)
        line = lines.setdefault(key, Line(key_name=key[0], provider=key[1], model=key[2]))
        line.calls += 1
        line.errors += call.outcome is Outcome.ERROR
        line.cancelled += call.outcome is Outcome.CANCELLED
        line.lost += call.outcome is Outcome.LOST
        line.prompt_tokens += call.prompt_tokens
        line.completion_tokens += call.completion_tokens
        line.estimated_calls += call.estimated
        cost = cost_usd(call, price_of(call.provider, call.model, call.began_unix))
        if cost is not None:
            line.cost_usd = (line.cost_usd or Decimal(0)) + cost
        elif call.prompt_tokens or call.completion_tokens:
            line.unpriced_calls += 1
    return sorted(lines.values(), key=lambda line: line.prompt_tokens + line.completion_tokens, reverse=True)
