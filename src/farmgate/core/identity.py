"""Who is asking."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ANONYMOUS", "Principal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The caller, as its credential tells. `key_name` is the name given to the key, never the key.

    `is_admin`: may change what runs here.
    """

    key_name: str
    is_admin: bool = False


ANONYMOUS = Principal(key_name="anonymous", is_admin=True)
"""Where there are no keys everybody is on this machine, and may change the files as well."""
