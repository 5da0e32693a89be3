"""Many at once: at a model that is not loaded, at one that has no place left, and those who leave in mid-answer."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

from tests.endure.figures import percentile
from tests.endure.page import Report, table
from tests.lifecycle.asking import QUESTIONS, Came, Outcome, ask, leave_early
from tests.lifecycle.stage import Stage, stage

__all__ = ["aborts", "cold", "overload"]

FREE_S = 0.5
LONG = QUESTIONS[0]
SHORT = QUESTIONS[1]
FOR_EVER = {"ignore_eos": True, "max_tokens": 900}
"""An answer that goes on long behind its end."""
QUICK_S = 1.0
PLACES = 4
LINE = 16


async def cold(directory: Path, *, count: int) -> Report:
    """However many ask first, a model is loaded once, and all are answered."""
    report = Report()
    async with stage(directory) as here:
        began = time.monotonic()
        came = await asyncio.gather(*(ask(here.port, SHORT) for _ in range(count)))
        took = time.monotonic() - began
        (process,) = await here.processes()
    whole = sum(one.outcome is Outcome.WHOLE for one in came)
    report.say(
        f"{count} first requests at the same time, to a model that is not loaded.",
        "",
        *table(
            ("", ""),
            [
                ("Loads", str(process["starts"])),
                ("Answers, whole and right", str(whole)),
                ("All of it, s", f"{took:.2f}"),
            ],
        ),
    )
    report.promise(f"it was loaded {process['starts']} times", is_kept=process["starts"] == 1)
    report.promise(f"{count - whole} were not answered", is_kept=whole == count)
    return report


async def aborts(directory: Path, *, count: int) -> Report:
    """Who leaves gives its place back: with one place, the next one's first word tells when."""
    report = Report()
    async with stage(directory, guide={"parallel": 1}) as here:
        await here.do("load")
        alone = [await first_word(here) for _ in range(20)]
        whole = await ask(here.port, LONG, more=FOR_EVER)
        waits: list[float] = []
        began = 0
        for _ in range(count):
            began += await leave_early(here.port, LONG, more=FOR_EVER)
            waits.append(await first_word(here) - percentile(alone, 0.5))
        is_idle = await here.until_idle()
        busy = sum(one["inFlight"] for one in await here.processes())
        answered = await ask(here.port, SHORT)
    report.say(
        f"{count} streams that go on for long, each left at its first word, at a model with one place. The "
        "next caller's first word, less what it takes at an idle model, tells when the place was free.",
        "",
        *table(
            ("", ""),
            [
                ("Left at the first word", str(began)),
                ("Such an answer takes, left alone, s", f"{whole.took_s:.2f}"),
                ("**From leaving to a free place, ms: p50, p99**", f"**{ms(waits, 0.5)}, {ms(waits, 0.99)}**"),
                ("Longest, ms", ms(waits, 1.0)),
                ("Places busy at the end", str(busy)),
            ],
        ),
    )
    report.promise(f"{count - began} streams never began", is_kept=began == count)
    report.promise(f"{busy} places are busy still", is_kept=is_idle and not busy)
    report.promise("a place was free too late", is_kept=percentile(waits, 0.99) <= FREE_S)
    report.promise("nobody answers behind it", is_kept=answered.outcome is Outcome.WHOLE)
    # However quick the machine is: behind one that is not given up the next would wait for its end.
    report.promise("a place was free no sooner than without leaving", is_kept=percentile(waits, 0.5) < whole.took_s / 2)
    return report


async def first_word(here: Stage) -> float:
    """Seconds to the first word of a short answer."""
    came = await ask(here.port, SHORT)
    assert came.first_s is not None, came
    return came.first_s


def ms(values: list[float], share: float) -> str:
    return f"{max(0.0, percentile(values, share)) * 1e3:.0f}"


async def overload(directory: Path, *, seconds: float) -> Report:
    """Twice as much as can be answered: as much is answered as before, and the rest is refused quickly."""
    report = Report()
    async with stage(directory, guide={"parallel": PLACES, "queue": LINE, "queueTimeoutS": 10}) as here:
        await here.do("load")
        await closed(here, PLACES, 2.0)
        capacity = rate_of(await closed(here, PLACES + LINE // 2, seconds), seconds)
        came = await offered(here, 2 * capacity, seconds)
    within = [one for one in came if one.began + one.took_s <= came[0].began + seconds]
    goodput = rate_of(within, seconds)
    outcomes = Counter(one.outcome for one in came)
    refused = [one.took_s for one in came if one.status == 503]
    waits = [one.took_s for one in came if one.outcome is Outcome.WHOLE]
    report.say(
        f"A model with {PLACES} places and a line of {LINE}; requests come at twice the rate it can answer, for "
        f"{seconds:g} s.",
        "",
        *table(
            ("", ""),
            [
                ("It can answer, requests a second", f"{capacity:.0f}"),
                ("Offered", f"{len(came) / seconds:.0f}"),
                ("**Answered, and of what it can**", f"**{goodput:.0f}, {goodput / capacity:.0%}**"),
                ("Refused with 503 and `Retry-After`", f"{len(refused) / seconds:.0f}"),
                ("Refused after, ms: p50, p99", f"{ms(refused, 0.5)}, {ms(refused, 0.99)}"),
                ("Answered after, ms: p50, p99", f"{ms(waits, 0.5)}, {ms(waits, 0.99)}"),
                ("Anything else", str(len(came) - outcomes[Outcome.WHOLE] - len(refused))),
            ],
        ),
    )
    report.promise(f"only {goodput / capacity:.0%} of what it can was answered", is_kept=goodput >= 0.95 * capacity)
    report.promise("refusals were slow", is_kept=percentile(refused, 0.99) <= QUICK_S)
    others = [one for one in came if one.outcome is not Outcome.WHOLE and one.status != 503]
    report.promise(f"something else came: {[(one.outcome, one.why) for one in others[:3]]}", is_kept=not others)
    return report


async def closed(here: Stage, callers: int, seconds: float) -> list[Came]:
    """So many callers, one request after the other each."""
    came: list[Came] = []
    until = time.monotonic() + seconds

    async def caller() -> None:
        while time.monotonic() < until:
            came.append(await ask(here.port, LONG, stream=False))

    await asyncio.gather(*(caller() for _ in range(callers)))
    return [one for one in came if one.began + one.took_s <= until]


async def offered(here: Stage, rate: float, seconds: float) -> list[Came]:
    """Requests at a rate, whether others are answered or not."""
    began = time.monotonic()
    tasks: list[asyncio.Task[Came]] = []
    while (now := time.monotonic()) < began + seconds:
        while len(tasks) < (now - began) * rate:
            tasks.append(asyncio.create_task(ask(here.port, LONG, stream=False)))
        await asyncio.sleep(0.002)
    return await asyncio.gather(*tasks)


def rate_of(came: list[Came], seconds: float) -> float:
    return sum(one.outcome is Outcome.WHOLE for one in came) / seconds
