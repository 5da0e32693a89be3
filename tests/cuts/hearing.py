"""What a caller makes of a stream, read without a line of Farmgate's: whole, told to be broken, or neither."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Heard", "answer_of", "hear"]


@dataclass
class Heard:
    """`is_ended`: the dialect's mark of the end came; `is_closed`: HTTP's own; `error`: what was told instead."""

    status: int = 0
    is_closed: bool = False
    text: str = ""
    name: str = ""
    arguments: str = ""
    finish: str | None = None
    is_ended: bool = False
    error: str | None = None


@dataclass
class Received:
    """An HTTP answer as far as it came."""

    status: int = 0
    body: bytes = b""
    is_closed: bool = False
    headers: Mapping[bytes, bytes] = field(default_factory=dict)


def answer_of(data: bytes) -> Received:
    """Take an answer of HTTP/1.1 apart. Chunks without the last one are no end."""
    head, mark, rest = data.partition(b"\r\n\r\n")
    if not mark:
        return Received()
    first, *fields = head.split(b"\r\n")
    pairs = [field.partition(b":") for field in fields]
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    received = Received(status=int(first.split(b" ")[1]), headers=headers)
    length = headers.get(b"content-length")
    if length is not None:
        received.body, received.is_closed = rest, len(rest) == int(length)
        return received
    assert headers[b"transfer-encoding"] == b"chunked"
    while rest:
        size_line, mark, rest = rest.partition(b"\r\n")
        if not mark:
            break
        size = int(size_line, 16)
        if size == 0:
            received.is_closed = rest == b"\r\n"
            break
        received.body += rest[:size]
        rest = rest[size + 2 :]
    return received


def hear(dialect: str, data: bytes) -> Heard:
    """What these bytes of a gate tell a caller of that dialect."""
    received = answer_of(data)
    heard = Heard(status=received.status, is_closed=received.is_closed)
    if received.status == 200:
        READERS[dialect](heard, received.body)
    elif received.status:
        told = json.loads(received.body)["error"]
        heard.error = told if isinstance(told, str) else str(told.get("code") or told["type"])
    return heard


def events(body: bytes) -> Iterator[str]:
    """The data of each event; one that was cut off is none."""
    *blocks, _ = body.decode(errors="replace").split("\n\n")
    for block in blocks:
        yield from (line[6:] for line in block.split("\n") if line.startswith("data: "))


def hear_openai(heard: Heard, body: bytes) -> None:
    for data in events(body):
        assert not heard.is_ended, "something came behind [DONE]"
        if data == "[DONE]":
            heard.is_ended = heard.finish is not None
            continue
        told = json.loads(data)
        if "error" in told:
            heard.error = told["error"]["code"]
            continue
        for choice in told["choices"]:
            delta = choice["delta"]
            heard.text += delta.get("content") or ""
            for call in delta.get("tool_calls") or ():
                heard.name += call["function"].get("name") or ""
                heard.arguments += call["function"].get("arguments") or ""
            heard.finish = choice["finish_reason"] or heard.finish


def hear_anthropic(heard: Heard, body: bytes) -> None:
    for data in events(body):
        assert not heard.is_ended, "something came behind message_stop"
        told: dict[str, Any] = json.loads(data)
        match told["type"]:
            case "error":
                heard.error = told["error"]["type"]
            case "content_block_start":
                heard.name += told["content_block"].get("name", "")
            case "content_block_delta":
                heard.text += told["delta"].get("text", "")
                heard.arguments += told["delta"].get("partial_json", "")
            case "message_delta":
                heard.finish = told["delta"]["stop_reason"]
            case "message_stop":
                heard.is_ended = heard.finish is not None


def hear_ollama(heard: Heard, body: bytes) -> None:
    for line in body.split(b"\n")[:-1]:
        assert not heard.is_ended, "something came behind the line that is done"
        told = json.loads(line)
        if "error" in told:
            heard.error = told["error"]
            continue
        heard.text += told["message"]["content"]
        for call in told["message"].get("tool_calls") or ():
            heard.name += call["function"]["name"]
            heard.arguments += json.dumps(call["function"]["arguments"])
        if told["done"]:
            heard.finish, heard.is_ended = told["done_reason"], True


READERS: Mapping[str, Callable[[Heard, bytes], None]] = {
    "openai": hear_openai,
    "anthropic": hear_anthropic,
    "ollama": hear_ollama,
}
