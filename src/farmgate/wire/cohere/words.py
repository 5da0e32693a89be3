"""What is the same in Cohere's whole answers and in its streams: usage, citations, and why an answer ended."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from farmgate.core.errors import ContextLengthExceeded, UpstreamError, UpstreamTimeout
from farmgate.core.event import Annotation, Finish, FinishReason, Usage
from farmgate.wire.counts import tokens

__all__ = ["ToldCitation", "ToldUsage", "annotations_of", "finish_of", "usage_of"]

REASONS: Mapping[str, FinishReason] = {
    "COMPLETE": FinishReason.STOP,
    "STOP_SEQUENCE": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "TOOL_CALL": FinishReason.TOOL_CALLS,
    "ERROR_TOXIC": FinishReason.CONTENT_FILTER,
}


class Tokens(msgspec.Struct):
    """Counts as Cohere writes them: whole numbers, at times with a point."""

    input_tokens: object = None
    output_tokens: object = None


class ToldUsage(msgspec.Struct):
    """`tokens` is what went through the model, `billed_units` what is paid; cached ones are among the former."""

    tokens: Tokens | None = None
    billed_units: Tokens | None = None
    cached_tokens: object = None


class Source(msgspec.Struct):
    """A document or a tool's answer; `document` holds what the caller said of it."""

    id: str | None = None
    document: dict[str, object] | None = None


class ToldCitation(msgspec.Struct):
    """A span of the answer and what it rests on."""

    start: int | None = None
    end: int | None = None
    text: str | None = None
    sources: list[Source] | None = None


def usage_of(told: ToldUsage | None) -> Usage | None:
    """None where nothing usable is told."""
    counts = None if told is None else told.tokens or told.billed_units
    if told is None or counts is None:
        return None
    prompt = count_of(counts.input_tokens)
    if prompt is None:
        return None
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=count_of(counts.output_tokens) or 0,
        cached_tokens=min(count_of(told.cached_tokens) or 0, prompt),
    )


def count_of(count: object) -> int | None:
    """A count of tokens; Cohere writes some with a point."""
    return tokens(int(count) if type(count) is float else count)


def finish_of(reason: str, told: str, *, provider: str) -> Finish:
    """Why an answer ended; a word we do not know means that it did. Raises FarmError where it broke off."""
    match reason.upper():
        case "ERROR" | "ERROR_GENERATION":
            raise UpstreamError(f"{provider} broke off: {told or 'it does not say why'}.")
        case "ERROR_LIMIT":
            raise ContextLengthExceeded(f"{provider}: {told or 'the conversation is longer than the context.'}")
        case "TIMEOUT":
            raise UpstreamTimeout(f"{provider} ran out of time while it answered.")
        case known:
            return Finish(REASONS.get(known, FinishReason.STOP))


def annotations_of(citation: ToldCitation) -> list[Annotation]:
    """Each source of a span as OpenAI writes it: a page by its address, anything else by its id."""
    span = {"start_index": citation.start or 0, "end_index": citation.end or 0}
    return [Annotation(annotation(source, span)) for source in citation.sources or ()]


def annotation(source: Source, span: Mapping[str, int]) -> Mapping[str, object]:
    document = source.document or {}
    url, title = document.get("url"), document.get("title")
    if isinstance(url, str) and url:
        return {"type": "url_citation", "url_citation": {"url": url, "title": str(title or url), **span}}
    return {"type": "file_citation", "file_citation": {"file_id": source.id or "", **span}}
