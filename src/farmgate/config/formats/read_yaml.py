"""YAML 1.2 as Nodes, built from the parser's events: nothing is ever constructed from a tag.

Aliases are refused: a configuration needs none, and nested ones are how ten lines become gigabytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from farmgate.config.errors import ConfigError, quoted
from farmgate.config.nodes import MAX_DEPTH, MAX_NODES, Node, Scalar

__all__ = ["read_yaml"]

# The core schema of YAML 1.2, https://yaml.org/spec/1.2.2/#1032-tag-resolution: `no` and `on` are text.
NULL = re.compile(r"~|null|Null|NULL|")
TRUE = re.compile(r"true|True|TRUE")
FALSE = re.compile(r"false|False|FALSE")
INT = re.compile(r"[-+]?[0-9]{1,300}")
OCTAL = re.compile(r"0o[0-7]{1,300}")
HEX = re.compile(r"0x[0-9a-fA-F]{1,300}")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
TEXT_TAGS = ("!", "tag:yaml.org,2002:str")

# What the parser raises on hostile text beside its own errors: broken escapes and directives reach chr() and int().
PARSER_FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class Mark(Protocol):
    """Where an event starts, counted from 0."""

    line: int
    column: int


class Event(Protocol):
    """What is read of a parser event. Scalars alone have `value` and `style`."""

    start_mark: Mark
    anchor: str | None
    tag: object
    value: str
    style: str | None


def read_yaml(text: str, name: str) -> Node:
    """Raises ConfigError with line and column."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return Builder(name, YAML(typ="safe", pure=True).parse(text)).document()
    except MarkedYAMLError as error:
        # Only the problem, never the snippet the parser adds: the line may hold a key.
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise ConfigError(f"{place}: not valid YAML: {error.problem or error.context}") from None
    except YAMLError:
        raise ConfigError(f"{name}: not valid YAML: it holds characters YAML does not allow") from None
    except PARSER_FAULTS:
        raise ConfigError(f"{name}: not valid YAML") from None


class Builder:
    """One document's events, read once from front to back."""

    def __init__(self, name: str, events: Iterator[Event]) -> None:
        self.name = name
        self.events = events
        self.left = MAX_NODES

    def document(self) -> Node:
        """The only document, or an empty mapping for an empty file."""
        root = Node({}, f"{self.name}:1:1")
        seen = False
        for event in self.events:
            match type(event).__name__:
                case "StreamStartEvent" | "DocumentEndEvent" | "StreamEndEvent":
                    continue
                case "DocumentStartEvent":
                    if seen:
                        raise self.refuse(event, "a second document: keep one, without `---` between")
                    seen = True
                case _:
                    root = self.node(event, 0, "")
        return root

    def node(self, event: Event, depth: int, key_place: str) -> Node:
        self.check(event, depth)
        match type(event).__name__:
            case "ScalarEvent":
                return Node(self.scalar(event), self.place(event), key_place)
            case "SequenceStartEvent":
                items = []
                while not (item := next(self.events)).__class__.__name__.endswith("EndEvent"):
                    items.append(self.node(item, depth + 1, ""))
                return Node(items, self.place(event), key_place)
            case _:
                return Node(self.mapping(depth), self.place(event), key_place)

    def mapping(self, depth: int) -> dict[str, Node]:
        children: dict[str, Node] = {}
        while not (event := next(self.events)).__class__.__name__.endswith("EndEvent"):
            self.check(event, depth)
            if type(event).__name__ != "ScalarEvent":
                raise self.refuse(event, "a key must be plain text")
            if event.value in children:
                first = children[event.value].key_place
                raise self.refuse(event, f"{quoted(event.value)} is said twice (first at {first}): keep one")
            children[event.value] = self.node(next(self.events), depth + 1, self.place(event))
        return children

    def check(self, event: Event, depth: int) -> None:
        self.left -= 1
        if type(event).__name__ == "AliasEvent":
            raise self.refuse(event, "aliases (`*name`) are not read: write the value out")
        if self.left < 0:
            raise self.refuse(event, f"too many values: a configuration may hold {MAX_NODES}")
        if depth > MAX_DEPTH:
            raise self.refuse(event, f"nested too deeply: {MAX_DEPTH} levels are allowed")
        if event.tag is not None and (type(event).__name__ != "ScalarEvent" or str(event.tag) not in TEXT_TAGS):
            raise self.refuse(event, f"tags ({quoted(str(event.tag))}) are not read: write the value without it")

    def scalar(self, event: Event) -> Scalar:
        """The value of a scalar: quoted, block and tagged ones are text whatever they look like."""
        text = event.value
        if event.style not in (None, "") or event.tag is not None:
            return text
        return plain_scalar(text)

    def place(self, event: Event) -> str:
        return f"{self.name}:{event.start_mark.line + 1}:{event.start_mark.column + 1}"

    def refuse(self, event: Event, why: str) -> ConfigError:
        return ConfigError(f"{self.place(event)}: {why}")


def plain_scalar(text: str) -> Scalar:
    if NULL.fullmatch(text):
        return None
    if TRUE.fullmatch(text) or FALSE.fullmatch(text):
        return text[0] in "tT"
    if INT.fullmatch(text):
        return int(text, 10)
    if OCTAL.fullmatch(text) or HEX.fullmatch(text):
        return int(text, 0)
    if FLOAT.fullmatch(text):
        return float(text)
    return float(text.replace(".", "", 1)) if SPECIAL.fullmatch(text) else text
