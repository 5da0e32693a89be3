"""Facts are found in a body by their place and their value: no dialect's own reader is believed to check itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TypeAlias

from tests.matrix.facts import VALUES, Fact

__all__ = ["Place", "Places", "has", "lost_facts", "same"]

Place: TypeAlias = str | tuple[str, Callable[[object], bool]]
"""A regular expression for the path of a value, and what the value must be where it is not the fact's own."""
Places: TypeAlias = Mapping[Fact, Place]


def nodes(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Every value in a body, containers too, in order, with its path: `messages[0].content`."""
    yield path, value
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from nodes(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from nodes(inner, f"{path}[{at}]")


def same(value: object, wanted: object) -> bool:
    """A text may stand within a longer one (`data:image/png;base64,...`), an object within a text."""
    if isinstance(wanted, dict) and isinstance(value, str):
        try:
            return bool(json.loads(value) == wanted)
        except ValueError:
            return False
    if isinstance(wanted, str) and isinstance(value, str):
        return wanted in value
    if isinstance(value, list) and not isinstance(wanted, list):
        return wanted in value
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)


def lost_facts(body: object, facts: Collection[Fact], places: Places) -> list[Fact]:
    """The facts that are not in a body where they should be, or not in their order."""
    found: dict[Fact, int] = {}
    order = list(nodes(body))
    for fact in facts:
        place = places.get(fact, r"$^")
        pattern, accepts = place if isinstance(place, tuple) else (place, None)
        wanted = VALUES[fact]
        hits = [
            at
            for at, (path, value) in enumerate(order)
            if re.fullmatch(pattern, path) and (accepts(value) if accepts else same(value, wanted))
        ]
        if hits:
            found[fact] = hits[0]
    lost = [fact for fact in facts if fact not in found]
    return lost + out_of_order(found)


def out_of_order(found: Mapping[Fact, int]) -> list[Fact]:
    """Facts of the conversation that stand before one they should follow."""
    turns = (
        (Fact.USER,),
        (Fact.FIRST_NAME, Fact.FIRST_ID, Fact.FIRST_ARGUMENTS),
        (Fact.SECOND_NAME, Fact.SECOND_ID, Fact.SECOND_ARGUMENTS),
        (Fact.FIRST_RESULT, Fact.FIRST_ANSWERED),
        (Fact.SECOND_RESULT, Fact.SECOND_ANSWERED),
        (Fact.QUESTION,),
    )
    wrong: list[Fact] = []
    latest = -1
    for turn in turns:
        places = [(found[fact], fact) for fact in turn if fact in found]
        wrong += [fact for at, fact in places if at < latest]
        latest = max([latest, *(at for at, _ in places)])
    return wrong


def has(body: object, param: str) -> bool:
    """Whether a body has a field of that name: `messages[2].content[1]`, `options.stop`."""
    return any(path == param for path, _ in nodes(body))
