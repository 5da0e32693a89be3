"""Rows 29 to 35: HTTP itself lies - redirects, stale connections, heads without measure, bombs, no end, no sense."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.faults.process import memory_mib
from tests.faults.rig import Rig
from tests.faults.rows_answers import INVALID, TRUNCATED, uncommitted, within
from tests.faults.words import COMBOS, Answered, Combo, Expected, Fault, Kind, Row, Surface, whole

__all__ = ["HTTP"]

BOMB_GROWTH_MIB = 16.0
ENDLESS_GROWTH_MIB = 32.0
METADATA = "169.254.169.254"
CHAT = Combo(Surface.CHAT, True, False)
TURNS = 3


def nobody_followed(answered: Answered) -> str | None:
    """Neither the address nor a word of it reaches a caller."""
    return "the redirect was told" if METADATA.encode() in answered.outcome.raw else None


def nothing_relayed(answered: Answered) -> str | None:
    """No header of the provider's own."""
    names = [name for name in answered.outcome.headers if name.startswith(("set-cookie", "x-big", "x-many"))]
    return f"headers were relayed: {names[:3]}" if names else None


def at_most(*expected: Callable[[Combo], Expected]) -> Callable[[Combo], Expected]:
    """Either is good: which one depends on what HTTP lets a reader notice."""

    def expect(combo: Combo) -> Expected:
        first, *others = (one(combo) for one in expected)
        kinds = tuple(dict.fromkeys((*first.kinds, *(kind for one in others for kind in one.kinds))))
        return Expected(kinds)

    return expect


async def stale_connections(rig: Rig) -> list[str]:
    """A connection that the provider closes the moment it is used again is replaced, once, and nobody notices."""
    wrong = []
    async with rig.another("stale") as own:
        for combo in COMBOS:
            for fault, wanted in (("close-reuse=1", (2, 0)), ("", (1, 0)), ("close-idle", (1, 0)), ("", (1, 0))):
                model = own.fresh(fault)
                outcome = await own.ask(combo, model, "again")
                await own.settled(model)
                seen, rows = own.seen("first", model), own.records(model)
                if outcome.kind is not Kind.WHOLE:
                    wrong.append(f"{combo}: {fault}: {outcome}")
                elif seen not in (wanted, (1, 0)) or len(rows) != 1:
                    wrong.append(f"{combo}: {fault}: {seen} calls, {len(rows)} records")
        raced = sum(call.ended == "close-reuse" for call in own.first.calls)
        rig.notes.append(f"{raced} connections were closed the moment they were used again")
        if raced < len(COMBOS) // 2:
            wrong.append("hardly any connection was used again: nothing was tried")
        wrong += await own.leaks()
    return wrong


async def bombs(rig: Rig) -> list[str]:
    """What unpacks without measure is not unpacked."""
    before, wrong = memory_mib(rig.gate.pid), []
    for layers in (1, 2):
        for combo in COMBOS:
            if combo.falls_back:
                continue
            outcome = await rig.ask(combo, rig.fresh(f"bomb,gzip={layers}"), "bomb")
            if outcome.kind is not Kind.REFUSED or outcome.status != 502:
                wrong.append(f"{combo}: {layers} layers: {outcome}")
    grown = memory_mib(rig.gate.pid) - before
    rig.notes.append(f"memory after 14 bombs of 10 GiB, each asked for up to 3 times: {grown:+.1f} MiB")
    return [*wrong, f"{grown:.0f} MiB more memory than before"] if grown > BOMB_GROWTH_MIB else wrong


async def endless(rig: Rig) -> list[str]:
    """An answer without end is cut off by its bytes where it comes whole, by its time where it is a stream."""
    wrong = []
    limits = {"answerBytes": 4 << 20, "requestTimeoutS": 1.5}
    async with rig.another("endless", server={"limits": limits}) as own:
        sizes = []
        for _ in range(2):
            for combo in COMBOS:
                wrong += await one_endless(own, combo)
            sizes.append(memory_mib(own.gate.pid))
        grown = sizes[1] - sizes[0]
        rig.notes.append(
            f"memory after {len(COMBOS)} endless answers: {sizes[0]:.0f} MiB; after as many more: {grown:+.0f}"
        )
        if grown > ENDLESS_GROWTH_MIB:
            wrong.append(f"{grown:.0f} MiB more memory than before")
        wrong += await own.leaks()
    return wrong


async def one_endless(rig: Rig, combo: Combo) -> list[str]:
    model = rig.fresh("endless,size=4000")
    outcome = await rig.ask(combo, model, "endless")
    await rig.settled(model)
    kind = Kind.BROKEN if combo.streams else Kind.WHOLE if combo.falls_back else Kind.REFUSED
    wrong = [] if outcome.kind is kind else [f"{combo}: {outcome}"]
    return wrong + ([f"{combo}: the provider still talks"] if rig.open_calls(model) else [])


def not_reused(answered: Answered) -> str | None:
    """A connection that lied carries nothing more."""
    liars = {call.connection for call in answered.rig.first.calls if call.model == answered.model}
    after = [
        call.model
        for call in answered.rig.first.calls
        if call.connection in liars and call.model != answered.model and call.number > last_of(answered)
    ]
    return f"its connection carried another call: {after[0]}" if after else None


def last_of(answered: Answered) -> int:
    return max(call.number for call in answered.rig.first.calls if call.model == answered.model)


HTTP: Sequence[Row] = (
    Row(
        29,
        "a redirect to the cloud's metadata",
        (Fault("redirect", uncommitted(502), check=nobody_followed),),
        is_quick=True,
    ),
    Row(30, "a kept connection that closes as it is used", specials=(("closed on reuse", stale_connections),)),
    Row(
        31,
        "a socket shut on one side",
        (Fault("half={mid}", within(TRUNCATED)), Fault("half=0", uncommitted(502))),
    ),
    Row(
        32,
        "a header of 10 KiB, 1000 headers, cookies",
        (
            Fault("big-header", at_most(lambda _: whole(), uncommitted(502)), check=nothing_relayed),
            Fault("headers", at_most(lambda _: whole(), uncommitted(502)), check=nothing_relayed),
            Fault("cookie", lambda _: whole(), check=nothing_relayed),
        ),
    ),
    Row(
        33,
        "gzip nobody asked for, and a bomb of 10 GiB",
        (Fault("gzip", at_most(lambda _: whole(), uncommitted(502))),),
        (("bombs", bombs),),
    ),
    Row(
        34,
        "an answer without end, as fast as it is read",
        specials=(("endless", endless),),
        takes="4 MiB whole instead of 64, 1.5 s instead of 600",
    ),
    Row(
        35,
        "1xx without end, HTTP/0.9, no HTTP, a chunk without size, content-length and chunks both",
        (
            Fault("informational", at_most(lambda _: whole(), uncommitted(502))),
            Fault("http09", uncommitted(502), check=not_reused),
            Fault("garbage", uncommitted(502), check=not_reused),
            Fault("hangup", uncommitted(502)),
            Fault("refuse", uncommitted(502)),
            Fault("bad-chunk={mid}", within(INVALID, 502, INVALID), check=not_reused),
            Fault("cl-te", uncommitted(502, INVALID), check=not_reused),
        ),
    ),
)
