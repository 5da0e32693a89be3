"""One long answer - text, a call of a tool, usage - as three kinds of provider stream it, and where each is whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["ARGUMENTS", "STREAMS", "TEXT", "Stream"]

WORDS = [f"{number} fences keep 羊 and 🦊 apart, said the keeper.\n" for number in range(1, 31)]
TEXT = "".join(WORDS)
ARGUMENTS = {"city": "Zürich", "days": 2, "why": 'a "quoted" reason'}
PIECES = [json.dumps(ARGUMENTS)[at : at + 9] for at in range(0, len(json.dumps(ARGUMENTS)), 9)]


@dataclass(frozen=True)
class Stream:
    """`whole_at`: with so many bytes nothing of the answer is missing, whatever becomes of the rest."""

    kind: str
    body: bytes
    whole_at: int


def sse(*payloads: object, names: bool = False) -> bytes:
    lines = [json.dumps(payload, ensure_ascii=False) for payload in payloads]
    heads = [f"event: {payload['type']}\n" if names and isinstance(payload, dict) else "" for payload in payloads]
    return "".join(f"{head}data: {line}\n\n" for head, line in zip(heads, lines, strict=True)).encode()


def chunk(delta: Mapping[str, object], finish: str | None = None) -> dict[str, object]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def openai() -> Stream:
    """Whole once its choice has a reason to end: `[DONE]` says nothing more."""
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
    said = sse(
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": word}) for word in WORDS),
        chunk({"tool_calls": [call]}),
        *(chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in PIECES),
        chunk({}, "tool_calls"),
    )
    usage = {"prompt_tokens": 9, "completion_tokens": 400, "total_tokens": 409}
    rest = sse({**chunk({}), "choices": [], "usage": usage}) + b"data: [DONE]\n\n"
    return Stream("text/event-stream", said + rest, len(said))


def anthropic() -> Stream:
    """Whole with `message_stop`."""
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "m"}
    begun = {**message, "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 1}}
    tool = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
    body = sse(
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *(block_delta(0, {"type": "text_delta", "text": word}) for word in WORDS),
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": tool},
        *(block_delta(1, {"type": "input_json_delta", "partial_json": piece}) for piece in PIECES),
        {"type": "content_block_stop", "index": 1},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": {"output_tokens": 400},
        },
        {"type": "message_stop"},
        names=True,
    )
    return Stream("text/event-stream; charset=utf-8", body, len(body))


def block_delta(index: int, delta: Mapping[str, object]) -> dict[str, object]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def ollama() -> Stream:
    """Whole with the line that says `done`, its newline or not."""
    call = {"id": "call_1", "function": {"name": "weather", "arguments": ARGUMENTS}}
    told: list[dict[str, object]] = [
        *({"message": {"role": "assistant", "content": word}, "done": False} for word in WORDS),
        {"message": {"role": "assistant", "content": "", "tool_calls": [call]}, "done": False},
        {
            "message": {"role": "assistant", "content": ""},
            "done": True,
            "done_reason": "stop",
            "prompt_eval_count": 9,
            "eval_count": 400,
        },
    ]
    head = {"model": "m", "created_at": "2026-03-01T06:12:00.123456789Z"}
    body = b"".join(json.dumps({**head, **line}, ensure_ascii=False).encode() + b"\n" for line in told)
    return Stream("application/x-ndjson", body, len(body) - 1)


STREAMS: Mapping[str, Stream] = {"openai": openai(), "anthropic": anthropic(), "ollama": ollama()}
