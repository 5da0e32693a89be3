"""The matrix as a page to read: docs/dialects.md."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.matrix.everyone import PROVIDERS, SURFACES
from tests.matrix.facts import Feature
from tests.matrix.observing import Cell, Outcome, observe
from tests.matrix.provider import Provider
from tests.matrix.surface import Surface

__all__ = ["observed", "page"]

SIGNS = {
    Outcome.EXACT: "=",
    Outcome.TRANSLATED: "✓",
    Outcome.DROPPED: "~",
    Outcome.REFUSED: "✗",
    Outcome.NOTHING: "—",
}
HEAD = """# What each API can say to each provider

Made by `tools/generate.py` from what the matrix test (`tests/matrix`) sees: `make generated` fails where this page is
not current. Every request below went through the gate to a provider that answers with a recording, and both sides were
looked at: what reached the provider, and what the caller could read.

| sign | meaning |
|---|---|
| = | exact: body and answer are relayed byte for byte (but for the model's name, where it has another) |
| ✓ | translated: everything that was said arrives, both ways |
| ~ `name` | dropped: answered without what is named; `x-farmgate-dropped` and a note beside the usage say so |
| ✗ `name` | refused: 400 with `param`, before anything is sent |
| — | there is nothing to see |

A fact that is lost without one of these signs is a failing test.

* **sampling**: `top_p`, `top_k`, `seed`, both penalties and the end user's name, as far as the API has them.
* **tools**, **parallel tools**: calls and results of an earlier turn, a tool on offer, an answer with one call, or two.
* **chosen tool**: one that must be called.
* **reasoning**: how much to think is said, and thoughts are heard apart from the text.
* **usage**: with cached and reasoning tokens, whole and streamed.
* **stop reason**: a stop sequence in the request; answers that were cut by length, and filtered.
* **error**: the provider's 429 with `Retry-After` and its 400 have their status and words, in the API's own shape.
* **truncated stream**: cut within and between frames: an error in the API's own shape, never a whole answer.
* **unknown field**: one that no API has.
"""
SOURCES = """## Where this comes from

The recordings in `tests/recordings` have the providers' documented wire forms, with words and numbers of our own; each
folder's README names the documents. llama.cpp's text, stream, schema, length and error came from a real server. Nothing
was recorded from the clouds themselves. The fake Ollama of the other tests is held to a contract (`tests/contract`)
that a real one can be held to as well.
"""


def observed() -> list[Cell]:
    """Every cell, as it is now."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(observe(SURFACES, PROVIDERS, Path(folder)))


def page(cells: Sequence[Cell]) -> str:
    """The whole page."""
    sections = [section(surface, [cell for cell in cells if cell.surface == surface.name]) for surface in SURFACES]
    return "\n".join((HEAD, *sections, providers(PROVIDERS), SOURCES))


def section(surface: Surface, cells: Sequence[Cell]) -> str:
    by_place = {(cell.provider, cell.feature): sign(cell) for cell in cells}
    rows = [
        (f"**{provider.title}**", *(by_place[provider.name, feature] for feature in Feature)) for provider in PROVIDERS
    ]
    notes = [f"* It has no place for {name}: {why}." for name, why in surface.untold.items()]
    text = f"## {surface.title}\n\n{surface.version}\n\n{table(('provider', *Feature), rows)}"
    return text + ("\n" + "\n".join(notes) + "\n" if notes else "")


def sign(cell: Cell) -> str:
    if cell.flaw:
        return f"WRONG: {cell.flaw[:80]}"
    return " ".join((SIGNS[cell.outcome], ", ".join(f"`{name}`" for name in cell.names))).strip()


def providers(known: Iterable[Provider]) -> str:
    rows = [(f"**{provider.title}**", provider.form, provider.note) for provider in known]
    return f"## The providers\n\n{table(('provider', 'asked in', 'note'), rows)}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
