"""JSON schemas of tools: refused where they would lead a reader outside, in circles, or into endless work."""

from __future__ import annotations

import re

from farmgate.core.errors import BadRequest

__all__ = ["InvalidSchema", "check_schema"]

# One thing without end, in a group without end: `(a+)+`, `([a-z]*)*`, `(?:x+){2,}`. Whoever matches it by trying needs
# twice as long for each further character, and the inner repetition alone says the same. Groups that hold more, such
# as `(-[a-z]+)*`, are common and harmless.
# It is matched against what strangers send: no step of it goes past the next bracket, so that it takes linear time.
EXPONENTIAL = re.compile(
    r"\((?:\?:|\?<\w+>)?"
    r"(?:\[(?:\\.|[^\\()\[\]])+\]|\\.|[^\\()\[\]|?*+{])"
    r"(?:[+*]|\{\d{1,9},\})\??\)(?:[+*]|\{\d{1,9},\})"
)


class InvalidSchema(BadRequest):
    """A tool's parameters are not a JSON schema of an object."""

    code = "invalid_schema"


def check_schema(schema: object, where: str, *, field: str = "parameters") -> None:
    """An object's schema: every `$ref` stays inside it and does not lead straight back to itself, and no `pattern`
    takes exponential time. Raises InvalidSchema."""
    if type(schema) is not dict or schema.get("type", "object") != "object":
        raise InvalidSchema(f"`{where}` needs `{field}`: a JSON schema of an object.", param=where)
    known: set[str] = set()
    level: list[object] = [schema]
    while level:
        value = level.pop()
        if type(value) is list:
            level.extend(value)
        elif type(value) is dict:
            target = value.get("$ref")
            if type(target) is str:
                follow(schema, target, where, known)
            pattern = value.get("pattern")
            if type(pattern) is str and EXPONENTIAL.search(pattern):
                raise InvalidSchema(
                    f"`{where}`: a `pattern` repeats what repeats itself, as `(a+)+` does.", param=where
                )
            level.extend(value.values())


def follow(schema: dict[str, object], target: str, where: str, known: set[str]) -> None:
    """`known`: targets that were followed to their end already, so that long chains are walked once."""
    seen: set[str] = set()
    while target not in known:
        if not target.startswith("#"):
            raise InvalidSchema(f"`{where}`: `$ref` may only point inside the schema.", param=where)
        if target in seen:
            raise InvalidSchema(f"`{where}`: a `$ref` leads back to itself.", param=where)
        seen.add(target)
        place = place_of(schema, target)
        onward = place.get("$ref") if type(place) is dict and len(place) == 1 else None
        if type(onward) is not str:
            break
        target = onward
    known |= seen


def place_of(schema: object, target: str) -> object:
    """What a JSON pointer leads to; None where it leads nowhere."""
    for step in filter(None, target[1:].split("/")):
        if type(schema) is list and step.isdecimal() and len(step) < 8 and int(step) < len(schema):
            schema = schema[int(step)]
        else:
            schema = schema.get(step.replace("~1", "/").replace("~0", "~")) if type(schema) is dict else None
    return schema
