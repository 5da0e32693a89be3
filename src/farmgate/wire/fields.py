"""Fields of JSON objects, as every dialect writes them and, once a rule has checked them, reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, cast

__all__ = ["Fields", "objects", "present", "whole_number"]

Fields: TypeAlias = dict[str, object]


def present(fields: Mapping[str, object]) -> Fields:
    """The fields that were said."""
    return {name: value for name, value in fields.items() if value is not None}


def objects(value: object) -> list[Fields]:
    """A list of objects."""
    return cast("list[Fields]", value)


def whole_number(value: object) -> int | None:
    """A whole number, which callers may write with a point; None where nothing was said."""
    return None if value is None else int(cast("float", value))
