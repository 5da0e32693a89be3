"""What answering several at once is worth, engine by engine."""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from tests.endure.page import Report, table
from tests.lifecycle.asking import QUESTIONS, Came, Outcome, Question, ask
from tests.lifecycle.stage import MODELS, Stage, stage

__all__ = ["batching"]

STARTER = Path("~/.cache/farmgate-tests/models/starter.gguf").expanduser()
"""SmolLM2, 135 million parameters, where the tests keep it: with the guide, carrying its words costs more than making
them."""
STORY = Question("Tell me a story about a gate.", ())
LEAST: Mapping[str, float] = {"llamacpp": 1.3, "transformers": 3.0}
"""How many times the tokens of one caller eight must get."""
TURNS = 5
THREADS: Mapping[str, tuple[int, ...]] = {"llamacpp": (1, 2), "transformers": (1,)}
"""Which of them gains more depends on the processor: where it waits for memory eight share what one thread has read;
where it has to compute, eight use the second thread better than one does."""


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
        if engine == "llamacpp" and not STARTER.is_file():
            report.unjudged.append(f"llama.cpp: {STARTER} is not there; `make test` gets it")
            continue
        model = "SmolLM2-135M" if engine == "llamacpp" else "the guide"
        gains = []
        for threads in THREADS[engine]:
            one, eight = await paces(directory / f"{engine}-{threads}", engine, threads=threads, seconds=seconds)
            gains.append(eight / one)
            rows.append((f"{engine}, {model}", str(threads), f"{one:,.0f}", f"{eight:,.0f}", f"**{eight / one:.2f}**"))
        kept = max(gains) >= LEAST[engine]
        report.promise(f"{engine}: eight callers get {max(gains):.2f} times the tokens of one", is_kept=kept)
    report.say(
        f"Tokens a second through the gate, streamed, {seconds:g} s each in {TURNS} turns, their median. "
        "Every answer of the guide is the one it gives a caller alone.",
        "",
        *table(("engine", "threads", "one caller", "eight", "times as many"), rows),
    )
    return report


async def paces(directory: Path, engine: str, *, threads: int, seconds: float) -> tuple[float, float]:
    """What one caller and eight get of an engine with so many threads."""
    own: dict[str, object] = {"parallel": 8, "threads": threads, **versions(engine)}
    question = QUESTIONS[0]
    if engine == "llamacpp":
        own |= {"versions": {"1": str(STARTER)}, "context": 512}
        question = STORY
    async with stage(directory, guide=own) as here:
        await here.do("load")
        await tokens_a_second(here, question, 8, 1.0)
        # In turns, so that a machine which is slower for a while is so for both.
        ones, eights = [], []
        for _ in range(TURNS):
            ones.append(await tokens_a_second(here, question, 1, seconds / TURNS))
            eights.append(await tokens_a_second(here, question, 8, seconds / TURNS))
        return median(ones), median(eights)


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
