"""Recorded answers of providers: bytes as their servers send them, event streams built from readable lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.fakes.eventstream import event, exception, stream_error

__all__ = ["recorded", "recorded_events", "recorded_lines"]

FOLDER = Path(__file__).parent.parent / "recordings"


def recorded(name: str) -> bytes:
    """A recording, byte for byte."""
    return (FOLDER / name).read_bytes()


def recorded_lines(name: str) -> list[dict[str, Any]]:
    """The lines of a recording that is no bytes of a wire but says what is in them."""
    return [json.loads(line) for line in (FOLDER / name).read_text().splitlines() if line]


def recorded_events(name: str) -> list[bytes]:
    """The messages of an AWS event stream. A line is one message: `{"event": ..., "payload": ...}`, with `exception` or
    `error` instead of `event` where the service sends those; a payload that is text goes out as it stands."""
    return [message_of(line) for line in recorded_lines(name)]


def message_of(line: dict[str, Any]) -> bytes:
    payload = line.get("payload", {})
    data = payload.encode() if isinstance(payload, str) else json.dumps(payload, separators=(",", ":")).encode()
    if "exception" in line:
        return exception(line["exception"], data)
    if "error" in line:
        return stream_error(line["error"], line.get("message", ""))
    return event(
        line["event"], data, kind="application/octet-stream" if isinstance(payload, str) else "application/json"
    )
