"""docs/endurance.md: each proof writes the figures of its last run between its own two marks."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

__all__ = ["Report", "machine", "table", "write"]

PAGE = Path(__file__).resolve().parents[2] / "docs/endurance.md"


class Report:
    """Lines of Markdown, the promises that were broken, and those of which this run says nothing."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.broken: list[str] = []
        self.unjudged: list[str] = []

    def say(self, *lines: str) -> None:
        self.lines += lines

    def promise(self, what: str, *, is_kept: bool) -> None:
        if not is_kept:
            self.broken.append(what)

    @property
    def text(self) -> str:
        kept = "Every other promise was kept." if self.unjudged else "Every promise was kept."
        verdict = [f"**BROKEN**: {what}." for what in self.broken] or [kept]
        unjudged = [f"**Not judged**: {what}." for what in self.unjudged]
        return "\n".join([*self.lines, "", *unjudged, *verdict])


def machine() -> str:
    """What was measured on, and when."""
    today = time.strftime("%Y-%m-%d", time.gmtime())
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return (
        f"{today}: Farmgate {version('farmgate')}, Python {platform.python_version()}, uvloop {version('uvloop')}, "
        f"{platform.system()} on {os.cpu_count()} cores, which callers, mocks and gate share; load average {load} at "
        "the end."
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Words to the left, figures to the right."""
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    return [lines[0], "|---" + "|---:" * (len(head) - 1) + "|", *lines[1:]]


def write(name: str, text: str, page: Path = PAGE, *, target: str | None = None) -> None:
    """Put the text in place of what the section held. `target`: of make, where it is not called as the section is."""
    begin, end = f"<!-- {name}: written by make {target or name} -->", f"<!-- /{name} -->"
    old = page.read_text()
    assert begin in old, f"{page} has no section for {name}"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    page.write_text(pattern.sub(lambda _: f"{begin}\n{text}\n{end}", old))
