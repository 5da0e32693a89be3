"""What answering several at once is worth, engine by engine."""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import Mapping
from pathlib import Path

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
