"""Whether memory comes back when models leave, engine by engine."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

from tests.endure.page import Report, table
from tests.lifecycle.asking import QUESTIONS, Outcome, ask
from tests.lifecycle.stage import MODELS, Stage, stage

__all__ = ["memory"]

Use: TypeAlias = Callable[[Stage], Awaitable[None]]
CODE = Path(__file__).parent / "code" / "ballast.py"
TENSOR = {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1.0, 2.0, 3.0, 4.0]}
USERS = 8
MOST_LEFT = 0.05
ROUNDS = 3
NEEDS = {"transformers": "torch", "onnx": "onnxruntime"}
"""Packages without which an engine is not installed."""


async def memory(directory: Path) -> Report:
    """Loaded and unloaded again and again, a gate with its processes has what it had."""
    report = Report()
    rows = []
    for engine in ("llamacpp", "transformers", "python", "onnx"):
        if engine in NEEDS and importlib.util.find_spec(NEEDS[engine]) is None:
            report.unjudged.append(f"{engine} is not installed here")
            continue
        source, use = model_of(engine, directory)
        async with stage(directory / engine, models={"guide": {"source": source, "engine": engine}}) as here:
            # What is made once, as the typed API, is no model's.
            await round_trip(here, use)
            before = here.memory_mib()
            loaded = [await round_trip(here, use) for _ in range(ROUNDS)]
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


def model_of(engine: str, directory: Path) -> tuple[str, Use]:
    """A model for an engine, and how it is asked."""
    match engine:
        case "llamacpp":
            return str(MODELS / "guide-1.gguf"), chat
        case "transformers":
            return str(MODELS / "guide-1"), chat
        case "python":
            return f"{CODE}:Ballast", infer
        case _:
            from tests.live.engines.of_graphs.graphs import linear

            return str(linear(directory / "linear.onnx")), infer


async def chat(here: Stage) -> None:
    came = await asyncio.gather(*(ask(here.port, QUESTIONS[0]) for _ in range(USERS)))
    assert all(one.outcome is Outcome.WHOLE for one in came), came[:2]


async def infer(here: Stage) -> None:
    asked = {"inputs": [TENSOR]}
    answers = await asyncio.gather(*(here.call("POST", "/v2/models/guide/infer", asked) for _ in range(USERS)))
    assert all(answer["outputs"][0]["shape"][0] == 2 for answer in answers), answers[:2]


async def round_trip(here: Stage, use: Use) -> float:
    """Load, answer, unload; the memory while it answered."""
    assert (await here.do("load"))["error"] is None
    await use(here)
    loaded = here.memory_mib()
    assert (await here.do("unload"))["error"] is None
    return loaded
