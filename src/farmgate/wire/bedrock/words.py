"""What is the same in Converse's whole answers and in its streams: why an answer ended, and what it rests on."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from farmgate.core.errors import UpstreamError
from farmgate.core.event import Annotation, Finish, FinishReason

__all__ = ["ModelFields", "ToldCitation", "annotation_of", "finish_of"]

REASONS: Mapping[str, FinishReason] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "tool_use": FinishReason.TOOL_CALLS,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "guardrail_intervened": FinishReason.CONTENT_FILTER,
    "content_filtered": FinishReason.CONTENT_FILTER,
}
MALFORMED = ("malformed_model_output", "malformed_tool_use")


class ModelFields(msgspec.Struct):
    """The fields of Claude's own that were asked for."""

    stop_sequence: object = None


class Web(msgspec.Struct):
    """Where on the web a text comes from."""

    url: str | None = None


class Location(msgspec.Struct):
    """Where a text comes from; other places are of documents the caller sent."""

    web: Web | None = None


class ToldCitation(msgspec.Struct):
    """What a piece of text rests on."""

    title: str | None = None
    location: Location | None = None


def finish_of(reason: str, fields: ModelFields | None, *, provider: str) -> Finish:
    """Why an answer ended; a word we do not know means that it did. Raises UpstreamError where it is no answer."""
    if reason in MALFORMED:
        raise UpstreamError(f"{provider}'s model wrote something Bedrock could not read ({reason}): ask again.")
    stop = fields.stop_sequence if fields is not None and reason == "stop_sequence" else None
    return Finish(REASONS.get(reason, FinishReason.STOP), stop=stop if isinstance(stop, str) else None)


def annotation_of(citation: ToldCitation) -> Annotation | None:
    """A page on the web as OpenAI writes it; None for a place in what the caller sent."""
    web = citation.location.web if citation.location else None
    if web is None or not web.url:
        return None
    page = {"url": web.url, "title": citation.title or web.url}
    return Annotation({"type": "url_citation", "url_citation": page})
