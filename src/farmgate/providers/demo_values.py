"""Values the demo makes for a JSON schema: by rule, from somebody's words, without a model.

Simple schemas are satisfied: types, `enum`, `const`, `required`, `anyOf`, local `$ref`, bounds of numbers and lengths.
`pattern`, `not`, `if` and the like are not looked at. A schema is a stranger's, so nothing in it is taken for granted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TypeGuard

__all__ = ["value_for"]

MOST_VALUES = 500
MOST_DEPTH = 12
MOST_ITEMS = 8
MOST_CHARACTERS = 2000
NUMBER = re.compile(r"(?<![\w.])-?\d{1,15}(?:\.\d{1,15})?(?![\w]|\.\d)")
# What stands in quotes, or begins with a capital letter within a sentence and is no heading.
PHRASE = re.compile(r"\"([^\"]+)\"|(?<=[a-z,] )([A-Z][\w'-]++(?: [A-Z][\w'-]++)*+)(?!:)")
FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "P1D",
    "email": "demo@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
}
Schema = Mapping[str, object]


def value_for(schema: Schema, said: str) -> object:
    """A value that satisfies the schema, from what was said: its numbers, its phrases, or the whole of it, in turn."""
    return Maker(schema, said).make(schema)


def is_schema(value: object) -> TypeGuard[Schema]:
    return isinstance(value, Mapping)


class Maker:
    """Makes one value; numbers and phrases that were used are not used again."""

    def __init__(self, root: Schema, said: str) -> None:
        self._root = root
        said = said.strip()[:MOST_CHARACTERS]
        self._said = said
        self._numbers = [float(found) for found in NUMBER.findall(said)]
        self._phrases = [quoted or name for quoted, name in PHRASE.findall(said)]
        # A schema may refer to itself, and a small one can ask for more than fits a memory.
        self._values_left = MOST_VALUES

    def make(self, schema: object, depth: int = 0) -> object:
        self._values_left -= 1
        if self._values_left < 0 or depth > MOST_DEPTH or not is_schema(schema):
            return None
        if "const" in schema:
            return schema["const"]
        options = schema.get("enum")
        if isinstance(options, list) and options:
            return options[0]
        if (other := self._elsewhere(schema, depth)) is not None:
            return self.make(other, depth + 1)
        return self._of_type(kind_of(schema), schema, depth)

    def _elsewhere(self, schema: Schema, depth: int) -> Schema | None:
        """The schema that says more: one referred to, the first of several, or all of them together."""
        if isinstance(path := schema.get("$ref"), str):
            return self._referred(path)
        for word in ("anyOf", "oneOf"):
            options = [option for option in listed(schema.get(word)) if is_schema(option)]
            if options:
                empty = depth > MOST_DEPTH // 2
                return next((option for option in options if (kind_of(option) == "null") is empty), options[0])
        parts = [self._met(part) for part in listed(schema.get("allOf")) if is_schema(part)]
        if parts:
            return together([{word: value for word, value in schema.items() if word != "allOf"}, *parts])
        return None

    def _met(self, schema: Schema) -> Schema:
        path = schema.get("$ref")
        return self._referred(path) if isinstance(path, str) else schema

    def _referred(self, path: str) -> Schema:
        place: object = self._root
        for step in path.split("/")[1:]:
            place = place.get(step) if is_schema(place) else None
        return place if is_schema(place) else {}

    def _of_type(self, kind: str, schema: Schema, depth: int) -> object:
        match kind:
            case "object":
                return {name: self.make(wanted, depth + 1) for name, wanted in properties(schema)}
            case "array":
                count = bounded(1, schema, "minItems", "maxItems", MOST_ITEMS)
                return [self.make(schema.get("items", {}), depth + 1) for _ in range(count)]
            case "integer":
                return int(self._number(schema, is_whole=True))
            case "number":
                found = self._number(schema, is_whole=False)
                return int(found) if found.is_integer() else found
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return self._text(schema)

    def _number(self, schema: Schema, *, is_whole: bool) -> float:
        low, high = limits(schema, is_whole=is_whole)
        for found in self._numbers:
            if low <= found <= high and (found.is_integer() or not is_whole):
                self._numbers.remove(found)
                return found
        return min(max(1.0, low), high)

    def _text(self, schema: Schema) -> str:
        form = schema.get("format")
        if isinstance(form, str) and form in FORMATS:
            return FORMATS[form]
        text = self._phrases.pop(0) if self._phrases else self._said
        size = bounded(len(text), schema, "minLength", "maxLength", MOST_CHARACTERS)
        return text[:size].ljust(size, ".")


def kind_of(schema: Schema) -> str:
    """The first type that is not null, or what the other words of the schema make it."""
    kinds = [kind for kind in listed(schema.get("type")) or [schema.get("type")] if isinstance(kind, str)]
    if kinds:
        return next((kind for kind in kinds if kind != "null"), kinds[0])
    if "properties" in schema:
        return "object"
    return "array" if "items" in schema else "string"


def listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def known(schema: Schema) -> Schema:
    there = schema.get("properties")
    return there if is_schema(there) else {}


def properties(schema: Schema) -> list[tuple[str, object]]:
    """Those that are required; all of them where the schema does not say."""
    all_of_them = known(schema)
    required = schema.get("required")
    names = [name for name in required if isinstance(name, str)] if isinstance(required, list) else list(all_of_them)
    return [(name, all_of_them.get(name, {})) for name in names]


def together(parts: list[Schema]) -> Schema:
    """Several schemas of which all must hold, as one."""
    whole: dict[str, object] = {}
    for part in parts:
        whole |= part
    if "properties" in whole:
        whole["properties"] = {name: wanted for part in parts for name, wanted in known(part).items()}
    if "required" in whole:
        whole["required"] = [name for part in parts for name in listed(part.get("required"))]
    return whole


def finite(value: object) -> float | None:
    """A number small enough to count with."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e15 else None


def limits(schema: Schema, *, is_whole: bool) -> tuple[float, float]:
    """The least and the greatest number allowed."""
    step = 1.0 if is_whole else 1e-6
    low, high = -1e15, 1e15
    if (least := finite(schema.get("minimum"))) is not None:
        low = least
    if (below := finite(schema.get("exclusiveMinimum"))) is not None:
        low = max(low, below + step)
    if (most := finite(schema.get("maximum"))) is not None:
        high = most
    if (above := finite(schema.get("exclusiveMaximum"))) is not None:
        high = min(high, above - step)
    return (math.ceil(low), math.floor(high)) if is_whole else (low, high)


def bounded(wished: int, schema: Schema, least: str, most: str, cap: int) -> int:
    """A length between the schema's bounds, and never above the cap."""
    low, high = finite(schema.get(least)), finite(schema.get(most))
    size = max(wished, int(low) if low is not None else 0)
    return max(0, min(size, int(high) if high is not None else size, cap))
