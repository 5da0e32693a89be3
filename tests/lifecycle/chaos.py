"""Whatever operators, callers and the system do, in any order: the books are right, and nobody is lost."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.endure.page import Report, table
from tests.lifecycle.asking import QUESTIONS, Came, Outcome, ask
from tests.lifecycle.stage import MODELS, Stage, stage

__all__ = ["chaos"]

DECLARED = ("first", "second", "third")
SHIPPED = "guide"
"""Not in the configuration: pulled from the package by whoever loads it first, and pulled again when it was deleted."""
NAMES = (*DECLARED, SHIPPED)
LOOK_EVERY = 25
REFUSALS = frozenset({"model_busy", "not_found", "engine_unavailable"})
UNKNOWN = frozenset({"model_not_found", "invalid_value"})
"""What an operator may be told when others are at the same model."""


@dataclass
class Chaos:
    """The gate, and all that came of what was done to it."""

    here: Stage
    chance: random.Random
    done: Counter[str] = field(default_factory=Counter)
    came: list[Came] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    running: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def is_pulled(self) -> bool:
        return (self.here.gate.home / "models" / f"{SHIPPED}.gguf").is_file()

    async def step(self) -> None:
        """One operation, often beside others that are not over."""
        kinds: list[tuple[str, int, Callable[[], Awaitable[None]]]] = [
            ("request", 10, self.request),
            ("load", 3, lambda: self.operate("load")),
            ("unload", 3, lambda: self.operate("unload")),
            ("swap", 4, self.swap),
            ("rollback", 2, lambda: self.operate("rollback")),
            ("pull", 1, self.pull),
            ("kill", 3, self.kill),
        ]
        name, _, work = self.chance.choices(kinds, [weight for _, weight, _ in kinds])[0]
        self.done[name] += 1
        task = asyncio.ensure_future(work())
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        await asyncio.sleep(self.chance.choice((0.0, 0.0, 0.01, 0.1)))

    async def request(self) -> None:
        question, model = self.chance.choice(QUESTIONS), self.chance.choice(NAMES)
        if model == SHIPPED and not self.is_pulled:
            return
        self.came.append(await ask(self.here.port, question, model=model))

    async def operate(self, verb: str, body: object = None) -> None:
        model = self.chance.choice(NAMES)
        job = await self.here.do(verb, body, model=model)
        error = job["error"]
        # The shipped one has no other version, and none at all before it is pulled.
        if error is not None and error["code"] not in (REFUSALS | UNKNOWN if model == SHIPPED else REFUSALS):
            self.wrong.append(f"{verb}: {error}")

    async def swap(self) -> None:
        await self.operate("reload", {"version": self.chance.choice(("1", "2"))})

    async def pull(self) -> None:
        """Get the model that comes with the package, and load it; and one that nobody offers: told so."""
        job = await self.here.do("load", model=f"local/{SHIPPED}")
        if job["error"] is not None and job["error"]["code"] not in REFUSALS:
            self.wrong.append(f"pull: {job['error']}")
        job = await self.here.do("load", model="local/none")
        if (job["error"] or {}).get("code") != "model_not_found":
            self.wrong.append(f"pull of nothing: {job['error']}")

    async def kill(self) -> None:
        there = [one["pid"] for one in await self.here.processes() if one["pid"]]
        if there:
            self.here.kill(self.chance.choice(there))

    async def look(self) -> None:
        """When all that was begun is over: books, processes and places agree."""
        while self.running:
            await asyncio.wait(self.running)
        processes = await settled(self.here)
        booked = {name: count for one in await self.here.devices() for name, count in one["models"].items()}
        held = Counter[str]()
        for one in processes:
            held.update(one["memory"])
        if sum(booked.values()) != sum(held.values()) or len(booked) != sum(bool(one["memory"]) for one in processes):
            self.wrong.append(f"books {booked}, processes {processes}")
        alive = {one["pid"] for one in processes if one["pid"]}
        if alive != set(self.here.gate.children()):
            self.wrong.append(f"processes {alive}, children {self.here.gate.children()}")
        if any(one["inFlight"] or one["waiting"] for one in processes):
            self.wrong.append(f"busy: {processes}")


async def settled(here: Stage) -> list[dict[str, Any]]:
    """The processes, once none is between two states."""
    while True:
        processes = await here.processes()
        if all(one["state"] in ("on_disk", "ready") for one in processes):
            return processes
        await asyncio.sleep(0.02)


async def chaos(directory: Path, *, count: int, seed: int) -> Report:
    """So many operations by chance, and a look at the books after every few."""
    report = Report()
    versions = {str(number): str(MODELS / f"guide-{number}.gguf") for number in (1, 2)}
    models = {name: {"versions": versions, "threads": 1, "keptS": 1} for name in DECLARED}
    async with stage(directory, models) as here:
        run = Chaos(here, random.Random(seed))
        for number in range(1, count + 1):
            await run.step()
            if number % LOOK_EVERY == 0:
                await run.look()
        await run.look()
        children = here.gate.children()
    orphans = [pid for pid in children if Path(f"/proc/{pid}").exists()]
    outcomes = Counter(came.outcome for came in run.came)
    told = Counter(came.why for came in run.came if came.outcome is Outcome.TOLD)
    bad = [came for came in run.came if came.outcome not in (Outcome.WHOLE, Outcome.TOLD)]
    report.say(
        f"`SEED={seed}`: {count} operations by chance on {len(NAMES)} models ("
        + ", ".join(f"{n} x {name}" for name, n in run.done.most_common())
        + f"), many at the same time; after every {LOOK_EVERY} all is let to end and looked at.",
        "",
        *table(
            ("", ""),
            [
                ("Requests answered whole", str(outcomes[Outcome.WHOLE])),
                ("Told to be broken or refused", str(outcomes[Outcome.TOLD])),
                ("**Lost without an error**", f"**{len(bad)}**"),
                ("**Books that were wrong, processes nobody knows**", f"**{len(run.wrong)}**"),
                ("Processes left at the end", str(len(orphans))),
            ],
        ),
        "",
        "What callers were told: " + (", ".join(f"{n} x {why}" for why, n in told.most_common()) or "nothing") + ".",
    )
    report.promise(f"requests were lost: {[(one.outcome, one.why) for one in bad[:3]]}", is_kept=not bad)
    report.promise(f"something was wrong: {run.wrong[:3]}", is_kept=not run.wrong)
    report.promise(f"{len(orphans)} processes were left", is_kept=not orphans)
    return report
