"""Who is asking."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ANONYMOUS", "Principal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The caller, as its credential tells. `key_name` is the name given to the key, never the key."""

    key_name: str


ANONYMOUS = Principal(key_name="anonymous")
