"""Whose price holds, and what a call costs by it: exact, and unknown where a rate is."""

from __future__ import annotations

from decimal import Decimal

from farmgate.admin.prices import Beside, cost_usd, day_of, first_of
from farmgate.core.event import Usage
from farmgate.core.model import Capability, Facts
from farmgate.core.money import Price, Rates

NOON = 1_790_000_000.0
MINE = Price(rates=Rates(input_usd=Decimal(1), output_usd=Decimal(2)), source="configuration")
FULL = Price(
    rates=Rates(
        input_usd=Decimal("0.15"),
        cached_input_usd=Decimal("0.075"),
        cache_write_usd=Decimal("0.30"),
        output_usd=Decimal("0.6"),
    )
)


def used(prompt: int, completion: int = 0, *, cached: int = 0, written: int = 0) -> Usage:
    return Usage(prompt_tokens=prompt, completion_tokens=completion, cached_tokens=cached, cache_write_tokens=written)


def test_a_call_costs_its_tokens_and_each_kind_its_own_rate() -> None:
    assert cost_usd(used(1_000_000, 1_000_000), FULL) == Decimal("0.75")
    assert cost_usd(used(1000, 100, cached=600, written=300), FULL) == Decimal("0.000210")
    assert cost_usd(used(1), FULL) == Decimal("0.00000015")


def test_what_the_cache_has_no_rate_for_costs_what_the_rest_does() -> None:
    assert cost_usd(used(1000, cached=500, written=500), MINE) == cost_usd(used(1000), MINE)


def test_a_free_cache_is_free() -> None:
    free = Price(rates=Rates(input_usd=Decimal(1), cached_input_usd=Decimal(0)))
    assert cost_usd(used(1000, cached=1000), free) == 0


def test_what_is_not_known_is_not_nothing() -> None:
    only_input = Price(rates=Rates(input_usd=Decimal(1)))
    assert cost_usd(used(10), None) is None
    assert cost_usd(used(10, 1), only_input) is None
    assert cost_usd(used(10), only_input) == Decimal("0.00001")


def test_a_long_prompt_has_the_rates_of_its_step_for_all_its_tokens() -> None:
    dear = Rates(input_usd=Decimal(6), output_usd=Decimal(20))
    dearer = Rates(input_usd=Decimal(8), output_usd=Decimal(30))
    price = Price(rates=Rates(input_usd=Decimal(3), output_usd=Decimal(15)), above=((200_000, dear), (500_000, dearer)))
    assert cost_usd(used(200_000, 1_000_000), price) == Decimal("15.6")
    assert cost_usd(used(200_001, 1_000_000), price) == Decimal("21.200006")
    assert cost_usd(used(1_000_000, 1_000_000), price) == 38


def test_figures_that_make_no_sense_do_not_make_a_call_cheaper_than_nothing() -> None:
    assert cost_usd(used(100, cached=1_000_000, written=1_000_000), FULL) == cost_usd(used(100, cached=100), FULL)


def test_the_operator_is_believed_before_what_is_published() -> None:
    beside = Beside(stated={("openai", "gpt-4o"): Facts(price=MINE)}, kinds={"openai": "openai", "mine": "openai"})
    assert beside.price("openai", "gpt-4o", NOON) == MINE
    public = beside.price("mine", "gpt-4o", NOON)
    assert public is not None
    assert public.rates.input_usd == Decimal("2.5")
    assert beside.price("elsewhere", "gpt-4o", NOON) is None, "a server of that name may serve anything"


def test_one_providers_model_is_meant_before_any_of_that_name() -> None:
    stated = {(None, "m"): Facts(context_tokens=1, max_output_tokens=2), ("p", "m"): Facts(context_tokens=3)}
    assert Beside(stated=stated).said("p", "m") == Facts(context_tokens=3, max_output_tokens=2)
    assert Beside(stated=stated).said("q", "m:latest") == Facts(context_tokens=1, max_output_tokens=2)
    assert Beside(stated=stated).said("q", "n") == Facts()


def test_who_speaks_first_is_believed_and_others_fill_in() -> None:
    tools, vision = Capability.TOOLS, Capability.VISION
    first = Facts(capabilities=frozenset({tools}), context_tokens=5)
    second = Facts(lacks=frozenset({tools, vision}), context_tokens=9, max_output_tokens=7, price=MINE)
    both = first_of(first, second)
    assert both == Facts(
        capabilities=frozenset({tools}), lacks=frozenset({vision}), context_tokens=5, max_output_tokens=7, price=MINE
    )


def test_days_are_those_of_utc() -> None:
    assert day_of(0) == "1970-01-01"
    assert day_of(NOON) == "2026-09-21"
