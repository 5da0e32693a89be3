"""What a stream says and whether it is whole, worked out the slow and obvious way: fast readers are held to it."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from typing import Any

__all__ = ["is_whole", "lines_in", "names_in", "sse_events"]

LINE_END = re.compile(rb"\r\n|\n|\r")


def sse_events(stream: bytes) -> list[bytes]:
    """The data of every event, by the letter of the specification."""
    found: list[bytes] = []
    data: list[bytes] = []
    *lines, _ = LINE_END.split(stream.removeprefix(b"\xef\xbb\xbf"))
    for line in lines:
        field, _, value = line.partition(b":")
        if not line and data:
            found.append(b"\n".join(data))
            data = []
        elif field == b"data":
            data.append(value.removeprefix(b" "))
    return found


def lines_in(stream: bytes) -> list[bytes]:
    """The lines that are not blank, the last one also without its end."""
    return [line for line in (line.removesuffix(b"\r") for line in stream.split(b"\n")) if line.strip()]


def names_in(stream: bytes) -> Iterator[str]:
    """The `:event-type` of every whole message of an AWS event stream."""
    while len(stream) >= 12:
        total, size = struct.unpack_from(">II", stream)
        if total < 16 or total > len(stream):
            return
        head = stream[12 : 12 + size]
        mark = b"\x0b:event-type\x07"
        if mark in head:
            at = head.index(mark) + len(mark)
            yield head[at + 2 : at + 2 + int.from_bytes(head[at : at + 2], "big")].decode()
        stream = stream[total:]


def told(payloads: list[bytes]) -> list[dict[str, Any]]:
    """The objects among them."""
    found = []
    for payload in payloads:
        try:
            value = json.loads(payload)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


def is_whole(dialect: str, stream: bytes) -> bool:
    """Whether a stream that broke nowhere has all that its dialect calls a whole answer."""
    if dialect == "bedrock":
        return "messageStop" in names_in(stream)
    if dialect == "ollama":
        return any(line.get("done") or line.get("done_reason") for line in told(lines_in(stream)))
    payloads = sse_events(stream)
    if dialect == "openai" and b"[DONE]" in payloads:
        payloads = payloads[: payloads.index(b"[DONE]")]  # What is said behind it counts for nothing.
    events = told(payloads)
    types = {str(event.get("type")) for event in events}
    match dialect:
        case "anthropic":
            return "message_stop" in types
        case "responses":
            return bool(types & {"response.completed", "response.incomplete"})
        case "cohere":
            return "message-end" in types
        case "gemini":
            return "finishReason" in str(events) or "blockReason" in str(events)
    return has_finished_choices(events)


def has_finished_choices(events: list[dict[str, Any]]) -> bool:
    choices = [choice for event in events for choice in event.get("choices") or []]
    begun = {choice.get("index", 0) for choice in choices}
    return bool(begun) and begun == {choice.get("index", 0) for choice in choices if choice.get("finish_reason")}
