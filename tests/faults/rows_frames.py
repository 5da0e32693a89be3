"""Rows 17 to 22: streams that are right, and cut, framed or counted as no stream should be."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.faults.process import cpu_s, memory_mib
from tests.faults.rig import Rig
from tests.faults.rows_answers import INVALID, streams, uncommitted
from tests.faults.words import Answered, Combo, Expected, Fault, Kind, Row, Surface, whole

from farmgate.mock import answer_text, pieces

__all__ = ["FRAMES"]

LONGEST_FRAME = 200
MOST_GROWTH_MIB = 32.0
SIZES = (50_000, 200_000)
MOST_RATIO = 1.6
"""Were it quadratic, it would be 4."""
TOKENS = 5
SANE_TOKENS = 1000


def wide(marker: str) -> str:
    return "".join(pieces(marker, unicode=True))


def twice(marker: str) -> str:
    """The third piece again."""
    said = list(pieces(marker))
    return "".join([*said[:3], *said[2:]])


def swapped(marker: str) -> str:
    """The third and the fourth piece the other way round."""
    said = list(pieces(marker))
    return "".join([*said[:2], said[3], said[2], *said[4:]])


def says(text: Callable[[str], str]) -> Callable[[Combo], Expected]:
    return lambda _: whole(text=text)


def large(size: int) -> Callable[[str], str]:
    def said(marker: str) -> str:
        return "x" * size + "".join(list(pieces(marker))[1:])

    return said


def counted(answered: Answered) -> str | None:
    """What the provider said of its tokens once is on record once."""
    (record,) = answered.rig.records(answered.model)
    told = (record.completion_tokens, record.estimated)
    return None if told == (TOKENS, False) else f"(tokens, estimated) on record: {told}"


def estimated(answered: Answered) -> str | None:
    """Where the provider says nothing or nonsense, a guess is on record that says it is one."""
    (record,) = answered.rig.records(answered.model)
    if not record.estimated:
        told = (record.prompt_tokens, record.completion_tokens)
        return f"(tokens in, out) on record, not as a guess: {told}"
    sane = 0 < record.completion_tokens < SANE_TOKENS and 0 < record.prompt_tokens < SANE_TOKENS
    return None if sane else f"tokens on record: {record.prompt_tokens}, {record.completion_tokens}"


def lies() -> tuple[Fault, ...]:
    """How a provider can tell tokens wrongly."""
    return (
        Fault("usage=twice", lambda _: whole(), check=counted, applies=is_talk),
        *(
            Fault(f"usage={how}", lambda _: whole(), check=estimated, applies=is_talk)
            for how in ("missing", "null", "negative", "huge", "text")
        ),
    )


def is_talk(combo: Combo) -> bool:
    return combo.surface is not Surface.EMBEDDINGS


def alone(combo: Combo) -> bool:
    """One of each is enough: nobody else need be asked."""
    return combo.streams and not combo.falls_back


async def bytes_alone_cost_the_same(rig: Rig) -> list[str]:
    """Four times the bytes, each sent alone, take about four times the time, not sixteen times."""
    costs: dict[int, list[float]] = {size: [] for size in SIZES}
    for size in SIZES * 3:
        count = size // 1000
        model = rig.fresh(f"split=1,size=800,frames={count}")
        before = cpu_s(rig.gate.pid)
        text = answer_text("drip", count, size=800)
        outcome = await rig.ask(Combo(Surface.CHAT, True, False), model, "drip", text=text)
        if outcome.kind is not Kind.WHOLE:
            return [f"{size} bytes: {outcome}"]
        (call,) = [one for one in rig.first.calls if one.model == model]
        costs[size].append((cpu_s(rig.gate.pid) - before) / call.sent_bytes)
    # The least of three: how many bytes are read at once is chance.
    least = {size: min(told) for size, told in costs.items()}
    told = ", ".join(f"{1e6 * cost:.1f} us in a stream of {size}" for size, cost in least.items())
    rig.notes.append(f"a byte costs the gate {told}")
    ratio = least[SIZES[1]] / least[SIZES[0]]
    return [] if ratio < MOST_RATIO else [f"a byte costs {ratio:.2f} times as much in a stream four times as long"]


async def large_frames_are_let_go(rig: Rig) -> list[str]:
    """Memory that a few large frames took, and a few that were too large, is enough for many more."""
    combo = Combo(Surface.CHAT, True, False)
    sizes = []
    for count in (4, 12):
        for _ in range(count):
            passes = await rig.ask(combo, rig.fresh("huge=8300000"), "large", text=large(8_300_000)("large"))
            fails = await rig.ask(combo, rig.fresh("huge=9m"), "large")
            if passes.kind is not Kind.WHOLE or fails.kind is not Kind.REFUSED:
                return [f"{passes}, {fails}"]
        sizes.append(memory_mib(rig.gate.pid))
    grown = sizes[1] - sizes[0]
    rig.notes.append(f"memory after 4 of each, one at a time: {sizes[0]:.0f} MiB; after 12 more: {grown:+.0f} MiB")
    return [] if grown < MOST_GROWTH_MIB else [f"{grown:.0f} MiB more memory than before"]


FRAMES: Sequence[Row] = (
    Row(
        17,
        "characters cut apart at every byte",
        (
            Fault("unicode,split=1", says(wide), streams),
            *(Fault(f"unicode,split-at={at}", says(wide), alone) for at in range(1, LONGEST_FRAME)),
        ),
    ),
    Row(
        18,
        "frames cut apart at every byte, every line end, data on two lines, a byte order mark, comments",
        (
            *(
                Fault(f"eol={eol},split={size}", lambda _: whole(), streams)
                for eol in ("lf", "cr", "crlf")
                for size in (1, 3)
            ),
            *(
                Fault(f"eol={eol},split-at={at}", lambda _: whole(), alone)
                for eol in ("cr", "crlf")
                for at in (1, 5, 6, 40)
            ),
            Fault("multiline,split=7", lambda _: whole(), streams),
            Fault("bom,split=1", lambda _: whole(), streams),
            Fault("comments,eol=crlf,split=1", lambda _: whole(), streams),
        ),
        is_quick=True,
    ),
    Row(19, "200,000 bytes, each alone", specials=(("cost of a byte", bytes_alone_cost_the_same),)),
    Row(
        20,
        "a frame of almost 8 MiB, a frame of 9",
        (
            Fault("huge=8300000", says(large(8_300_000)), alone),
            Fault("huge=9m", uncommitted(502, INVALID), streams),
        ),
        (("memory", large_frames_are_let_go),),
    ),
    Row(
        21,
        "frames that come twice or in another order",
        (
            Fault("duplicate={mid}", says(twice), streams, check=counted, is_of_dialect=True),
            Fault("swap={mid}", says(swapped), streams, check=counted, is_of_dialect=True),
        ),
        is_quick=True,
    ),
    Row(22, "tokens told not at all, as null, negative, 1e18, text, or twice", lies()),
)
