"""What answering several at once is worth, and whether memory comes back."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from tests.endure.page import Report, table
from tests.lifecycle.asking import QUESTIONS, Came, Outcome, ask
from tests.lifecycle.stage import Stage, stage

__all__ = ["batching", "memory"]

LEAST = 1.3
MOST_LEFT = 0.05
ROUNDS = 5


async def batching(directory: Path, *, seconds: float) -> Report:
    """Tokens a second of one caller, and of eight."""
    report = Report()
    async with stage(directory, parallel=8, threads=2) as here:
        await here.do("load")
        await tokens_a_second(here, 8, 1.0)
        one = await tokens_a_second(here, 1, seconds)
        eight = await tokens_a_second(here, 8, seconds)
    report.say(
        f"llama.cpp with the guide, {seconds:g} s each.",
        "",
        *table(
            ("", ""),
            [
                ("One caller, tokens a second", f"{one:,.0f}"),
                ("Eight callers", f"{eight:,.0f}"),
                ("**Times as many**", f"**{eight / one:.2f}**"),
            ],
        ),
    )
    report.promise(f"eight callers get {eight / one:.2f} times the tokens", is_kept=eight >= LEAST * one)
    return report


async def tokens_a_second(here: Stage, callers: int, seconds: float) -> float:
    came: list[Came] = []
    began = time.monotonic()

    async def caller() -> None:
        while time.monotonic() < began + seconds:
            came.append(await ask(here.port, QUESTIONS[0]))

    await asyncio.gather(*(caller() for _ in range(callers)))
    assert all(one.outcome is Outcome.WHOLE for one in came), came[:2]
    return sum(one.tokens for one in came) / (time.monotonic() - began)


async def memory(directory: Path) -> Report:
    """Loaded and unloaded again and again, a gate with its processes has what it had."""
    report = Report()
    rows = []
    async with stage(directory) as here:
        # What is made once, as the typed API, is no model's.
        await round_trip(here)
        before = here.memory_mib()
        for number in range(1, ROUNDS + 1):
            loaded = await round_trip(here)
            rows.append((f"Round {number}: loaded, unloaded, MiB", f"{loaded:.1f}, {here.memory_mib():.1f}"))
        after = here.memory_mib()
        left = {name: one["models"] for one in await here.devices() if (name := one["name"]) and one["models"]}
    report.say(
        "llama.cpp: resident memory of the gate and all its processes, before, with the model answering, and after.",
        "",
        *table(
            ("", ""), [("Before, MiB", f"{before:.1f}"), *rows, ("**After, of before**", f"**{after / before:.1%}**")]
        ),
    )
    report.promise(f"memory is {after / before:.1%} of what it was", is_kept=abs(after / before - 1) <= MOST_LEFT)
    report.promise(f"the books hold {left}", is_kept=not left)
    return report


async def round_trip(here: Stage) -> float:
    """Load, answer, unload; the memory while it answered."""
    assert (await here.do("load"))["error"] is None
    came = await asyncio.gather(*(ask(here.port, QUESTIONS[0]) for _ in range(8)))
    assert all(one.outcome is Outcome.WHOLE for one in came)
    loaded = here.memory_mib()
    assert (await here.do("unload"))["error"] is None
    return loaded
