"""Rows 25 to 28: limits, and providers that are ill for a while, now and then, or all at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from tests.faults.rig import Rig
from tests.faults.words import Answered, Combo, Expected, Fault, Kind, Row, Surface, whole

__all__ = ["HEALTH"]

CHAT = Combo(Surface.CHAT, False, False)
FALLS_BACK = Combo(Surface.CHAT, False, True)
LONGEST_S = 300
MOST_TO_OPEN = 5
HEALED_S = 20.0
ASKED = 200
QUICK_S = 0.1
LIMITED = "rate_limit_exceeded"


def limited(combo: Combo) -> Expected:
    """Another provider answers at once; one that is alone is asked again within what it said, or not at all."""
    return whole((1, 1)) if combo.falls_back else Expected((Kind.REFUSED,), status=429, codes=(LIMITED,))


def told_when(fewest: int, most: int, *, says_when: bool = True) -> Callable[[Answered], str | None]:
    """A caller is told when to come back, within bounds, and nobody was asked too often."""

    def check(answered: Answered) -> str | None:
        if answered.combo.falls_back:
            return None
        calls, _ = answered.rig.seen("first", answered.model)
        if not fewest <= calls <= most:
            return f"{calls} calls, not {fewest} to {most}"
        told = answered.outcome.headers.get("retry-after", "" if says_when else "1")
        if not told.isdigit() or not 0 < int(told) <= LONGEST_S:
            return f"retry-after: {told!r}"
        return None

    return check


def limit(value: str, fewest: int, most: int, *, says_when: bool = True) -> Fault:
    """`says_when`: whether the provider's word is any use to a caller."""
    return Fault(f"retry-after={value}", limited, check=told_when(fewest, most, says_when=says_when), applies=is_quick)


def is_quick(combo: Combo) -> bool:
    """To wait for a second in every combination would tell no more."""
    return combo.surface in (Surface.CHAT, Surface.MESSAGES) or not combo.streams


async def quota_is_shared(rig: Rig) -> list[str]:
    """Two targets on one quota: when one is limited, the other is not asked; a third one is."""
    shared = [{"target": f"{name}/*", "quota": "one", "priority": at} for at, name in enumerate(("first", "named"))]
    routes = {"shared.*": [*shared, {"target": "well/*", "priority": 2}]}
    async with rig.another("quota", ai={"routes": routes}) as own:
        wrong = []
        for _ in range(3):
            model = own.fresh("retry-after=60")
            outcome = await own.callers.ask(CHAT, f"shared.{model}", "shared")
            by = outcome.headers.get("x-farmgate-provider")
            if outcome.kind is not Kind.WHOLE or by != "well":
                wrong.append(f"answered by {by}: {outcome}")
        calls = len([call for call in own.first.calls if "retry-after" in call.model])
        # A quota is of a name, whatever the model: once it is used up, nobody who shares it is asked.
        return wrong if calls == 1 else [*wrong, f"the limited provider was asked {calls} times"]


async def limit_is_honoured(rig: Rig) -> list[str]:
    """A provider that said when it wants to be asked again is not asked before."""
    model = rig.fresh("retry-after=60")
    for _ in range(5):
        outcome = await rig.ask(CHAT, model, "limit")
        if outcome.status != 429:
            return [f"{outcome}"]
    calls, _ = rig.seen("first", model)
    return [] if calls == 1 else [f"asked {calls} times within the minute it had asked for"]


async def limit_is_waited_for(rig: Rig) -> list[str]:
    """A short wait is waited, and the caller has its answer."""
    model = rig.fresh("retry-after=ms:300,times=1")
    outcome = await rig.ask(CHAT, model, "wait")
    calls, _ = rig.seen("first", model)
    wrong = [] if outcome.kind is Kind.WHOLE and calls == 2 else [f"{calls} calls: {outcome}"]
    return wrong + ([f"after {outcome.took_s:.3f} s"] if outcome.took_s < 0.3 else [])


async def breaker_opens_and_closes(rig: Rig) -> list[str]:
    """Five failures are enough to leave a provider alone; once it is well it is asked again in time."""
    model = rig.fresh(f"status=503,times={MOST_TO_OPEN}")
    for _ in range(40):
        outcome = await rig.ask(FALLS_BACK, model, "ill")
        if outcome.kind is not Kind.WHOLE:
            return [f"while it was ill: {outcome}"]
    while_ill, _ = rig.seen("first", model)
    began = time.monotonic()
    wrong = [] if while_ill == MOST_TO_OPEN else [f"{while_ill} calls until its breaker was open"]
    while time.monotonic() - began < HEALED_S:
        outcome = await rig.ask(FALLS_BACK, model, "ill")
        if outcome.headers.get("x-farmgate-provider") == "first":
            rig.notes.append(f"open after {while_ill} failures; asked again {time.monotonic() - began:.1f} s later")
            return wrong
        await asyncio.sleep(0.1)
    return [*wrong, f"not asked again within {HEALED_S:g} s"]


async def flapping(rig: Rig) -> list[str]:
    """Half of the calls fail, at random: callers hardly notice, and the provider is not beaten for it."""
    model = rig.fresh("status=503,share=50%")
    outcomes = [await rig.ask(FALLS_BACK, model, "flap") for _ in range(ASKED)]
    good = sum(outcome.kind is Kind.WHOLE for outcome in outcomes)
    first, well = rig.seen("first", model)
    rig.notes.append(f"{good} of {ASKED} answered; {first} calls of the ill provider, {well} of the other")
    wrong = [] if good >= ASKED * 0.99 else [f"{ASKED - good} of {ASKED} failed"]
    return wrong + ([f"{first} calls for {ASKED} requests"] if first > ASKED * 1.2 else [])


async def all_down(rig: Rig) -> list[str]:
    """No provider is well: told at once, with when to come back, and that trying at once is no use."""
    routes = {"down.*": ["first/*", {"target": "closed/*", "priority": 1}]}
    providers = {"closed": {"provider": "openai", "url": rig.others["closed"].url, "apiKey": "none"}}
    wrong, times = [], []
    async with rig.another("down", ai={"routes": routes, "providers": providers}) as own:
        model = own.fresh("status=503")
        for asked in range(30):
            outcome = await own.callers.ask(CHAT, f"down.{model}", "down")
            if outcome.kind is not Kind.REFUSED or outcome.status != 503 or "retry-after" not in outcome.headers:
                wrong.append(f"request {asked}: {outcome} {dict(outcome.headers)}")
            if outcome.headers.get("x-farmgate-attempts") != "1" and outcome.headers.get("x-should-retry") != "false":
                wrong.append(f"request {asked}: x-should-retry is not told")
            times.append(outcome.took_s)
        calls = sum(call.model == model for call in own.first.calls)
    late = max(times[15:])
    rig.notes.append(
        f"30 requests, {calls} calls of the first provider; once it is known: {late * 1000:.0f} ms at most"
    )
    return wrong[:3] + ([f"told after {late:.3f} s"] if late > QUICK_S * rig.slack else [])


async def sdk_does_not_multiply(rig: Rig) -> list[str]:
    """An SDK that would retry twice does not, once the gate has done it."""
    from tests.faults.asking import Callers
    from tests.journey.gate import KEY

    wrong = []
    async with Callers(rig.gate.ready["url"], KEY, retries=2) as eager:
        for surface in Surface:
            combo = Combo(surface, False, False)
            model = rig.fresh("status=503")
            outcome = await eager.ask(combo, rig.name_for("first", combo, model), "eager")
            calls, _ = rig.seen("first", model)
            if outcome.kind is not Kind.REFUSED or calls != 3:
                wrong.append(f"{surface}: {calls} calls: {outcome}")
    return wrong


HEALTH: Sequence[Row] = (
    Row(
        25,
        "429 with Retry-After: seconds, a date, milliseconds, nonsense, 1e9, -1",
        (
            limit("1", 2, 3),
            limit("date:1", 1, 3),
            limit("ms:100", 3, 3),
            limit("soon", 1, 3, says_when=False),
            limit("1e9", 1, 3),
            limit("1000000000", 1, 1),
            limit("-1", 1, 3),
        ),
        (
            ("a minute", limit_is_honoured),
            ("300 ms", limit_is_waited_for),
            ("a shared quota", quota_is_shared),
        ),
    ),
    Row(
        26,
        "503 for a while, then well",
        specials=(("breaker", breaker_opens_and_closes),),
        takes="five failures instead of a minute of them",
    ),
    Row(27, "half of the calls fail", specials=(("flapping", flapping),)),
    Row(28, "nobody is well", specials=(("all down", all_down), ("SDK retries", sdk_does_not_multiply)), is_quick=True),
)
