"""What is done to frames and bytes between an answer that is proper and the socket."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice

from farmgate.mock.plan import Plan
from farmgate.mock.saying import Frame, Saying, Trouble, Voice

__all__ = ["bent", "bomb", "compressed", "parts_of", "rendered"]

EOL = {"lf": b"\n", "cr": b"\r", "crlf": b"\r\n"}
BOM = b"\xef\xbb\xbf"
BLOCK = bytes(1 << 16)


def bent(voice: Voice, saying: Saying, trouble: Trouble) -> Iterator[Frame]:
    """The frames of a stream, with every lie about them."""
    plan = saying.plan
    frames = endless(voice, saying) if plan.endless else voice.frames(saying)
    if plan.no_done or plan.no_finish:
        frames = (one for one in frames if not is_left_out(one, plan))
    if plan.usage == "twice":
        frames = (again for one in frames for again in (one,) * (1 + one.tells_usage))
    if plan.swap is not None:
        frames = swapped(frames, plan.swap)
    if plan.duplicate is not None:
        twice = plan.duplicate
        frames = (again for at, one in enumerate(frames) for again in (one,) * (1 + (at == twice)))
    for at, nonsense in ((plan.bad_json, b"{not json"), (plan.bad_utf8, b'{"a":"\xff\xfe"}')):
        if at is not None:
            frames = replaced(frames, at, nonsense)
    if plan.error is not None:
        frames = chain(islice(frames, plan.error), (voice.trouble_frame(trouble, saying),))
    return frames


def is_left_out(frame: Frame, plan: Plan) -> bool:
    return (plan.no_done and frame.is_done) or (plan.no_finish and frame.tells_finish)


def endless(voice: Voice, saying: Saying) -> Iterator[Frame]:
    """A stream's beginning, then text for as long as anybody reads."""
    for frame in voice.frames(saying):
        if frame.is_text:
            break
        yield frame
    for text in saying.endless():
        yield voice.text_frame(saying, text)


def swapped(frames: Iterable[Frame], at: int) -> Iterator[Frame]:
    rest = iter(frames)
    yield from islice(rest, at)
    yield from reversed(list(islice(rest, 2)))
    yield from rest


def replaced(frames: Iterable[Frame], at: int, data: bytes) -> Iterator[Frame]:
    for number, frame in enumerate(frames):
        yield replace(frame, data=data) if number == at else frame


def rendered(frames: Iterable[Frame], plan: Plan, *, is_lines: bool) -> Iterator[bytes]:
    """Frames as bytes: server-sent events, or lines of JSON."""
    eol = EOL[plan.eol or "lf"]
    for at, frame in enumerate(frames):
        start = BOM if plan.bom and at == 0 else b""
        if is_lines:
            yield start + frame.data + eol
            continue
        if plan.comments:
            start += b": ping" + eol + eol
        if frame.event:
            start += b"event: " + frame.event.encode() + eol
        yield start + data_lines(frame.data, eol, is_split=plan.multiline) + eol


def data_lines(data: bytes, eol: bytes, *, is_split: bool) -> bytes:
    """Between two fields of an object a newline changes nothing."""
    first, found, rest = data.partition(b',"') if is_split else (data, b"", b"")
    if not found:
        return b"data: " + data + eol
    return b"data: " + first + b"," + eol + b'data: "' + rest + eol


def parts_of(unit: bytes, plan: Plan) -> Iterable[bytes]:
    """What of a frame is written at once."""
    if plan.drip is not None:
        return (unit[at : at + 1] for at in range(len(unit)))
    if plan.split is not None:
        step = plan.split
        return (unit[at : at + step] for at in range(0, len(unit), step))
    if plan.split_at is not None:
        return [part for part in (unit[: plan.split_at], unit[plan.split_at :]) if part]
    return (unit,)


def compressed(units: Iterable[bytes], layers: int, *, level: int = 6, is_prompt: bool = True) -> Iterator[bytes]:
    """Gzip around gzip. `is_prompt`: what was said can be read at once, which costs size."""
    mode = zlib.Z_SYNC_FLUSH if is_prompt else zlib.Z_NO_FLUSH
    for _ in range(layers):
        units = gzipped(units, level, mode)
    return iter(units)


def gzipped(units: Iterable[bytes], level: int, mode: int) -> Iterator[bytes]:
    packer = zlib.compressobj(level, wbits=31)
    for unit in units:
        # Also what is empty: whoever writes a bomb must come to other things in between.
        yield packer.compress(unit) + (packer.flush(mode) if mode else b"")
    yield packer.flush(zlib.Z_FINISH)


def bomb(size: int, layers: int) -> Iterator[bytes]:
    """Gzip of `size` zeros, made as it is read."""
    whole, rest = divmod(size, len(BLOCK))
    zeros = chain((BLOCK for _ in range(whole)), (BLOCK[:rest],))
    return compressed(zeros, layers, level=9, is_prompt=False)
