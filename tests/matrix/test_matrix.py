"""Every surface with every provider and every feature: nothing is lost that is not refused by name or announced."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.matrix.everyone import PROVIDERS, SURFACES
from tests.matrix.facts import FACTS, Fact, Feature, Heard, Tokens, Told
from tests.matrix.observing import Cell, Flaw, Outcome, compare, excused, refused
from tests.matrix.surfaces import OllamaSurface, OpenAISurface
from tests.matrix.table import observed, page
from tests.matrix.walking import lost_facts

from farmgate.providers.registry import CODED

PAGE = Path(__file__).parents[2] / "docs" / "dialects.md"
PLACES = [(surface.name, provider.name) for surface in SURFACES for provider in PROVIDERS]


@pytest.fixture(scope="module")
def cells() -> dict[tuple[str, str, Feature], Cell]:
    return {(cell.surface, cell.provider, cell.feature): cell for cell in observed()}


@pytest.mark.parametrize("feature", Feature)
@pytest.mark.parametrize(("surface", "provider"), PLACES)
def test_nothing_is_lost_in_silence(
    cells: dict[tuple[str, str, Feature], Cell], surface: str, provider: str, feature: Feature
) -> None:
    assert not cells[surface, provider, feature].flaw


def test_every_provider_that_is_known_by_a_kind_of_its_own_stands_here() -> None:
    names = [provider.name for provider in PROVIDERS]
    assert sorted(names) == sorted({*CODED, "openai", "local", "custom"})
    assert sorted(surface.name for surface in SURFACES) == ["anthropic", "farmgate", "ollama", "openai", "responses"]


def test_no_cell_is_empty_but_where_nothing_can_break(cells: dict[tuple[str, str, Feature], Cell]) -> None:
    empty = {(cell.provider, cell.feature) for cell in cells.values() if cell.outcome is Outcome.NOTHING}
    assert empty == {("demo", Feature.ERROR), ("demo", Feature.TRUNCATED)}


@pytest.mark.parametrize("name", ["openai", "responses", "anthropic"])
def test_one_dialect_is_relayed_byte_for_byte(cells: dict[tuple[str, str, Feature], Cell], name: str) -> None:
    provider = "openai" if name == "responses" else name
    inexact = {feature for feature in Feature if cells[name, provider, feature].outcome is not Outcome.EXACT}
    assert inexact == {Feature.ERROR}, "errors are told in our words"


def test_what_an_ollama_streams_is_relayed_byte_for_byte(cells: dict[tuple[str, str, Feature], Cell]) -> None:
    streams = (Feature.STREAM, Feature.STREAMED_TOOLS, Feature.TRUNCATED)
    assert {cells["ollama", "ollama", feature].outcome for feature in streams} == {Outcome.EXACT}


def test_the_page_says_what_was_seen(cells: dict[tuple[str, str, Feature], Cell]) -> None:
    assert PAGE.read_text() == page(list(cells.values())), "run python tools/generate.py"


# ------------------------------------------------------------------------------------------- whether it would notice

OPENAI = next(provider for provider in PROVIDERS if provider.name == "openai")
SAID = OpenAISurface().body(Feature.PARALLEL_TOOLS, "m", stream=False)
TOLD = Told(text="a", tokens=Tokens(prompt=3, completion=2, cached=1))
HEARD = Heard(text="a", tokens=TOLD.tokens, finish="stop", is_complete=True)


def lost(body: object) -> set[Fact]:
    return set(lost_facts(body, FACTS[Feature.PARALLEL_TOOLS], OPENAI.places))


def test_a_body_that_says_everything_has_lost_nothing() -> None:
    assert lost(SAID) == set()


def test_a_fact_that_is_gone_or_elsewhere_is_lost() -> None:
    assert lost(SAID | {"tools": []}) == {Fact.TOOL_NAME, Fact.TOOL_DESCRIPTION, Fact.TOOL_SCHEMA}
    assert Fact.SYSTEM in lost(SAID | {"messages": SAID["messages"][1:]})


def test_turns_in_another_order_are_lost() -> None:
    first, user, *middle, last = SAID["messages"]
    assert lost(SAID | {"messages": [first, last, user, *middle]})
    call, one, other = middle
    assert Fact.SECOND_RESULT in lost(SAID | {"messages": [first, user, call, other, one, last]})


@pytest.mark.parametrize(
    "heard",
    [
        replace(HEARD, text="b"),
        replace(HEARD, reasoning="c"),
        replace(HEARD, finish="length"),
        replace(HEARD, tokens=Tokens(prompt=3, completion=2)),
        replace(HEARD, is_complete=False),
        replace(HEARD, error="no"),
    ],
)
def test_an_answer_that_is_another_is_noticed(heard: Heard) -> None:
    compare(TOLD, HEARD, OpenAISurface())
    with pytest.raises(Flaw):
        compare(TOLD, heard, OpenAISurface())


def test_only_what_a_dialect_has_no_place_for_may_be_missing() -> None:
    compare(TOLD, replace(HEARD, tokens=Tokens(prompt=3, completion=2)), OllamaSurface())


def test_a_refusal_names_a_field_that_was_sent() -> None:
    with pytest.raises(Flaw):
        refused({"model": "m"}, Heard(error="no", param="tools"))
    with pytest.raises(Flaw):
        refused({"model": "m"}, Heard(error="no"))
    assert refused({"stop": ["x"]}, Heard(error="no", param="stop[0]")).names == ("stop[0]",)


def test_a_name_excuses_its_own_facts_alone() -> None:
    assert excused(["seed", "messages[3].content[1]"]) == {Fact.SEED, Fact.IMAGE, Fact.IMAGE_TYPE}
