"""A caller's words in a path: one step of it, whatever is in them."""

from __future__ import annotations

from urllib.parse import quote

from farmgate.core.errors import ModelNotFound

__all__ = ["segment"]


def segment(name: str) -> str:
    """A model's name as one step of a path. Raises ModelNotFound for one that would lead out of it."""
    if name in ("", ".", ".."):
        raise ModelNotFound(f"There is no model {name!r}.", param="model")
    return quote(name, safe="")
