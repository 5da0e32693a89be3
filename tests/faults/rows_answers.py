"""Rows 5 to 18: answers that come late, break off, or say what no answer may say."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.faults.words import Answered, Combo, Expected, Fault, Row, Surface, broken, refused, whole

__all__ = ["ANSWERS"]

TRIED = 3
"""Calls of a provider that is alone: the first and two more."""


def streams(combo: Combo) -> bool:
    return combo.streams


def is_chat(combo: Combo) -> bool:
    return combo.surface is Surface.CHAT


def comes_whole(combo: Combo) -> bool:
    return not combo.streams


def uncommitted(status: int, *codes: str, calls: int = TRIED) -> Callable[[Combo], Expected]:
    """Nothing was said: another provider answers, or the error has its status."""

    def expect(combo: Combo) -> Expected:
        return whole((1, 1)) if combo.falls_back else refused(status, *codes, calls=(calls, 0))

    return expect


def within(code: str, status: int = 502, *codes: str, calls: int = TRIED) -> Callable[[Combo], Expected]:
    """Within a stream something was said already; an answer that comes whole was not begun. `codes`: of the latter."""
    before = uncommitted(status, *(codes or (code,)), calls=calls)

    def expect(combo: Combo) -> Expected:
        return broken(code) if combo.streams else before(combo)

    return expect


def never_relayed(nonsense: bytes) -> Callable[[Answered], str | None]:
    def check(answered: Answered) -> str | None:
        return f"{nonsense!r} was relayed" if nonsense in answered.outcome.raw else None

    return check


def provider_was_left(answered: Answered) -> str | None:
    """The provider sees that nobody listens any more."""
    calls = [call for call in answered.rig.first.calls if call.model == answered.model]
    return None if all(call.ended == "left" for call in calls) else f"its call ended: {[c.ended for c in calls]}"


def whole_where(*surfaces: Surface) -> Callable[[Combo], Expected]:
    """These dialects need no more to be complete; in the others something is missing."""

    def expect(combo: Combo) -> Expected:
        return whole() if combo.surface in surfaces else broken("upstream_stream_truncated")

    return expect


TRUNCATED = "upstream_stream_truncated"
INVALID = "upstream_invalid_response"
LATE = "upstream_timeout"

ANSWERS: Sequence[Row] = (
    Row(
        5,
        "slow headers: one byte at a time",
        (Fault("slow-head=300ms", uncommitted(504, LATE, calls=1), check=provider_was_left),),
        takes="first byte in 0.8 s instead of 30",
    ),
    Row(
        6,
        "headers, then silence",
        (
            Fault("head-only", uncommitted(504, LATE, calls=1), check=provider_was_left),
            Fault("hang", uncommitted(504, LATE, calls=1), check=provider_was_left),
        ),
        takes="idle 0.8 s instead of 30",
    ),
    Row(7, "the first frame is an error in a 200", (Fault("error=0", uncommitted(502)),), is_quick=True),
    Row(8, "what opens a stream, then an error", (Fault("error={role}", uncommitted(502), streams),), is_quick=True),
    Row(
        9,
        "a stall in the middle",
        (Fault("stall={mid}", within(LATE, 504, calls=1), check=provider_was_left),),
        takes="idle 0.8 s instead of 30",
    ),
    Row(
        10,
        "a clean end in the middle",
        (
            Fault("end={mid}", within(TRUNCATED, 502, INVALID, TRUNCATED)),
            Fault("end=0", uncommitted(502, INVALID, TRUNCATED)),
        ),
        is_quick=True,
    ),
    Row(11, "a reset in the middle", (Fault("rst={mid}", within(TRUNCATED)), Fault("rst=0", uncommitted(502)))),
    Row(
        12,
        "a chunk or a body shorter than it says",
        (
            Fault("short-chunk={mid}", within(TRUNCATED)),
            Fault("short-chunk=0", uncommitted(502)),
            Fault("length=+50", uncommitted(502, TRUNCATED), comes_whole),
            Fault("fin={mid}", within(TRUNCATED)),
        ),
    ),
    Row(13, "the mark of the end is missing", (Fault("no-done", whole_where(Surface.CHAT), streams),), is_quick=True),
    Row(
        14,
        "the end without why it ended",
        (Fault("no-finish", whole_where(Surface.MESSAGES), streams, is_of_dialect=True),),
        is_quick=True,
        takes="`message_stop` is the end of Messages, with a reason or without",
    ),
    Row(
        15,
        "a frame that is no JSON",
        (
            Fault("bad-json={mid}", within(INVALID), check=never_relayed(b"not json")),
            Fault("bad-json=0", uncommitted(502, INVALID), check=never_relayed(b"not json")),
        ),
        is_quick=True,
    ),
    Row(
        16,
        "bytes that are no UTF-8",
        (
            Fault("bad-utf8={mid}", within(INVALID), check=never_relayed(b"\xff")),
            Fault("bad-utf8=0", uncommitted(502, INVALID), check=never_relayed(b"\xff")),
        ),
    ),
    Row(
        23,
        "something else than was asked: HTML, JSON for a stream, a stream for JSON",
        (
            Fault("kind=html", uncommitted(502, INVALID)),
            Fault("kind=whole", lambda _: whole(), streams),
            Fault("kind=stream", uncommitted(502, INVALID), comes_whole),
        ),
        is_quick=True,
        takes="JSON that is the whole answer is told as a stream: nothing is lost",
    ),
    Row(
        24,
        "a 200 of null, [], {}, nothing, or no choices",
        (
            *(
                Fault(f"body={what}", uncommitted(502, INVALID, TRUNCATED))
                for what in ("null", "list", "object", "empty")
            ),
            Fault("body=no-choices,usage=missing", uncommitted(502, INVALID, TRUNCATED), is_chat),
        ),
        takes="no choices and no usage; with usage it is an answer, and Claude may say nothing",
    ),
)
