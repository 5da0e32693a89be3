"""What the schema refuses, in words: the place, the setting, what it must be, and what it is unless that is secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from farmgate.config.errors import shown, suggestion
from farmgate.config.nodes import Node, Path, nearest, plain
from farmgate.config.origins import is_secret

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

__all__ = ["explain"]

Limits = Mapping[str, Any]

# By the validator's type of error: https://docs.pydantic.dev/latest/errors/validation_errors/
WORDS: Mapping[str, Callable[[Limits], str]] = {
    "missing": lambda _: "is missing",
    "greater_than": lambda limit: f"must be more than {limit['gt']:g}",
    "greater_than_equal": lambda limit: f"must be at least {limit['ge']}",
    "less_than_equal": lambda limit: f"must be at most {limit['le']}",
    "finite_number": lambda _: "must be a finite number",
    "string_type": lambda _: "must be text: put it in quotes",
    "string_too_short": lambda _: "must not be empty",
    "string_too_long": lambda limit: f"must have at most {limit['max_length']} characters",
    "string_pattern_mismatch": lambda _: "must be the name of a type, or module:Class",
    "literal_error": lambda limit: f"must be {limit['expected']}",
    "value_error": lambda limit: str(limit["error"]),
}
FAMILIES = {
    "int": "must be a whole number",
    "float": "must be a number",
    "bool": "must be true or false",
    "tuple": "must be a list, such as [first, second]",
    "mapping": "must be a mapping, `key: value`",
    "dict": "must be a mapping, `key: value`",
    "model": "must be a mapping, `key: value`",
}


def explain(error: ValidationError, tree: Node) -> tuple[str, ...]:
    """One line for each thing `tree` has wrong."""
    return tuple(line(detail, tree) for detail in error.errors(include_url=False, include_input=False))


def line(detail: ErrorDetails, tree: Node) -> str:
    path: Path = detail["loc"]
    node, depth = nearest(tree, path)
    limits = detail.get("ctx", {})
    kind = detail["type"]
    words = WORDS[kind](limits) if kind in WORDS else FAMILIES.get(kind.split("_")[0], detail["msg"])
    return f"{node.place}: {'.'.join(map(str, path))} {words}{but(node, path, depth, kind)}"


def but(node: Node, path: Path, depth: int, kind: str) -> str:
    """`, not "x"`, where showing it tells more than it gives away. Addresses may hold passwords."""
    if depth < len(path) or kind in ("missing", "value_error", "string_too_long"):
        return ""
    if is_secret(path, node.via) or node.via:
        return ""
    value = plain(node)
    hint = suggestion(value, ("debug", "info", "warning", "error", "text", "json")) if isinstance(value, str) else ""
    return f", not {shown(value)}{hint if kind == 'literal_error' else ''}"
