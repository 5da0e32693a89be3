"""A configuration that cannot be used is one ConfigError that tells every problem, with its place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["ConfigError", "one_of", "quoted", "shown", "suggestion"]

MOST_PROBLEMS = 50
MOST_SHOWN = 60


class ConfigError(Exception):
    """The configuration cannot be used. `problems` has one line each: where, what, and what to do."""

    def __init__(self, *problems: str) -> None:
        unique = tuple(dict.fromkeys(problems))
        more = len(unique) - MOST_PROBLEMS
        self.problems = unique if more <= 0 else (*unique[:MOST_PROBLEMS], f"... and {more} more")
        super().__init__("\n".join(self.problems))


def quoted(text: str) -> str:
    """`text` in quotes, shortened, with nothing in it that could steer a terminal."""
    short = text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + "..."
    return '"' + "".join(c if c.isprintable() else repr(c)[1:-1] for c in short) + '"'


def shown(value: object) -> str:
    """A value as a message quotes it."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "nothing"}[value]
    text = str(value) if not isinstance(value, int) or abs(value) < 10**MOST_SHOWN else "a very large number"
    return text[:MOST_SHOWN]


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?`, or nothing when no known word is close."""
    by_fold = {name.replace("_", "").lower(): name for name in known}
    folded = word[:MOST_SHOWN].replace("_", "").replace("-", "").lower()
    close = difflib.get_close_matches(folded, by_fold, n=1, cutoff=0.6)
    if not close and len(folded) > 2:
        close = [name for name in by_fold if name.startswith(folded)]
    return f'; did you mean "{by_fold[close[0]]}"?' if close else ""


def one_of(words: Iterable[str]) -> str:
    """`a, b or c`."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
