"""What Anthropic's whole answers and the events of its streams say, in our words.

What is left out or null is passed over; anything that is of another kind than it should be is an
UpstreamInvalidResponse.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from farmgate.core.event import Annotation, Finish, FinishReason, Part, Reasoning, Text, ToolDelta
from farmgate.wire.anthropic.usage import ToldUsage

__all__ = ["Told", "ToldAnswer", "ToldBlock", "block_parts", "decode_answer", "decode_told", "finish_of", "stop_reason"]

NONE = msgspec.Raw(b"")


class ToldBlock(msgspec.Struct):
    """A block of an answer, whole or at its beginning. Kinds we do not know say nothing to other dialects."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = NONE
    citations: list[dict[str, object]] | None = None


class ToldAnswer(msgspec.Struct):
    """A whole message, or the one a stream begins with."""

    type: str = "message"
    content: list[ToldBlock] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: ToldUsage | None = None


class ToldDelta(msgspec.Struct):
    """What an event adds to a block, or to the message."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    citation: dict[str, object] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class Told(msgspec.Struct):
    """An event of a stream."""

    type: str
    index: int = 0
    message: ToldAnswer | None = None
    content_block: ToldBlock | None = None
    delta: ToldDelta | None = None
    usage: ToldUsage | None = None


decode_told = msgspec.json.Decoder(Told).decode
decode_answer = msgspec.json.Decoder(ToldAnswer).decode

REASONS: Mapping[str, FinishReason] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "pause_turn": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.CONTENT_FILTER,
}


def finish_of(reason: str | None, sequence: str | None) -> Finish:
    """Why an answer ended; words we do not know mean that it simply did."""
    return Finish(REASONS.get(reason or "", FinishReason.STOP), stop=sequence if reason == "stop_sequence" else None)


def stop_reason(finish: Finish, *, has_tools: bool, has_refused: bool) -> tuple[str, str | None]:
    """Anthropic's word for why an answer ended, and the sequence that ended it.

    Others say `stop` of an answer that calls tools, where they were told to call one, and of one that refuses.
    """
    match finish.reason:
        case FinishReason.LENGTH:
            return "max_tokens", None
        case FinishReason.CONTENT_FILTER:
            return "refusal", None
        case FinishReason.TOOL_CALLS:
            return "tool_use", None
        case FinishReason.STOP:
            if has_tools:
                return "tool_use", None
            if has_refused:
                return "refusal", None
            return ("end_turn", None) if finish.stop is None else ("stop_sequence", finish.stop)


def block_parts(block: ToldBlock, tool: int) -> list[Part]:
    """What a whole block says; `tool`: how many calls there were before it."""
    match block.type:
        case "text":
            said: list[Part] = [Text(block.text)] if block.text else []
            return said + [annotation(citation) for citation in block.citations or ()]
        case "thinking":
            signed = block.signature or None
            return [Reasoning(block.thinking or "", signature=signed)] if block.thinking or signed else []
        case "redacted_thinking":
            return [Reasoning("", redacted=block.data)] if block.data else []
        case "tool_use":
            return [ToolDelta(index=tool, id=block.id, name=block.name, arguments=arguments(block) or "{}")]
        case _:
            return []


def arguments(block: ToldBlock) -> str:
    """A call's arguments as JSON text; empty where a stream has yet to bring them."""
    told = bytes(block.input)
    return "" if told in (b"", b"{}", b"null", b"{ }") else told.decode()


def annotation(citation: Mapping[str, object]) -> Annotation:
    """What a text rests on: a page of the web, or a place in a document that was sent."""
    url = citation.get("url")
    if isinstance(url, str):
        return Annotation({"type": "url_citation", "url_citation": {"url": url, "title": citation.get("title") or ""}})
    title = citation.get("document_title") or citation.get("title") or ""
    quoted = citation.get("cited_text") or ""
    return Annotation({"type": "file_citation", "file_citation": {"filename": title, "quote": quoted}})
