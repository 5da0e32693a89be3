"""What answering several at once is worth, and whether memory comes back, engine by engine."""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import Mapping
from pathlib import Path

from tests.endure.page import Report, table
from tests.lifecycle.asking import QUESTIONS, Came, Outcome, Question, ask
from tests.lifecycle.stage import MODELS, Stage, stage

__all__ = ["batching", "memory"]

STARTER = Path("~/.cache/farmgate-tests/models/starter.gguf").expanduser()
"""SmolLM2, 135 million parameters, where the tests keep it: with the guide, carrying its words costs more than making
them."""
STORY = Question("Tell me a story about a gate.", ())
LEAST: Mapping[str, float] = {"llamacpp": 1.3, "transformers": 3.0}
"""How many times the tokens of one caller eight must get."""
MOST_LEFT = 0.05
ROUNDS = 3


def engines(report: Report) -> list[str]:
    """Those that are installed here."""
    there = ["llamacpp"]
    if importlib.util.find_spec("torch") is not None:
        return [*there, "transformers"]
    report.unjudged.append("transformers is not installed here")
    return there


def versions(engine: str) -> dict[str, object]:
    """The guide, as that engine takes it."""
    ending = ".gguf" if engine == "llamacpp" else ""
    return {"versions": {str(number): str(MODELS / f"guide-{number}{ending}") for number in (1, 2)}}


async def batching(directory: Path, *, seconds: float) -> Report:
    """Tokens a second of one caller, and of eight."""
    report = Report()
    rows = []
    for engine in engines(report):
        own: dict[str, object] = {"parallel": 8, "threads": 1, **versions(engine)}
        question, model = QUESTIONS[0], "the guide"
        if engine == "llamacpp":
            if not STARTER.is_file():
                report.unjudged.append(f"llama.cpp: {STARTER} is not there; `make test` gets it")
                continue
            own |= {"versions": {"1": str(STARTER)}, "context": 512}
            question, model = STORY, "SmolLM2-135M"
        async with stage(directory / engine, guide=own) as here:
            await here.do("load")
            await tokens_a_second(here, question, 8, 1.0)
            one = await tokens_a_second(here, question, 1, seconds)
            eight = await tokens_a_second(here, question, 8, seconds)
        rows.append((f"{engine}, {model}", f"{one:,.0f}", f"{eight:,.0f}", f"**{eight / one:.2f}**"))
        kept = eight >= LEAST[engine] * one
        report.promise(f"{engine}: eight callers get {eight / one:.2f} times the tokens of one", is_kept=kept)
    report.say(
        f"Tokens a second through the gate, streamed, {seconds:g} s each, one thread for a model. "
        "Every answer of the guide is the one it "
        "gives a caller alone.",
        "",
        *table(("engine", "one caller", "eight", "times as many"), rows),
    )
    return report


async def tokens_a_second(here: Stage, question: Question, callers: int, seconds: float) -> float:
    came: list[Came] = []
    # Where the end is not known beforehand, it is set.
    more = {} if question.answers else {"max_tokens": 50}
    began = time.monotonic()

    async def caller() -> None:
        while time.monotonic() < began + seconds:
            came.append(await ask(here.port, question, more=more))

    await asyncio.gather(*(caller() for _ in range(callers)))
    assert all(one.outcome is Outcome.WHOLE for one in came), came[:2]
    return sum(one.tokens for one in came) / (time.monotonic() - began)


async def memory(directory: Path) -> Report:
    """Loaded and unloaded again and again, a gate with its processes has what it had."""
    report = Report()
    rows = []
    for engine in engines(report):
        async with stage(directory / engine, guide=versions(engine)) as here:
            # What is made once, as the typed API, is no model's.
            await round_trip(here)
            before = here.memory_mib()
            loaded = [await round_trip(here) for _ in range(ROUNDS)]
            after = here.memory_mib()
            left = {one["name"]: one["models"] for one in await here.devices() if one["models"]}
        rows.append((engine, f"{before:.1f}", f"{max(loaded):.1f}", f"{after:.1f}", f"**{after / before:.1%}**"))
        kept = abs(after / before - 1) <= MOST_LEFT
        report.promise(f"{engine}: memory is {after / before:.1%} of what it was", is_kept=kept)
        report.promise(f"{engine}: the books hold {left}", is_kept=not left)
    report.say(
        f"Resident memory of the gate and all its processes, MiB: {ROUNDS} rounds of loading, answering, unloading.",
        "",
        *table(("engine", "before", "loaded", "after", "of before"), rows),
    )
    return report


async def round_trip(here: Stage) -> float:
    """Load, answer, unload; the memory while it answered."""
    assert (await here.do("load"))["error"] is None
    came = await asyncio.gather(*(ask(here.port, QUESTIONS[0]) for _ in range(8)))
    assert all(one.outcome is Outcome.WHOLE for one in came), came[:2]
    loaded = here.memory_mib()
    assert (await here.do("unload"))["error"] is None
    return loaded
