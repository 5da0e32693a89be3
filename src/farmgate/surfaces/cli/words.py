"""How things are written: sizes, times, columns, and text that may not steer a terminal. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

__all__ = ["UNKNOWN", "columns", "dollars", "duration", "one_line", "path_text", "printable", "size", "tokens"]

UNKNOWN = "-"
# Everything but newline and tab: a model's or a server's words must not move the cursor or set the title.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
UNITS = ("B", "kB", "MB", "GB", "TB")


def printable(text: str) -> str:
    """`text` without control characters; newlines and tabs stay."""
    return CONTROL.sub("", text)


def one_line(text: str) -> str:
    """`text` on one line."""
    return " ".join(printable(text).split())


def size(count: int | None) -> str:
    """Bytes for people, in powers of 1000 as disks and downloads count: `98.4 MB`."""
    if count is None:
        return UNKNOWN
    value = float(count)
    for unit in UNITS:
        if value < 1000 or unit == UNITS[-1]:
            return f"{value:.0f} {unit}" if unit in ("B", "kB") else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError


def tokens(count: int | None) -> str:
    """A context length as its maker writes it, in thousands or in 1024s: `8k`, `128k`, `1M`, `512`."""
    if not count:
        return UNKNOWN
    for thousand in (1000, 1024):
        if count % thousand**2 == 0:
            return f"{count // thousand**2}M"
        if count % thousand == 0:
            return f"{count // thousand}k"
    return str(count)


def dollars(amount: Decimal | None) -> str:
    """A cost: `$12.30`, `$0.0042`, `$0.000013`: two digits that count, at least cents."""
    if amount is None:
        return UNKNOWN
    if not amount or amount >= Decimal("0.10"):
        return f"${amount:.2f}"
    return f"${amount:.{1 - amount.adjusted()}f}"


def duration(seconds: float) -> str:
    """`0.41 s`, `12 s`, `3 min 20 s`."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def path_text(path: Path) -> str:
    """A path as people write it, from the working directory or from home where it is below one."""
    for base, mark in ((Path.cwd(), ""), (Path.home(), "~/")):
        # Below the root is everything: there a relative path would only hide that.
        if path.is_relative_to(base) and path != base and base != Path(base.anchor):
            return mark + str(path.relative_to(base))
    return str(path)


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines with every column as wide as its widest cell."""
    clean = [[one_line(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in clean) for column in range(len(head))]
    for row in clean:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
