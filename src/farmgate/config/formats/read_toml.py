"""TOML as Nodes. The standard parser keeps no positions: a scan of the lines finds where each key stands."""

from __future__ import annotations

import re
from collections import Counter

from farmgate.config.errors import ConfigError
from farmgate.config.nodes import Node, Path, from_plain

__all__ = ["read_toml"]

KEY = r"""(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
DOTTED = rf"{KEY}(?:[ \t]*+\.[ \t]*+{KEY})*"
HEADER = re.compile(rf"[ \t]*(\[\[?)[ \t]*({DOTTED})[ \t]*\]")
ASSIGN = re.compile(rf"[ \t]*({DOTTED})[ \t]*=[ \t]*")
PARTS = re.compile(KEY)
# The standard parser takes quadratic time for a key of many parts: half a megabyte of `a.a.a` would take hours.
MANY_PARTS = re.compile(rf"(?<![A-Za-z0-9_\\-]){KEY}(?:[ \t]*+\.[ \t]*+{KEY}){{32}}")
WHERE = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)


def read_toml(text: str, name: str) -> Node:
    """Raises ConfigError with line and column. Values inside an inline table have the place of its key."""
    import tomllib

    if found := MANY_PARTS.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise ConfigError(f"{name}:{line}: a name with more than 32 parts: no setting is that deep")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(explained(str(error), name)) from None
    except (RecursionError, ValueError):
        raise ConfigError(f"{name}: not valid TOML: nested too deeply, or a number with too many digits") from None
    found_places = places(text)

    def place(path: Path) -> tuple[str, str]:
        for length in range(len(path), 0, -1):
            if spot := found_places.get(path[:length]):
                line, key_column, column = spot
                return f"{name}:{line}:{column}", f"{name}:{line}:{key_column}"
        return f"{name}:1:1", ""

    return from_plain(data, place)


def explained(message: str, name: str) -> str:
    if found := WHERE.fullmatch(message):
        place = f"{name}:{found[2]}:{found[3]}" if found[2] else name
        return f"{place}: not valid TOML: {found[1].lower()}"
    return f"{name}: not valid TOML: {message}"


def places(text: str) -> dict[Path, tuple[int, int, int]]:
    """Line, column of the key and column of the value, by path. A line of a multi-line text that looks like an
    assignment is taken for one: harmless, as only paths that hold a value are ever looked up."""
    found: dict[Path, tuple[int, int, int]] = {}
    table: Path = ()
    seen: Counter[Path] = Counter()
    for number, line in enumerate(text.split("\n"), 1):
        if header := HEADER.match(line):
            table = header_path(names(header[2]), seen, is_array=header[1] == "[[")
            found[table] = (number, header.start(2) + 1, header.start(2) + 1)
        elif assign := ASSIGN.match(line):
            path = (*table, *names(assign[1]))
            found.setdefault(path, (number, assign.start(1) + 1, assign.end() + 1))
    return found


def header_path(parts: Path, seen: Counter[Path], *, is_array: bool) -> Path:
    """The path of a table, with the index of every array of tables on the way."""
    path: Path = ()
    for depth, part in enumerate(parts, 1):
        path = (*path, part)
        if is_array and depth == len(parts):
            seen[path] += 1
        if count := seen[path]:
            path = (*path, count - 1)
    return path


def names(dotted: str) -> Path:
    return tuple(part.strip("\"'") for part in PARTS.findall(dotted))
