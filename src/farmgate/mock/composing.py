"""A request and its plan become an answer: a head, and a body that comes unit by unit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.utils import formatdate
from enum import Enum
from http import HTTPStatus

from farmgate.mock.arguments import read_span
from farmgate.mock.asks import Endpoint
from farmgate.mock.lies import bent, bomb, compressed, rendered
from farmgate.mock.plan import Plan
from farmgate.mock.saying import Saying, Trouble, Voice
from farmgate.mock.voices import VOICES
from farmgate.mock.voices.ollama import stamp
from farmgate.wire.strictjson import encode

__all__ = ["Answer", "Framing", "compose", "refuse"]

JSON = "application/json"
HTML = (
    b"<!DOCTYPE html>\n<html><head><title>Bad gateway</title></head>\n"
    b"<body><h1>The service is not here</h1></body></html>\n"
)
STREAMED = frozenset({Endpoint.CHAT, Endpoint.RESPONSES, Endpoint.MESSAGES, Endpoint.OLLAMA_CHAT, Endpoint.GENERATE})
ANTHROPIC = frozenset({Endpoint.MESSAGES, Endpoint.COUNT_TOKENS, Endpoint.CLAUDE_MODELS})
BODIES = {"null": b"null", "list": b"[]", "object": b"{}", "empty": b""}


class Framing(Enum):
    """How a body's end is told."""

    CHUNKED = "chunked"
    LENGTH = "length"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`units` are written one by one; `size_bytes` is what the head says of them, None: nothing."""

    status: int
    headers: tuple[tuple[str, str], ...]
    framing: Framing
    size_bytes: int | None
    units: Iterable[bytes]

    def head(self) -> bytes:
        """The status line and every header."""
        try:
            reason = HTTPStatus(self.status).phrase
        except ValueError:
            reason = "Unknown"
        lines = [f"HTTP/1.1 {self.status} {reason}", *(f"{name}: {value}" for name, value in self.headers)]
        if self.size_bytes is not None:
            lines.append(f"content-length: {self.size_bytes}")
        if self.framing is Framing.CHUNKED:
            lines.append("transfer-encoding: chunked")
        return "\r\n".join((*lines, "", "")).encode()


def refuse(saying: Saying, trouble: Trouble) -> Answer:
    """A proper error, whatever the plan."""
    voice = VOICES[saying.ask.endpoint]
    body = encode(voice.trouble(trouble, saying))
    headers = (("content-type", JSON), *request_ids(saying))
    return Answer(status=trouble.status, headers=headers, framing=Framing.LENGTH, size_bytes=len(body), units=(body,))


def compose(saying: Saying) -> Answer:
    """The answer to a request that can be answered."""
    plan, ask = saying.plan, saying.ask
    voice = VOICES[ask.endpoint]
    status = plan.status or (302 if plan.redirect else 429 if plan.is_refusal else 200)
    trouble = Trouble(
        status=status if status >= 400 else 500, message=f"The mock was asked to fail with {status}.", code=plan.code
    )
    is_stream = (ask.stream and ask.endpoint in STREAMED and plan.kind is None) or plan.kind == "stream"
    is_stream = is_stream and not plan.is_refusal and not plan.redirect and plan.body is None
    if is_stream:
        content_type, units = stream_of(voice, saying, trouble)
    else:
        content_type, units = whole_of(voice, saying, trouble)
    if plan.bomb is not None:
        units = bomb(plan.bomb, plan.gzip or 1)
    elif plan.gzip is not None:
        units = compressed(units, plan.gzip)
    headers = (("content-type", plan.content_type or content_type), *request_ids(saying), *headers_of(saying))
    return framed(plan, status, headers, units, is_stream=is_stream)


def stream_of(voice: Voice, saying: Saying, trouble: Trouble) -> tuple[str, Iterable[bytes]]:
    """A stream's type and its frames."""
    is_lines = voice.stream_type != "text/event-stream"
    return voice.stream_type, rendered(bent(voice, saying, trouble), saying.plan, is_lines=is_lines)


def whole_of(voice: Voice, saying: Saying, trouble: Trouble) -> tuple[str, Iterable[bytes]]:
    """A body's type and the body: in halves where something is to happen between them."""
    plan = saying.plan
    if plan.endless:
        return JSON, endless_string()
    content_type, body = JSON, b""
    if plan.kind == "html":
        content_type, body = "text/html; charset=utf-8", HTML
    elif plan.redirect:
        content_type = "text/plain"
    elif plan.body is not None:
        body = BODIES[plan.body] if plan.body in BODIES else encode(voice.hollow(saying))
    elif plan.is_refusal or plan.error is not None:
        body = encode(voice.trouble(trouble, saying))
    elif plan.bad_json is not None:
        body = b'{"id": "mock", not json'
    else:
        body = encode(voice.whole(saying))
    if plan.bad_utf8 is not None:
        body = body[:-1] + b',"a":"\xff\xfe"}'
    middle = len(body) // 2
    return content_type, (body[:middle], body[middle:]) if plan.is_partial else (body,)


def endless_string() -> Iterator[bytes]:
    """The beginning of a JSON object that never comes to an end."""
    yield b'{"id":"'
    while True:
        yield b"x" * 16_384


def framed(
    plan: Plan, status: int, headers: tuple[tuple[str, str], ...], units: Iterable[bytes], *, is_stream: bool
) -> Answer:
    """How the body's end is told, truly or not."""
    needs_chunks = is_stream or plan.endless or plan.gzip is not None or plan.bomb is not None
    ends_early = any(at is not None for at in (plan.end, plan.cut_end, plan.short_chunk, plan.bad_chunk))
    if plan.length is None and (needs_chunks or ends_early):
        size = 100 if plan.cl_te else None
        return Answer(status=status, headers=headers, framing=Framing.CHUNKED, size_bytes=size, units=units)
    units = tuple(units)
    size = max(0, sum(map(len, units)) + (plan.length or 0))
    framing = Framing.CHUNKED if plan.cl_te else Framing.LENGTH
    return Answer(status=status, headers=headers, framing=framing, size_bytes=size, units=units)


def request_ids(saying: Saying) -> Iterator[tuple[str, str]]:
    yield ("request-id" if saying.ask.endpoint in ANTHROPIC else "x-request-id"), f"req_{saying.id}"


def headers_of(saying: Saying) -> Iterator[tuple[str, str]]:
    """What the plan adds to a head."""
    plan = saying.plan
    if plan.retry_after is not None:
        yield retry_after(plan.retry_after, saying.now)
    if plan.reset is not None:
        yield from resets(saying, plan.reset)
    if plan.redirect is not None:
        yield "location", plan.redirect
    if plan.gzip is not None or plan.bomb is not None:
        yield "content-encoding", ", ".join(["gzip"] * (plan.gzip or 1))
    if plan.close:
        yield "connection", "close"
    if plan.cookie:
        yield "set-cookie", "mock=1; Path=/; HttpOnly"
    if plan.header is not None:
        name, _, value = plan.header.partition(":")
        yield name.strip(), value.strip()
    if plan.big_header is not None:
        yield "x-big", "x" * plan.big_header
    for at in range(plan.headers or 0):
        yield f"x-many-{at}", str(at)


def retry_after(value: str, now: float) -> tuple[str, str]:
    """`date:S`: a date S seconds from now; `ms:N`: the header for milliseconds; anything else as it is."""
    kind, found, argument = value.partition(":")
    if found and kind == "ms":
        return "retry-after-ms", argument
    if found and kind == "date":
        return "retry-after", formatdate(now + seconds(argument), usegmt=True)
    return "retry-after", value


def seconds(text: str) -> float:
    """A number with any sign; 0 for anything else."""
    try:
        return float(text)
    except ValueError:
        return 0.0


def resets(saying: Saying, value: str) -> Iterator[tuple[str, str]]:
    """When a limit is lifted, as each dialect tells it."""
    if saying.ask.endpoint not in ANTHROPIC:
        for what in ("requests", "tokens"):
            yield f"x-ratelimit-remaining-{what}", "0"
            yield f"x-ratelimit-reset-{what}", value
        return
    with contextlib.suppress(ValueError):  # What is no time is told as it is.
        value = stamp(saying.now + read_span(value)).replace(".000000Z", "Z")
    for what in ("requests", "tokens"):
        yield f"anthropic-ratelimit-{what}-remaining", "0"
        yield f"anthropic-ratelimit-{what}-reset", value
