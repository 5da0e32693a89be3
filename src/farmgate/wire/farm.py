"""Farmgate's own answers in bytes: text as it comes, one frame a piece."""

from __future__ import annotations

from farmgate.core.answer import Answer
from farmgate.core.event import Part, Refusal, Text
from farmgate.wire.sse import frame
from farmgate.wire.strictjson import encode

__all__ = ["content_frame", "response_text"]


def content_frame(parts: tuple[Part, ...]) -> bytes:
    """`data: {"content": "..."}` with what these parts say to the reader; nothing when they say nothing.

    A refusal is text too: an answer without a word would look like a fault. Thinking and other choices are left out.
    """
    text = "".join(part.text for part in parts if isinstance(part, Text | Refusal) and part.choice == 0)
    return frame(encode({"content": text})) if text else b""


def response_text(answer: Answer) -> str:
    """The same text of a whole answer."""
    first = answer.choices.get(0)
    return first.text + first.refusal if first is not None else ""
