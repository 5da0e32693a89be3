"""Which models there are, and how often the providers are asked."""

from __future__ import annotations

import asyncio

import pytest

from farmgate.admin.catalog import AGAIN_AFTER_S, Listed, ModelCatalog
from farmgate.core.errors import UpstreamUnreachable
from farmgate.core.model import ModelInfo
from farmgate.flow.route import ProviderView
from farmgate.testing import FakeClock


class FakeSource:
    """A provider that lists these models, or fails to."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.asked = 0

    async def models(self) -> tuple[ModelInfo, ...]:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return tuple(ModelInfo(name=name, provider="p", loaded=True) for name in self.names)


class Case:
    """A catalog of one provider."""

    def __init__(self, *has: str, configured: tuple[str, ...] = (), asks: bool = True) -> None:
        self.source = FakeSource(*has)
        self.clock = FakeClock()
        listed = Listed(source=self.source, models=configured, default_model="d", is_open=True, asks=asks)
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
