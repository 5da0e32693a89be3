"""Converse's documents: each has a kind, and a name of its own in plain signs."""

from __future__ import annotations

import base64
import re

from farmgate.core.words import FilePart
from farmgate.wire.losses import Losses

__all__ = ["Documents"]

KINDS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
STRANGE = re.compile(r"[^a-zA-Z0-9\s()\[\]-]")
LONGEST_NAME = 180


class Documents:
    """The documents of one request, each named once: Bedrock refuses two of one name."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def encode(self, part: FilePart, where: str, losses: Losses) -> dict[str, object]:
        """Raises UnsupportedParameter for what does not come whole: Farmgate fetches no addresses."""
        if part.text is not None:
            data, kind = base64.b64encode(part.text.encode()).decode(), "txt"
        elif part.data is None:
            raise losses.refuse(where, "send the document itself, as base64")
        elif part.media_type not in KINDS:
            raise losses.refuse(where, f"it takes no documents of the type `{part.media_type[:80]}`")
        else:
            data, kind = part.data, KINDS[part.media_type]
        return {"format": kind, "name": self._name(part.name), "source": {"bytes": data}}

    def _name(self, wished: str | None) -> str:
        plain = " ".join(STRANGE.sub(" ", (wished or "document")[:LONGEST_NAME]).split()) or "document"
        name, count = plain, 1
        while name in self._names:
            count += 1
            name = f"{plain} ({count})"
        self._names.add(name)
        return name
