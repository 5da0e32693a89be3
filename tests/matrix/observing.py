"""What happens in each cell of the matrix: asked, looked at on both sides, and named.

exact: the caller's bytes went out and the provider's came back, but for the model's name and usage that was asked for.
translated: every fact survived both ways. refused: 400 with `param`, and nothing was sent. dropped: answered, and what
the provider could not be told is announced. Anything else is a Flaw.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.matrix.custom import parts_before_end
from tests.matrix.facts import NAMES, PROBES, Fact, Feature, Heard, Probe, Tokens, Told
from tests.matrix.provider import Provider, Recording
from tests.matrix.stage import Stage, stage, written
from tests.matrix.surface import Answered, Json, Surface
from tests.matrix.walking import has

__all__ = ["Cell", "Flaw", "Outcome", "observe"]


class Outcome(StrEnum):
    """What a cell says, from the best to the one that is least of all."""

    EXACT = "exact"
    TRANSLATED = "translated"
    DROPPED = "dropped"
    REFUSED = "refused"
    NOTHING = "—"


RANK = tuple(Outcome)
PART = re.compile(r"(messages|input)\[\d+\]\.content\[\d+\]")


class Flaw(AssertionError):
    """A fact was lost and nobody said so, or an answer is not what it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell. `names`: what was dropped, or the field that was refused; `flaw`: why the cell is wrong."""

    surface: str
    provider: str
    feature: Feature
    outcome: Outcome = Outcome.NOTHING
    names: tuple[str, ...] = ()
    flaw: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one request of a cell showed."""

    outcome: Outcome
    names: tuple[str, ...] = ()


async def observe(surfaces: Sequence[Surface], providers: Sequence[Provider], folder: Path) -> list[Cell]:
    """Every cell, one after the other."""
    async with stage(providers, folder) as here:
        return [
            await cell(here, surface, provider.facing(surface.name), feature)
            for surface in surfaces
            for provider in providers
            for feature in Feature
        ]


async def cell(here: Stage, surface: Surface, provider: Provider, feature: Feature) -> Cell:
    try:
        seen = await look(here, surface, provider, feature)
    except (AssertionError, KeyError, IndexError, TypeError, ValueError) as error:
        told = f"{type(error).__name__}: {error}" if not isinstance(error, Flaw) else str(error)
        return Cell(surface=surface.name, provider=provider.name, feature=feature, flaw=told or "an assertion failed")
    outcome = max((one.outcome for one in seen), key=RANK.index, default=Outcome.NOTHING)
    names = dict.fromkeys(name for one in seen for name in one.names)
    return Cell(surface=surface.name, provider=provider.name, feature=feature, outcome=outcome, names=tuple(names))


async def look(here: Stage, surface: Surface, provider: Provider, feature: Feature) -> list[Seen]:
    match feature:
        case Feature.ERROR:
            return [one for probe in PROBES[feature] if (one := await failed(here, surface, provider, probe))]
        case Feature.TRUNCATED:
            return [one for probe in PROBES[feature] for one in await truncated(here, surface, provider, probe)]
        case _:
            return [
                one for probe in PROBES[feature] if (one := await answered(here, surface, provider, feature, probe))
            ]


# ---------------------------------------------------------------------------------------------------- whole answers


async def answered(here: Stage, surface: Surface, provider: Provider, feature: Feature, probe: Probe) -> Seen | None:
    """One request, and all of it that is there on the other side; None where nothing is recorded to answer it."""
    recording = provider.recording(probe.recording)
    if recording is None and probe.recording.startswith("filtered"):
        return None
    here.prepare(provider, recording)
    body = surface.body(feature, provider.model, stream=probe.stream)
    got = await here.ask(surface, surface.path(stream=probe.stream), body)
    heard = surface.hear(got, stream=probe.stream)
    if got.status == 400 and not here.is_reached(provider):
        return refused(body, heard)
    if recording is None:
        raise Flaw(f"answered {got.status}, and there is no recording {probe.recording}: {got.body[:300]!r}")
    if got.status != 200:
        raise Flaw(f"answered {got.status}: {got.body[:300]!r}")
    compare(recording.told, heard, surface)
    check_announced(got, heard)
    lost = [fact for fact in here.lost(provider, surface.says(feature)) if fact not in excused(got.dropped)]
    if lost:
        raise Flaw(f"lost without a word: {', '.join(lost)}; dropped {got.dropped}; sent {sent(here, provider)}")
    if got.dropped:
        return Seen(Outcome.DROPPED, got.dropped)
    return Seen(Outcome.EXACT if is_exact(here, surface, provider, recording, body, got) else Outcome.TRANSLATED)


def sent(here: Stage, provider: Provider) -> str:
    return " ".join(asked.body.decode()[:1500] for asked in here.asked(provider))


def refused(body: Json, heard: Heard) -> Seen:
    """A refusal names a field that is in the body."""
    if heard.error is None or heard.param is None:
        raise Flaw(f"refused without naming a field: {heard.error}")
    if not has(body, heard.param):
        raise Flaw(f"refused for `{heard.param}`, which was not sent: {heard.error}")
    return Seen(Outcome.REFUSED, (heard.param,))


def excused(dropped: Sequence[str]) -> frozenset[Fact]:
    """The facts whose loss these names announce."""
    names = ["messages.content" if PART.fullmatch(name) else name for name in dropped]
    return frozenset(fact for name in names for fact in NAMES.get(name, frozenset()))


def check_announced(got: Answered, heard: Heard) -> None:
    """What the header says stands beside the usage too, where the answer tells usage at all."""
    if heard.tokens is not None and set(heard.dropped) != set(got.dropped):
        raise Flaw(f"the header says {got.dropped}, the usage {heard.dropped}")


def is_exact(
    here: Stage, surface: Surface, provider: Provider, recording: Recording, body: Json, got: Answered
) -> bool:
    """Whether the body went out byte for byte, and the answer came back so. Names of models are the same on both sides
    here, and usage is asked for by the caller: neither has to be written into the body."""
    if surface.dialect != provider.dialect or not provider.has_wire:
        return False
    return is_forwarded(here, provider, body) and got.body == recording.bytes_sent()


def is_forwarded(here: Stage, provider: Provider, body: Json) -> bool:
    (asked,) = here.asked(provider)
    return asked.body == written(body)


def compare(told: Told, heard: Heard, surface: Surface) -> None:
    """Raise a Flaw for what of a recording was not heard."""
    untold = surface.untold
    if not heard.is_complete:
        raise Flaw(f"the answer is not complete: {heard}")
    if heard.error is not None:
        raise Flaw(f"an error stands in a whole answer: {heard.error}")
    for name in ("text", "reasoning"):
        if getattr(told, name) != getattr(heard, name) and name not in untold:
            raise Flaw(f"{name}: told {getattr(told, name)!r}, heard {getattr(heard, name)!r}")
    if told.finish != heard.finish and "stop reason" not in untold:
        raise Flaw(f"stop reason: told {told.finish}, heard {heard.finish}")
    wanted = [(call.name, call.arguments) for call in told.calls]
    if wanted != [(call.name, call.arguments) for call in heard.calls]:
        raise Flaw(f"calls: told {told.calls}, heard {heard.calls}")
    for one, other in zip(told.calls, heard.calls, strict=True):
        if one.id != other.id and (one.id is not None or not other.id):
            raise Flaw(f"id of a call: told {one.id}, heard {other.id}")
    if seen_of(told.tokens, surface) != seen_of(heard.tokens, surface):
        raise Flaw(f"usage: told {told.tokens}, heard {heard.tokens}")


def seen_of(tokens: Tokens | None, surface: Surface) -> Tokens | None:
    """What of a usage this surface has a place for."""
    if tokens is None or "usage" in surface.untold:
        return None
    return Tokens(
        prompt=tokens.prompt,
        completion=tokens.completion,
        cached=0 if "cached tokens" in surface.untold else tokens.cached,
        reasoning=0 if "reasoning tokens" in surface.untold else tokens.reasoning,
    )


# -------------------------------------------------------------------------------------------------------- failures


async def failed(here: Stage, surface: Surface, provider: Provider, probe: Probe) -> Seen | None:
    """An error of the provider's: its status, its words, when to come back, in the caller's own shape."""
    recording = provider.recording(probe.recording)
    if recording is None:
        if provider.has_wire:
            raise Flaw(f"there is no recording {probe.recording}")
        return None
    here.prepare(provider, recording)
    body = surface.body(Feature.ERROR, provider.model, stream=probe.stream)
    got = await here.ask(surface, surface.path(stream=probe.stream), body)
    if got.status != (recording.heard_status or recording.status):
        raise Flaw(f"the provider said {recording.status}, the caller heard {got.status}: {got.body[:300]!r}")
    heard = surface.hear(got, stream=probe.stream)
    if recording.error not in (heard.error or ""):
        raise Flaw(f"the provider's words {recording.error!r} are not in {heard.error!r}")
    if got.status == 429 and got.headers.get("retry-after") != "7":
        raise Flaw(f"Retry-After is {got.headers.get('retry-after')}")
    return Seen(Outcome.TRANSLATED)


async def truncated(here: Stage, surface: Surface, provider: Provider, probe: Probe) -> list[Seen]:
    """A stream that breaks off, wherever it does: never a whole answer, always an error in the caller's dialect."""
    recording = provider.recording(probe.recording)
    if recording is None and provider.has_wire:
        raise Flaw(f"there is no recording {probe.recording}")
    if recording is None or (not provider.has_wire and not provider.places):
        return []
    seen: list[Seen] = []
    cuts = provider.cuts(recording) if provider.has_wire else range(parts_before_end(recording.told) + 1)
    for number, at in enumerate(cuts):
        here.prepare_cut(provider, recording, at, in_order=number % 2 == 0)
        body = surface.body(Feature.TRUNCATED, provider.model, stream=True)
        got = await here.ask(surface, surface.path(stream=True), body)
        if got.status == 400 and not here.is_reached(provider):
            return [refused(body, surface.hear(got, stream=True))]
        check_broken(surface, got, at)
        is_same = surface.dialect == provider.dialect and is_forwarded(here, provider, body)
        is_same = is_same and is_beginning(got, recording, surface)
        seen.append(Seen(Outcome.EXACT if is_same else Outcome.TRANSLATED))
    return seen


def check_broken(surface: Surface, got: Answered, at: int) -> None:
    if got.status not in (200, 502, 503):
        raise Flaw(f"cut at {at}: answered {got.status}: {got.body[:300]!r}")
    heard = surface.hear(got, stream=True)
    if heard.is_complete:
        raise Flaw(f"cut at {at}: taken for a whole answer: {got.body[-300:]!r}")
    if heard.error is None:
        raise Flaw(f"cut at {at}: no error in this dialect: {got.body[-300:]!r}")


def is_beginning(got: Answered, recording: Recording, surface: Surface) -> bool:
    """Whether all that came before the error is the provider's own."""
    if got.status != 200:
        return True
    joint = b"\n" if recording.file.endswith(".jsonl") else b"\n\n"
    before = got.body.removesuffix(joint).rsplit(joint, surface.last_words)
    return len(before) <= surface.last_words or recording.bytes_sent().startswith(before[0])
