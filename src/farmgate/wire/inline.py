"""Media that came whole in a `data:` URL."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Inline", "inline_of"]


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
