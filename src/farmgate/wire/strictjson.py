"""JSON objects from strangers: decoded once, and refused when two readers could read them differently.

msgspec refuses NaN, infinities, numbers out of range, bad UTF-8, lone surrogates and trailing bytes by itself.
What it lets pass is refused here: duplicate keys, NUL, and more nesting or values than the limits allow.
Decoding whole costs 0.5 us more than one level deep for a usual request, and buys all of that.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import NoReturn, cast

import msgspec

from farmgate.core.errors import (
    DuplicateKey,
    FarmError,
    InvalidJson,
    InvalidNumber,
    InvalidType,
    InvalidUnicode,
    JsonTooDeep,
)

__all__ = ["BOM", "JsonLimits", "decode_object", "encode", "refuse"]

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode

BOM = b"\xef\xbb\xbf"
find_spaced_colon = re.compile(rb'"[ \t\r\n]+:').search
MOST_DIGITS = 4300
"""Of a whole number, for msgspec and for Python's own `int` alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonLimits:
    """How deep an object may be nested and how many values it may hold."""

    depth: int = 64
    nodes: int = 100_000


DEFAULT = JsonLimits()


def decode_object(body: bytes, limits: JsonLimits = DEFAULT) -> dict[str, object]:
    """The object in `body`. Raises a BadRequest that says what is wrong with it."""
    if body.startswith(BOM):
        body = body[3:]
    try:
        value = decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        refuse(body, error)
    if type(value) is not dict:
        raise InvalidType(f"The body must be a JSON object, not {kind_of(value)}.")
    keys = survey(value, limits)
    # Each key is followed by `":` in compact and in usual JSON alike. Prose that quotes JSON and duplicates make the
    # count larger; only space before a colon makes it smaller, and could so hide a duplicate.
    if body.count(b'":') != keys or find_spaced_colon(body):
        refuse_duplicates(body)
    if b"\\u0000" in body and holds_nul(value):
        raise InvalidUnicode
    return value


def survey(root: dict[str, object], limits: JsonLimits) -> int:
    """How many keys all objects in it have together. Raises JsonTooDeep."""
    keys = nodes = 0
    level: list[object] = [root]
    depth = 0
    while level:
        depth += 1
        if depth > limits.depth:
            raise JsonTooDeep(f"The body is nested more than {limits.depth} levels deep.")
        below: list[object] = []
        for value in level:
            if type(value) is dict:
                keys += len(value)
                members: object = value.values()
            else:
                members = value
            for member in cast("list[object]", members):
                nodes += 1
                if type(member) is dict or type(member) is list:
                    below.append(member)
        if nodes > limits.nodes:
            raise JsonTooDeep(f"The body holds more than {limits.nodes} values.")
        level = below
    return keys


def refuse(body: bytes, error: Exception) -> NoReturn:
    """Raise what is wrong with a body that msgspec refused."""
    if isinstance(error, RecursionError):
        raise JsonTooDeep from error
    if isinstance(error, UnicodeDecodeError):
        raise InvalidUnicode from error
    if not body.strip():
        raise InvalidJson("The body is empty: send a JSON object.") from error
    encoding = json.detect_encoding(body)
    if encoding != "utf-8":
        raise InvalidJson(f"The body is {encoding.upper()}: send UTF-8.") from error
    raise second_opinion(body, str(error)) from error


class Strange:
    """A number that is none."""


STRANGE = Strange()


def second_opinion(body: bytes, text: str) -> FarmError:
    """Why a body is malformed: msgspec calls lone surrogates and NaN syntax errors, the standard library does not."""
    told: list[str] = []
    fields: list[str] = []

    def strange(number: str) -> object:
        told.append(number if len(number) <= 40 else f"{number[:40]}...")
        return STRANGE

    def decimal(number: str) -> object:
        return float(number) if math.isfinite(float(number)) else strange(number)

    def whole(number: str) -> object:
        return int(number) if len(number) <= MOST_DIGITS else strange(number)

    def note(pairs: list[tuple[str, object]]) -> None:
        fields.extend(name for name, value in pairs if value is STRANGE)

    try:
        json.loads(body, parse_constant=strange, parse_float=decimal, parse_int=whole, object_pairs_hook=note)
    except UnicodeDecodeError:
        return InvalidUnicode()
    except RecursionError:
        return JsonTooDeep()
    except ValueError:
        if b"\0" in body:
            return InvalidUnicode()
        return InvalidJson(f"The body is not valid JSON: {text.removeprefix('JSON is malformed: ')}.")
    if not told:
        return InvalidUnicode()
    field = fields[0][:100] if fields else None
    return InvalidNumber(f"{told[0]} is not a number JSON can hold.", param=field)


def refuse_duplicates(body: bytes) -> None:
    """Raise DuplicateKey if some object names a key twice. Slow: only asked when the key count looks odd."""

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value] # add() is None: falsy
            raise DuplicateKey(f"The body names {twice[:100]!r} twice in one object.", param=twice[:100])
        return found

    json.loads(body, object_pairs_hook=unique)


def holds_nul(value: object) -> bool:
    """Whether any string in it holds a NUL character."""
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any("\x00" in key or holds_nul(member) for key, member in value.items())
    if isinstance(value, list):
        return any(holds_nul(member) for member in value)
    return False


def kind_of(value: object) -> str:
    """A value's type in JSON's words, for messages."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"
