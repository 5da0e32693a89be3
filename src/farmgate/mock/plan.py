"""Everything that can be asked of one answer: each field of a Plan is a fault, with its argument and what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, TypeVar, cast

from farmgate.mock.arguments import (
    Delay,
    Span,
    one_of,
    read_delay,
    read_header,
    read_share,
    read_span,
    read_text,
    size_up_to,
    whole_number,
)

__all__ = ["FAULTS", "Fault", "Plan"]

T = TypeVar("T")
MOST = 1 << 31
METADATA = "http://169.254.169.254/latest/meta-data/"
count = whole_number(0, MOST)
positive = whole_number(1, MOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One row of `farmgate mock --faults`. `bare` is the argument where none is given; None: it needs one."""

    name: str
    argument: str
    help: str
    group: str
    read: Callable[[str], Any]
    bare: str | None


def fault(argument: str, read: Callable[[str], T], help: str, *, bare: str | None = None) -> T | None:
    """A field of Plan; None: it was not asked for."""
    return cast("T | None", field(default=None, metadata={"fault": (argument, read, help, bare)}))


def flag(help: str) -> bool:
    """A fault without an argument."""
    return field(default=False, metadata={"fault": ("", None, help, None)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What becomes of one request. The default answers properly.

    Frames are counted as they are written, the ones that open a stream included; an answer that comes whole is two
    frames, its halves. A number of frames beyond the last means: behind the last.
    """

    # when
    times: int | None = fault("N", positive, "only the first N calls; later ones are answered properly")
    after: int | None = fault("N", count, "not the first N calls")
    during: Span | None = fault("TIME", read_span, "only within TIME of the first call")
    share: float | None = fault("P", read_share, "only this share of the calls, seeded: 0.5 or 50%")
    seed: int | None = fault("N", whole_number(-MOST, MOST), "seed of what is drawn at random for this model's name")
    # the answer
    frames: int | None = fault("N", whole_number(0, 10_000_000), "pieces of text in the answer (default 5)")
    size: int | None = fault("N", whole_number(1, 1 << 26), "characters of each piece (default: as few as it takes)")
    unicode: bool = flag("pad pieces with characters of 2, 3 and 4 bytes")
    echo: bool = flag("say the prompt back, in pieces of `size` (default 16)")
    finish: str | None = fault("REASON", one_of("stop", "length", "filter"), "why it ended: stop, length or filter")
    # time
    head: Delay | None = fault("DELAY", read_delay, "wait before the head")
    first: Delay | None = fault("DELAY", read_delay, "wait between the head and the first frame")
    between: Delay | None = fault("DELAY", read_delay, "wait between frames")
    slow_head: Delay | None = fault("DELAY", read_delay, "the head byte by byte, with a wait behind each", bare="100ms")
    drip: Delay | None = fault("DELAY", read_delay, "the body byte by byte, with a wait behind each", bare="10ms")
    # a proper refusal
    status: int | None = fault("S", whole_number(200, 999), "this status, with an error in the dialect's own form")
    code: str | None = fault("TEXT", read_text, "the error's code (OpenAI) or type (Anthropic)")
    retry_after: str | None = fault(
        "VALUE",
        read_text,
        "429 with Retry-After: seconds or anything (1e9, -1, soon); date:S a date; ms:N milliseconds",
    )
    reset: str | None = fault("VALUE", read_text, "x-ratelimit-reset-requests and -tokens: 6m0s, 1s, anything")
    redirect: str | None = fault("URL", read_text, "302 to URL (default: the address of cloud metadata)", bare=METADATA)
    # no answer
    refuse: bool = flag("reset the connection without a byte; in a script without `match`: as soon as it is accepted")
    hangup: bool = flag("close the connection without a byte")
    hang: bool = flag("never answer")
    head_only: bool = flag("the head, then nothing")
    garbage: bool = flag("bytes that are no HTTP")
    # a stream that breaks, after N frames
    stall: int | None = fault("N", count, "N frames, then nothing more; the connection stays open", bare="0")
    end: int | None = fault("N", count, "N frames, then a clean end of the body", bare="0")
    fin: int | None = fault("N", count, "N frames, then the connection closes within the body", bare="0")
    rst: int | None = fault("N", count, "N frames, then the connection is reset", bare="0")
    half: int | None = fault("N", count, "N frames, then our side of the socket is shut; it stays open", bare="0")
    error: int | None = fault("N", count, "N frames, then an error object as the dialect has it in a 200", bare="0")
    cut: int | None = fault("N", count, "exactly N bytes of the body, then the connection closes")
    cut_end: int | None = fault("N", count, "exactly N bytes of the body, then a clean end of it")
    cut_rst: int | None = fault("N", count, "exactly N bytes of the body, then a reset")
    short_chunk: int | None = fault("N", count, "N frames, then a chunk shorter than it says, and close", bare="0")
    bad_chunk: int | None = fault("N", count, "N frames, then a chunk whose size is no number", bare="0")
    length: int | None = fault("+N/-N", whole_number(-MOST, MOST), "a content-length wrong by that much")
    # frames that lie
    no_done: bool = flag("without what ends the stream: [DONE], message_stop, the line that says done")
    no_finish: bool = flag("without why the answer ended: finish_reason, message_delta")
    bad_json: int | None = fault("N", count, "frame N (from 0) is no JSON", bare="2")
    bad_utf8: int | None = fault("N", count, "frame N (from 0) is no UTF-8", bare="2")
    duplicate: int | None = fault("N", count, "frame N (from 0) comes twice", bare="2")
    swap: int | None = fault("N", count, "frames N and N+1 change places", bare="2")
    huge: int | None = fault("SIZE", size_up_to(1 << 28), "the first piece of text has that many bytes", bare="8m")
    usage: str | None = fault(
        "HOW",
        one_of("missing", "null", "negative", "huge", "twice", "text"),
        "missing, null, negative, huge, twice, text",
    )
    endless: bool = flag("text without end, as fast as it is read")
    # bytes that lie
    split: int | None = fault("N", positive, "the body in chunks of N bytes, each written alone", bare="1")
    split_at: int | None = fault("N", positive, "every frame in two chunks, cut behind its byte N", bare="1")
    eol: str | None = fault("HOW", one_of("lf", "cr", "crlf"), "line ends of a stream: lf, cr or crlf")
    multiline: bool = flag("every frame's data on two data: lines")
    bom: bool = flag("a byte order mark before the stream")
    comments: bool = flag("a comment before every frame")
    # something else than was asked
    kind: str | None = fault(
        "WHAT", one_of("html", "whole", "stream"), "html, whole (though a stream was asked) or stream (though not)"
    )
    content_type: str | None = fault("TYPE", read_text, "another content-type on the same bytes")
    body: str | None = fault(
        "WHAT",
        one_of("null", "list", "object", "empty", "no-choices"),
        "a 200 of null, list, object, empty, no-choices",
    )
    # heads and HTTP that lie
    big_header: int | None = fault("SIZE", size_up_to(1 << 26), "one header of that size", bare="10k")
    headers: int | None = fault("N", whole_number(1, 100_000), "that many headers", bare="1000")
    cookie: bool = flag("a Set-Cookie")
    header: str | None = fault("NAME:VALUE", read_header, "one more header")
    informational: int | None = fault("N", whole_number(1, MOST), "that many 1xx answers first", bare="1000")
    http09: bool = flag("the body without a head")
    cl_te: bool = flag("content-length and transfer-encoding both")
    # compression
    gzip: int | None = fault("LAYERS", whole_number(1, 10), "the answer in gzip, nested so often", bare="1")
    bomb: int | None = fault(
        "SIZE", size_up_to(1 << 40), "a gzip that unpacks to that size; with gzip=2 nested", bare="10g"
    )
    # connections
    close: bool = flag("connection: close")
    close_idle: Span | None = fault("TIME", read_span, "close unannounced, TIME after the answer", bare="0")
    close_reuse: int | None = fault("K", positive, "close when request K+1 of a connection has come", bare="1")

    @property
    def has_condition(self) -> bool:
        """Whether it depends on more than the request."""
        return any(value is not None for value in (self.times, self.after, self.during, self.share))

    @property
    def is_refusal(self) -> bool:
        """Whether an error is told by its status."""
        return (self.status or 0) >= 300 or (self.status is None and bool(self.retry_after or self.reset))

    def proper(self) -> Plan:
        """The same answer without its faults."""
        return Plan(frames=self.frames, size=self.size, unicode=self.unicode, echo=self.echo, finish=self.finish)

    @property
    def is_partial(self) -> bool:
        """Whether something happens between frames."""
        return any(
            at is not None
            for at in (self.stall, self.end, self.fin, self.rst, self.half, self.short_chunk, self.bad_chunk)
        )


GROUPS: Mapping[str, str] = {
    "times": "When (without these: every call)",
    "frames": "The answer",
    "head": "Time",
    "status": "Proper refusals",
    "refuse": "No answer",
    "stall": "Streams that break",
    "no_done": "Frames that lie",
    "split": "Bytes that lie",
    "kind": "Something else than was asked",
    "big_header": "Heads and HTTP that lie",
    "gzip": "Compression",
    "close": "Connections",
}


def read_flag(text: str) -> bool:
    """A flag takes no argument."""
    raise ValueError("no argument")


def table() -> dict[str, Fault]:
    """Every fault by its name, in order."""
    rows: dict[str, Fault] = {}
    group = ""
    for one in cast("tuple[Field[object], ...]", fields(Plan)):
        group = GROUPS.get(one.name, group)
        argument, read, text, bare = one.metadata["fault"]
        name = NAMES.get(one.name, one.name.replace("_", "-"))
        rows[name] = Fault(name=name, argument=argument, help=text, group=group, read=read or read_flag, bare=bare)
    return rows


NAMES = {"during": "for"}
"""Fields whose name is a word of Python."""

FAULTS: Mapping[str, Fault] = table()
