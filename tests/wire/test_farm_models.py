"""A model in our own words is read back as it was, and what is not known is not told."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from farmgate.core.model import Capability, Facts, ModelInfo
from farmgate.core.money import Price, Rates
from farmgate.wire.farm_models import decode_models, encode_facts

STEP = Rates(input_usd=Decimal("0.2"), output_usd=Decimal("0.9"))
PRICE = Price(
    rates=Rates(input_usd=Decimal("0.1"), cached_input_usd=Decimal("0.003625"), output_usd=Decimal("0.3")),
    above=((200_000, STEP),),
    source="genai-prices 0.2.3",
    as_of="2026-11-25",
)


def test_what_is_known_is_told_in_camel_case_and_dollars_by_the_million() -> None:
    facts = Facts(
        max_output_tokens=7,
        capabilities=frozenset({Capability.TOOLS}),
        lacks=frozenset({Capability.VISION}),
        price=PRICE,
    )
    assert encode_facts(facts) == {
        "maxOutputTokens": 7,
        "capabilities": {"tools": True, "vision": False},
        "price": {
            "input": 0.1,
            "cachedInput": 0.003625,
            "output": 0.3,
            "above": [{"promptTokens": 200_000, "input": 0.2, "output": 0.9}],
            "currency": "USD",
            "source": "genai-prices 0.2.3",
            "asOf": "2026-11-25",
        },
    }
    assert encode_facts(Facts()) == {}


def test_a_list_is_read_back_to_the_last_digit() -> None:
    info = ModelInfo(
        name="m", provider="p", context_tokens=5, loaded=True, price=PRICE, lacks=frozenset({Capability.AUDIO})
    )
    told = {"name": "m", "provider": "p", "contextTokens": 5, "loaded": True, **encode_facts(info)}
    assert decode_models([told]) == [info]


def test_a_newer_farmgate_may_tell_more() -> None:
    told = {"name": "m", "provider": "p", "smell": "good", "capabilities": {"clairvoyance": True, "tools": False}}
    (info,) = decode_models([told])
    assert not info.capabilities
    assert info.lacks == {Capability.TOOLS}


@pytest.mark.parametrize("told", [{}, "a", [5], [{"provider": "p"}], [{"name": "m", "price": 5}]])
def test_what_is_no_list_is_refused(told: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_models(told)
