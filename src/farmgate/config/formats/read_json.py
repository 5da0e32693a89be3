"""JSON as Nodes: a scan that keeps line and column, refuses a key said twice and stops at a bound."""

from __future__ import annotations

import re
from bisect import bisect_right
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]  # not in the stubs; the parser of every json.loads

from farmgate.config.errors import ConfigError, quoted
from farmgate.config.nodes import MAX_DEPTH, MAX_NODES, Node, Scalar

__all__ = ["read_json"]

SPACE = re.compile(r"[ \t\r\n]*")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
WORD = re.compile(r"true|false|null")
WORDS: dict[str, Scalar] = {"true": True, "false": False, "null": None}


def read_json(text: str, name: str) -> Node:
    """Raises ConfigError with line and column. An empty file is an empty mapping."""
    scan = Scan(text, name)
    scan.skip()
    if scan.at == len(text):
        return Node({}, f"{name}:1:1")
    root = scan.value(0, "")
    scan.skip()
    if scan.at != len(text):
        raise scan.refuse("there is more after the end")
    return root


class Scan:
    """A position in a text that moves forward."""

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name
        self.at = 0
        self.left = MAX_NODES
        self.lines = [0, *(found.end() for found in re.finditer("\n", text))]

    def value(self, depth: int, key_place: str) -> Node:
        self.left -= 1
        if self.left < 0:
            raise self.refuse(f"too many values: a configuration may hold {MAX_NODES}")
        if depth > MAX_DEPTH:
            raise self.refuse(f"nested too deeply: {MAX_DEPTH} levels are allowed")
        place = self.place(self.at)
        match self.text[self.at : self.at + 1]:
            case "{":
                return Node(self.mapping(depth), place, key_place)
            case "[":
                return Node(self.items(depth), place, key_place)
            case '"':
                return Node(self.string(), place, key_place)
            case _:
                return Node(self.word(), place, key_place)

    def mapping(self, depth: int) -> dict[str, Node]:
        children: dict[str, Node] = {}
        while self.next_item("}", first=not children):
            start = self.at
            if not self.text.startswith('"', start):
                raise self.refuse("a key must be in double quotes")
            key = self.string()
            if key in children:
                raise self.refuse(f"{quoted(key)} is said twice (first at {children[key].key_place}): keep one", start)
            self.skip()
            if not self.text.startswith(":", self.at):
                raise self.refuse(f"`:` is missing after {quoted(key)}")
            self.at += 1
            self.skip()
            children[key] = self.value(depth + 1, self.place(start))
        return children

    def items(self, depth: int) -> list[Node]:
        items: list[Node] = []
        while self.next_item("]", first=not items):
            items.append(self.value(depth + 1, ""))
        return items

    def next_item(self, end: str, *, first: bool) -> bool:
        """Step over `{`, `[` or a comma to the next item; False once `end` is behind."""
        if first:
            self.at += 1
        self.skip()
        here = self.text[self.at : self.at + 1]
        if here == end:
            self.at += 1
            return False
        if not first:
            if here != ",":
                raise self.refuse(f"`,` or `{end}` is missing")
            self.at += 1
            self.skip()
        return True

    def string(self) -> str:
        try:
            text, self.at = scanstring(self.text, self.at + 1, True)
        except JSONDecodeError as error:
            raise self.refuse(f"not valid JSON: {error.msg.lower()}", error.pos) from None
        return str(text)

    def word(self) -> Scalar:
        if number := NUMBER.match(self.text, self.at):
            self.at = number.end()
            if number.end() - number.start() > 300:
                raise self.refuse("a number with too many digits", number.start())
            return float(number[0]) if number[1] or number[2] else int(number[0])
        if word := WORD.match(self.text, self.at):
            self.at = word.end()
            return WORDS[word[0]]
        raise self.refuse("not valid JSON: a value is missing")

    def skip(self) -> None:
        space = SPACE.match(self.text, self.at)
        self.at = space.end() if space else self.at

    def place(self, offset: int) -> str:
        line = bisect_right(self.lines, offset)
        return f"{self.name}:{line}:{offset - self.lines[line - 1] + 1}"

    def refuse(self, why: str, offset: int | None = None) -> ConfigError:
        return ConfigError(f"{self.place(self.at if offset is None else offset)}: {why}")
