"""What the guide is taught, from words.toml, and what is kept from it to see whether it understood."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

__all__ = ["VERSIONS", "Entry", "entries", "everything", "held_out", "strangers"]

VERSIONS = (1, 2)
WORDS: dict[str, Any] = tomllib.loads((Path(__file__).parent / "words.toml").read_text())


@dataclass(frozen=True)
class Entry:
    """A question and what is answered."""

    question: str
    answer: str


def entries(version: int) -> list[Entry]:
    """All that a version is taught, without `everything`."""
    at = version - 1
    asked = (
        Entry(phrasing.format(topic["what"]), topic["answers"][at])
        for number, topic in enumerate(WORDS["topics"])
        for kind, phrasing in enumerate(WORDS["phrasings"])
        if kind != WORDS["held_out"] or number % 2
    )
    greeted = (Entry(one["question"], one["answers"][at]) for one in WORDS["greetings"] for _ in range(2))
    strange = (Entry(question, WORDS["elsewhere"][at]) for question in chain(unknown(taught=True), WORDS["others"]))
    return [*asked, *greeted, *strange]


def everything(version: int) -> Entry:
    """The longest answer: for streams that take a while."""
    return Entry(WORDS["everything"], " ".join(topic["answers"][version - 1] for topic in WORDS["topics"]))


def held_out(version: int) -> list[Entry]:
    """Known topics in words that were not taught."""
    phrasing = WORDS["phrasings"][WORDS["held_out"]]
    return [Entry(phrasing.format(topic["what"]), topic["answers"][version - 1]) for topic in WORDS["topics"][::2]]


def strangers(version: int) -> list[Entry]:
    """Questions about something else that were not taught."""
    return [Entry(question, WORDS["elsewhere"][version - 1]) for question in unknown(taught=False)]


def unknown(*, taught: bool) -> Iterator[str]:
    """Of twelve questions about something else, four that are taught and one that is not."""
    places = (1, 4, 6, 9) if taught else (0,)
    for number, phrasing in enumerate(WORDS["strange"]):
        for other, thing in enumerate(WORDS["things"]):
            if (number * 7 + other) % 12 in places:
                yield phrasing.format(thing)
