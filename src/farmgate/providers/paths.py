"""A caller's words in a path: one step of it, whatever is in them."""

from __future__ import annotations

import re
from urllib.parse import quote

from farmgate.core.errors import ModelNotFound
from farmgate.core.model import LONGEST_NAME

__all__ = ["segment"]

# What a proxy on the way may take for the end of a path, or decode into something else, is in no model's name.
STEERING = re.compile(r"[%?#;\\]")


def segment(name: str) -> str:
    """A model's name as one step of a path. Raises ModelNotFound for one that would lead out of it."""
    steps = name.split("/")
    if (
        len(name) > LONGEST_NAME
        or not name.isprintable()
        or STEERING.search(name)
        or any(step in ("", ".", "..") for step in steps)
    ):
        raise ModelNotFound(f"There is no model {name[:100]!r}: no model's name is written like that.", param="model")
    return quote(name, safe="")
