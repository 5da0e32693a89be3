"""Every value that was read knows its place: files, variables and flags all become Nodes before they are merged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from farmgate.config.errors import ConfigError

__all__ = [
    "EMPTY",
    "MAX_DEPTH",
    "MAX_NODES",
    "Node",
    "Path",
    "Scalar",
    "at",
    "from_plain",
    "merged",
    "nearest",
    "plain",
    "strings_are_sound",
    "without_nothing",
]

Path: TypeAlias = tuple[str | int, ...]
Scalar: TypeAlias = str | int | float | bool | None

# A configuration is small. The bounds keep a hostile file from costing more than a second or two.
MAX_DEPTH = 32
MAX_NODES = 50_000


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it was said. `via` names the variable or file a `${...}` in it came from; a
    `literal` value came from a variable or a flag, and `${` in it means nothing."""

    value: Scalar | dict[str, Node] | list[Node]
    place: str
    key_place: str = ""
    via: str = ""
    literal: bool = False

    @property
    def mapping(self) -> dict[str, Node]:
        """The children by key; empty for anything else."""
        return self.value if isinstance(self.value, dict) else {}


EMPTY = Node({}, "default")


def from_plain(data: object, places: Callable[[Path], tuple[str, str]], *, literal: bool = False) -> Node:
    """Plain data as Nodes; `places` gives the places of a path's value and key. Raises ConfigError when it
    is nested too deeply or too large."""
    left = MAX_NODES

    def build(value: object, path: Path) -> Node:
        nonlocal left
        left -= 1
        place, key_place = places(path)
        if left < 0:
            raise ConfigError(f"{place}: too many values: a configuration may hold {MAX_NODES}")
        if len(path) > MAX_DEPTH:
            raise ConfigError(f"{place}: nested too deeply: {MAX_DEPTH} levels are allowed")
        if isinstance(value, Mapping):
            children = {str(key): build(child, (*path, str(key))) for key, child in value.items()}
            return Node(children, place, key_place, literal=literal)
        if isinstance(value, (list, tuple)):
            items = [build(child, (*path, index)) for index, child in enumerate(value)]
            return Node(items, place, key_place, literal=literal)
        scalar = value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
        return Node(scalar, place, key_place, literal=literal)

    return build(data, ())


def plain(node: Node) -> object:
    """The values alone."""
    match node.value:
        case dict(children):
            return {key: plain(child) for key, child in children.items()}
        case list(items):
            return [plain(item) for item in items]
        case scalar:
            return scalar


def merged(base: Node, over: Node) -> Node:
    """`over` wins; mappings are merged key by key, everything else is replaced whole."""
    if not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    children = dict(base.value)
    for key, child in over.value.items():
        children[key] = merged(children[key], child) if key in children else child
    return replace(base, value=children)


def without_nothing(node: Node, path: Path = ()) -> Node:
    """Keys without a value are as good as absent, except in a provider's `options`, which are not ours."""
    if path[:2] == ("ai", "providers") and path[3:4] == ("options",):
        return node
    match node.value:
        case dict(children):
            kept = {k: without_nothing(c, (*path, k)) for k, c in children.items() if c.value is not None}
            return replace(node, value=kept)
        case list(items):
            return replace(node, value=[without_nothing(item, (*path, n)) for n, item in enumerate(items)])
        case _:
            return node


def at(node: Node, path: Path) -> Node | None:
    """The Node at a path, if there is one."""
    found, depth = nearest(node, path)
    return found if depth == len(path) else None


def nearest(node: Node, path: Path) -> tuple[Node, int]:
    """The deepest Node on the way to a path, and how many steps were taken."""
    for depth, step in enumerate(path):
        child: Node | None = None
        if isinstance(node.value, dict):
            child = node.value.get(str(step))
        elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
            child = node.value[step]
        if child is None:
            return node, depth
        node = child
    return node, len(path)


def strings_are_sound(node: Node) -> None:
    """Raises ConfigError where a text or key holds a NUL or half a character: neither can leave this process."""
    for place, text in texts(node):
        if "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
            raise ConfigError(f"{place}: text with a NUL or half a Unicode character in it: remove that character")


def texts(node: Node) -> Iterator[tuple[str, str]]:
    match node.value:
        case str(text):
            yield node.place, text
        case dict(children):
            for key, child in children.items():
                yield child.key_place or child.place, key
                yield from texts(child)
        case list(items):
            for item in items:
                yield from texts(item)
        case _:
            return
