"""Media that came whole in a `data:` URL."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Inline", "document_of", "inline_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inline:
    """What a `data:` URL holds: its type in lower case, without parameters, and its base64."""

    media_type: str
    base64: str


def inline_of(url: str) -> Inline | None:
    """None for any other address, and for data that is not base64."""
    head, _, data = url.partition(",")
    kind, *parameters = head.lower().split(";")
    if not kind.startswith("data:") or "base64" not in parameters or not data:
        return None
    return Inline(media_type=kind.removeprefix("data:"), base64=data)


def document_of(told: str) -> Inline:
    """A document as OpenAI's APIs take one: in a `data:` URL, or its base64 alone, which is a PDF's."""
    return inline_of(told) or Inline(media_type="application/pdf", base64=told)
