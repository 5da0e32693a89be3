"""Rows 1 to 4: a provider that cannot be reached, or not be trusted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from tests.faults.broken import Tls
from tests.faults.rig import Rig
from tests.faults.rows_answers import TRIED, uncommitted
from tests.faults.words import Answered, Combo, Fault, Kind, Row, Surface

__all__ = ["NETWORK"]

CHAT = Combo(Surface.CHAT, False, False)
FALLS_BACK = Combo(Surface.CHAT, False, True)
QUICK_S = 0.05
UNREACHABLE = "upstream_unreachable"


def at(
    provider: str, code: str = UNREACHABLE, *, calls: int = TRIED, check: Callable[[Answered], str | None] | None = None
) -> Fault:
    return Fault("", uncommitted(502, code, calls=calls), provider=provider, check=check, peers=False)


def nobody_trusted(answered: Answered) -> str | None:
    """Verification is never switched off to get through."""
    trusting = [name for name, one in answered.rig.others.items() if isinstance(one, Tls) and one.was_trusted]
    return f"a request was sent to {trusting}" if trusting else None


async def falls_back_at_once(rig: Rig) -> list[str]:
    """From a port nobody listens at to the next provider."""
    times = []
    for _ in range(20):
        outcome = await rig.ask(FALLS_BACK, rig.fresh(), "quick", provider="closed")
        if outcome.kind is not Kind.WHOLE:
            return [f"not whole: {outcome}"]
        times.append(outcome.took_s)
    times.sort()
    rig.notes.append(f"fallback from a closed port: median {times[10] * 1000:.1f} ms, SDK included")
    most_s = QUICK_S * rig.slack
    return [] if times[10] < most_s else [f"median {times[10]:.3f} s, not below {most_s:g} s"]


async def resolver_blocks_nobody(rig: Rig) -> list[str]:
    """While a dozen names are looked up in vain, others are answered as ever."""
    waiting = [asyncio.create_task(rig.ask(CHAT, rig.fresh(), "slow", provider="silent")) for _ in range(12)]
    worst_s, asked, began = 0.0, 0, time.monotonic()
    while not all(task.done() for task in waiting) and time.monotonic() - began < 2.0:
        outcome = await rig.ask(CHAT, rig.fresh(), "other")
        if outcome.kind is not Kind.WHOLE:
            return [f"another request was not answered: {outcome}"]
        worst_s = max(worst_s, outcome.took_s)
        asked += 1
    outcomes = await asyncio.gather(*waiting)
    rig.notes.append(f"12 names looked up in vain: {asked} others answered meanwhile, the slowest in {worst_s:.3f} s")
    wrong = [f"{one}" for one in outcomes if one.kind is not Kind.REFUSED or one.status not in (502, 504)]
    slow = max(one.took_s for one in outcomes)
    if slow > 6.0:
        wrong.append(f"the last of them was told after {slow:.1f} s")
    return wrong + ([f"another request took {worst_s:.3f} s"] if worst_s > 0.5 else [])


async def resolver_serves_others(rig: Rig) -> list[str]:
    """While a dozen names are looked up in vain, other names are found."""
    waiting = [asyncio.create_task(rig.ask(CHAT, rig.fresh(), "slow", provider="silent")) for _ in range(12)]
    outcomes = [await rig.ask(CHAT, rig.fresh(), "found", provider="named") for _ in range(3)]
    await asyncio.gather(*waiting)
    return [f"a provider with a name was not found: {one}" for one in outcomes if one.kind is not Kind.WHOLE]


NETWORK: Sequence[Row] = (
    Row(
        1,
        "connection refused",
        (at("closed"),),
        (("in no time", falls_back_at_once),),
        is_quick=True,
        takes="in 50 ms",
    ),
    Row(2, "a listener that accepts nobody", (at("full"),), takes="connect 0.8 s instead of 5"),
    Row(
        3,
        "a name that is unknown, fails, or is looked up for ever",
        (at("nowhere"), at("failing"), at("silent")),
        (("others meanwhile", resolver_blocks_nobody), ("other names meanwhile", resolver_serves_others)),
        takes="a look-up takes 2 s instead of 10",
    ),
    Row(
        4,
        "TLS: expired, another host's, a stranger's certificate, TLS 1.0",
        tuple(
            at(provider, "upstream_tls_error", check=nobody_trusted, calls=1)
            for provider in ("expired", "elsewhere", "stranger", "oldest")
        ),
    ),
)
