"""Which models there are, and how often the providers are asked."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from farmgate.admin.catalog import (
    AGAIN_AFTER_S,
    LEARN_AFTER_S,
    LEARN_AGAIN_AFTER_S,
    NEAR_AGAIN_AFTER_S,
    Listed,
    ModelCatalog,
)
from farmgate.admin.prices import Beside
from farmgate.core.errors import UpstreamUnreachable
from farmgate.core.model import Capability, Facts, ModelInfo
from farmgate.core.money import Price, Rates
from farmgate.flow.attempt import cost_of
from farmgate.flow.route import Candidate, ProviderView
from farmgate.testing import FakeClock


class FakeSource:
    """A provider that lists these models, or fails to."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.asked = self.learnt = 0

    async def models(self) -> tuple[ModelInfo, ...]:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return tuple(ModelInfo(name=name, provider="p", loaded=True) for name in self.names)

    async def learn(self) -> None:
        self.learnt += 1


class Case:
    """A catalog of one provider."""

    def __init__(self, *has: str, configured: tuple[str, ...] = (), asks: bool = True, is_near: bool = False) -> None:
        self.source = FakeSource(*has)
        self.clock = FakeClock()
        listed = Listed(
            source=self.source, models=configured, default_model="d", is_open=True, asks=asks, is_near=is_near
        )
        self.catalog = ModelCatalog({"p": listed}, default_provider="p", clock=self.clock)

    @property
    def seen(self) -> frozenset[str]:
        return self.catalog.view().providers["p"].models


async def test_configured_models_are_known_before_anybody_is_asked() -> None:
    case = Case("a", configured=("c",))
    assert case.catalog.view().providers == {
        "p": ProviderView(models=frozenset({"c"}), default_model="d", is_open=True)
    }
    assert case.catalog.view().default_provider == "p"
    assert [(model.name, model.loaded) for model in case.catalog.models()] == [("c", None)]
    assert case.source.asked == 0


async def test_a_refresh_adds_what_the_provider_lists_and_drops_what_it_no_longer_does() -> None:
    case = Case("a", "c", configured=("c",))
    before = case.catalog.view()
    await case.catalog.refresh()
    assert case.seen == {"a", "c"}
    assert [(model.name, model.loaded) for model in case.catalog.models()] == [("c", True), ("a", True)]
    assert before.providers["p"].models == {"c"}, "a view never changes"
    case.source.names = ("b",)
    case.clock.advance(AGAIN_AFTER_S)
    await case.catalog.refresh()
    assert case.seen == {"b", "c"}


async def test_a_provider_is_asked_at_most_once_every_two_seconds() -> None:
    case = Case("a")
    await case.catalog.refresh()
    await case.catalog.refresh()
    case.clock.advance(AGAIN_AFTER_S - 0.1)
    await case.catalog.refresh()
    assert case.source.asked == 1
    case.clock.advance(0.1)
    await case.catalog.refresh()
    assert case.source.asked == 2


async def test_what_is_on_this_machine_is_looked_at_again_at_once_and_nobody_else_is_asked() -> None:
    near, far, clock = FakeSource("a"), FakeSource("f"), FakeClock()
    catalog = ModelCatalog(
        {"near": Listed(source=near, is_near=True), "far": Listed(source=far)}, default_provider="near", clock=clock
    )
    await catalog.refresh()
    near.names = ("a", "pulled")
    clock.advance(2 * NEAR_AGAIN_AFTER_S)
    await catalog.refresh()
    await catalog.refresh()
    assert catalog.view().providers["near"].models == {"a", "pulled"}
    assert catalog.view().providers["far"].models == {"f"}
    assert (near.asked, far.asked) == (2, 1)
    clock.advance(AGAIN_AFTER_S)
    await catalog.refresh()
    assert (near.asked, far.asked) == (3, 2)


async def test_where_a_model_of_this_machine_is_another_now_nobody_else_is_asked() -> None:
    near, far, clock = FakeSource("a"), FakeSource("f"), FakeClock()
    listed = {"near": Listed(source=near, is_near=True), "far": Listed(source=far)}
    catalog = ModelCatalog(listed, default_provider="near", clock=clock)
    await catalog.refresh()
    clock.advance(3600.0)
    for _ in range(2):
        await catalog.refresh(at_once=True, near=True)
    assert (near.asked, far.asked) == (3, 1)
    assert catalog.view().providers["far"].models == {"f"}
    await catalog.refresh()
    assert (near.asked, far.asked) == (4, 2), "and that was no look at the others"


async def test_a_model_that_was_got_a_moment_ago_is_asked_for_at_once() -> None:
    case = Case("a")
    await case.catalog.refresh()
    case.source.names = ("a", "pulled")
    await case.catalog.refresh(at_once=True)
    assert case.seen == {"a", "pulled"}


async def test_many_askers_share_one_question_and_one_who_leaves_does_not_end_it() -> None:
    case = Case("a")
    case.source.gate = asyncio.Event()
    askers = [asyncio.create_task(case.catalog.refresh()) for _ in range(3)]
    while not case.source.asked:
        await asyncio.sleep(0)
    askers[0].cancel()
    case.source.gate.set()
    results = await asyncio.gather(*askers, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == [None, None]
    assert case.source.asked == 1
    assert case.seen == {"a"}


@pytest.mark.parametrize("error", [UpstreamUnreachable(), TimeoutError()])
async def test_a_provider_that_cannot_tell_keeps_what_it_had(error: Exception) -> None:
    case = Case("a")
    await case.catalog.refresh()
    case.source.error = error
    case.clock.advance(AGAIN_AFTER_S)
    await case.catalog.refresh()
    assert case.seen == {"a"}


async def test_one_that_is_not_to_be_asked_is_not() -> None:
    case = Case("a", configured=("c",), asks=False)
    await case.catalog.refresh()
    assert case.source.asked == 0
    assert case.seen == {"c"}


async def test_closing_ends_a_question_under_way() -> None:
    case = Case("a")
    case.source.gate = asyncio.Event()
    asker = asyncio.create_task(case.catalog.refresh())
    while not case.source.asked:
        await asyncio.sleep(0)
    await case.catalog.close()
    with pytest.raises(asyncio.CancelledError):
        await asker
    await case.catalog.close()


# ------------------------------------------------------------------------------------------ what is known of models

TOOLS, VISION = Capability.TOOLS, Capability.VISION


class TellingSource(FakeSource):
    """A provider whose list tells what its models can."""

    def __init__(self, *models: ModelInfo) -> None:
        super().__init__()
        self.infos = models

    async def models(self) -> tuple[ModelInfo, ...]:
        await super().models()
        return self.infos


def told(name: str = "a", **more: object) -> ModelInfo:
    facts: dict[str, object] = {
        "context_tokens": 4096,
        "lacks": frozenset({VISION}),
        "capabilities": frozenset({TOOLS}),
    }
    return ModelInfo(name=name, provider="p", **(facts | more))  # type: ignore[arg-type] # its fields


def catalog_of(
    source: FakeSource,
    *,
    asks: bool = True,
    tells: bool = True,
    models: tuple[str, ...] = (),
    beside: Beside | None = None,
    clock: FakeClock | None = None,
) -> ModelCatalog:
    listed = Listed(source=source, models=models, is_open=True, asks=asks, tells=tells)
    return ModelCatalog({"p": listed}, default_provider="p", clock=clock or FakeClock(), beside=beside)


async def test_what_the_provider_lists_limits_what_is_asked_of_its_models() -> None:
    catalog = catalog_of(TellingSource(told(), ModelInfo(name="b", provider="p")))
    assert catalog.view().facts == {}
    await catalog.refresh()
    assert set(catalog.view().facts) == {("p", "a")}, "of the others nothing is known"
    facts = catalog.view().facts["p", "a"]
    assert (facts.context_tokens, facts.lacks) == (4096, frozenset({VISION}))


async def test_the_operator_is_believed_before_the_list_and_the_list_before_what_is_published() -> None:
    stated = Facts(context_tokens=100, capabilities=frozenset({VISION}))
    beside = Beside(stated={("p", "gpt-4o"): stated}, kinds={"p": "openai"})
    source = TellingSource(told("gpt-4o"), told("gpt-4o-mini", context_tokens=None))
    catalog = catalog_of(source, beside=beside)
    await catalog.refresh()
    first, second = catalog.models()
    assert first.context_tokens == 100
    assert first.capabilities == {VISION, TOOLS}
    assert first.lacks == frozenset()
    assert second.context_tokens == 128_000
    assert second.price is not None
    assert ("p", "gpt-4o-mini") in catalog.view().facts
    assert catalog.view().facts["p", "gpt-4o-mini"].context_tokens is None, "what is published is not that certain"


async def test_what_the_operator_states_holds_for_models_nobody_lists() -> None:
    catalog = catalog_of(FakeSource(), beside=Beside(stated={(None, "x"): Facts(context_tokens=5)}))
    assert catalog.view().facts["p", "x"].context_tokens == 5


async def test_a_price_alone_that_the_operator_states_counts_where_the_cheapest_is_asked() -> None:
    mine = Price(rates=Rates(input_usd=Decimal(1), output_usd=Decimal(2)), source="configuration")
    beside = Beside(stated={("p", "gpt-4o"): Facts(price=mine), (None, "x"): Facts(price=mine)}, kinds={"p": "openai"})
    catalog = catalog_of(FakeSource(), beside=beside)
    assert catalog.view().facts == {}, "a price limits nothing"
    for model in ("gpt-4o", "x"):
        assert cost_of(Candidate(provider="p", model=model), catalog) == 3.0
    assert cost_of(Candidate(provider="p", model="y"), catalog) is None
    assert catalog.published("p", "gpt-4o").context_tokens == 128_000


async def test_a_list_that_is_not_needed_for_routing_is_read_once_an_hour_and_adds_no_names() -> None:
    clock, source = FakeClock(), TellingSource(told(), told("of hundreds"))
    catalog = catalog_of(source, asks=False, models=("a",), clock=clock)
    await catalog.refresh()
    assert source.asked == 0
    await asyncio.gather(catalog.learn(), catalog.learn())
    assert source.asked == 1
    assert catalog.view().providers["p"].models == {"a"}
    assert [(model.name, model.context_tokens) for model in catalog.models()] == [("a", 4096)]
    assert ("p", "of hundreds") in catalog.view().facts, "it may be asked for all the same"
    clock.advance(LEARN_AFTER_S - 1)
    await catalog.learn()
    assert source.asked == 1
    clock.advance(1)
    await catalog.learn()
    assert source.asked == 2


async def test_a_provider_that_is_asked_to_route_is_asked_for_more_apart() -> None:
    clock, source = FakeClock(), TellingSource(told())
    catalog = catalog_of(source, clock=clock)
    await catalog.refresh()
    assert (source.asked, source.learnt) == (1, 0)
    source.infos = (told(context_tokens=9),)
    await catalog.learn()
    await catalog.learn()
    assert (source.asked, source.learnt) == (2, 1)
    assert catalog.view().facts["p", "a"].context_tokens == 9
    clock.advance(AGAIN_AFTER_S)
    await catalog.learn()
    assert source.learnt == 2


async def test_a_list_that_could_not_be_read_is_tried_again_soon_and_is_no_reason_to_call_a_provider_silent() -> None:
    clock, source = FakeClock(), TellingSource(told())
    catalog = catalog_of(source, asks=False, clock=clock)
    source.error = UpstreamUnreachable()
    await catalog.learn()
    assert catalog.silent == {}
    source.error = None
    await catalog.learn()
    assert source.asked == 1
    clock.advance(LEARN_AGAIN_AFTER_S)
    await catalog.learn()
    assert ("p", "a") in catalog.view().facts


async def test_a_list_that_tells_names_only_is_not_read_for_more() -> None:
    source = FakeSource("a")
    await catalog_of(source, asks=False, tells=False).learn()
    assert source.asked == 0


async def test_closing_ends_the_reading_of_a_list() -> None:
    source = TellingSource(told())
    source.gate = asyncio.Event()
    catalog = catalog_of(source, asks=False)
    catalog.learn_soon()
    while not source.asked:
        await asyncio.sleep(0)
    await catalog.close()
    with pytest.raises(asyncio.CancelledError):
        await catalog.learn()
