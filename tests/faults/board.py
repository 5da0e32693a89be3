"""The scoreboard: a line for each row on the terminal, and docs/faults.md."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from tests.faults.running import Result

__all__ = ["board", "line", "page", "peer_page", "summary"]

MOST_TOLD = 12
PACKAGES = ("farmgate", "openai", "anthropic")
PEERS = "<!-- peers: written by make faults PEER=... -->"
BEGIN, END = "<!-- board: written by make faults -->", "<!-- /board -->"


def line(result: Result) -> str:
    """One row on the terminal, with what was wrong and what was measured."""
    row = result.row
    count = f"{result.cases - result.failed}/{result.cases}" if result.cases else "-"
    head = f"{row.number:>3}  {result.verdict:<8} {count:>8} {result.took_s:>6.1f} s  {row.name}"
    if row.waits:
        return f"{head}  (waits for {row.waits})"
    told = [f"       ! {one}" for one in result.faults[:MOST_TOLD]]
    if len(result.faults) > MOST_TOLD:
        told.append(f"       ! and {len(result.faults) - MOST_TOLD} more")
    return "\n".join([head, *told, *(f"       . {note}" for note in result.notes)])


def summary(results: Sequence[Result]) -> str:
    """All rows in one line."""
    verdicts = [result.verdict for result in results]
    cases = sum(result.cases for result in results)
    took_s = sum(result.took_s for result in results)
    counts = ", ".join(f"{verdicts.count(one)} {one}" for one in ("passed", "FAILED", "waiting"))
    return f"{len(results)} rows: {counts}; {cases} cases in {took_s:.0f} s"


def page(known: str, results: Sequence[Result]) -> str:
    """docs/faults.md with this board in place of the one in it."""
    before, _, rest = known.partition(BEGIN)
    _, _, behind = rest.partition(END)
    return f"{before}{BEGIN}\n\n{board(results)}\n\n{END}{behind}"


def peer_page(known: str, name: str, results: Sequence[Result], left_out: Sequence[str] = ()) -> str:
    """docs/faults.md with what came of a peer, in place of what was known of it. `name`: with its version."""
    kind = name.split(maxsplit=1)[0].lower()
    begin, end = f"<!-- peer {kind} -->", f"<!-- /peer {kind} -->"
    block = f"{begin}\n{peer_board(name, results, left_out)}\n{end}\n"
    if begin not in known:
        before, mark, behind = known.partition(PEERS)
        return f"{before}{block}\n{mark}{behind}" if mark else known
    before, _, rest = known.partition(begin)
    _, _, behind = rest.partition(end + "\n")
    return f"{before}{block}{behind}"


def peer_board(name: str, results: Sequence[Result], left_out: Sequence[str]) -> str:
    """One line for each row: a page of failures would be somebody else's."""
    failed = sum(result.failed for result in results)
    cases = sum(result.cases for result in results)
    rows = [
        f"| {result.row.number} | {result.row.name} | {result.cases} | {result.cases - result.failed} "
        f"| {'; '.join(result.notes)} |"
        for result in results
        if result.cases
    ]
    head = f"**{name}**, {datetime.now(UTC):%Y-%m-%d}: {cases - failed} of {cases} cases as a caller may expect."
    if left_out:
        head += f" Left out, as it does not answer them where all is well: {', '.join(left_out)}."
    return "\n".join([head, "", "| # | fault | cases | held | |", "|---:|---|---:|---:|---|", *rows])


def board(results: Sequence[Result]) -> str:
    """The table, and what fails."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    stamp = f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {versions}, {platform.system()}."
    rows = [
        f"| {result.row.number} | {result.row.name} | {result.cases or ''} | {verdict(result)} "
        f"| {f'{result.took_s:.1f}' if result.cases else ''} | {remark(result)} |"
        for result in results
    ]
    table = ["| # | fault | cases | | seconds | |", "|---:|---|---:|---|---:|---|", *rows]
    failures = [f"* **{result.row.number}** {one}" for result in results for one in result.faults[:MOST_TOLD]]
    told = ["", "**What fails**", "", *failures] if failures else []
    return "\n".join([f"{summary(results)}. {stamp}", "", *table, *told])


def verdict(result: Result) -> str:
    if result.verdict == "FAILED":
        return f"**failed** ({result.failed or 'afterwards'})"
    return result.verdict


def remark(result: Result) -> str:
    """What a reader should know of a row."""
    told = [f"waits for {result.row.waits}"] if result.row.waits else []
    told += [result.row.takes] if result.row.takes else []
    return "; ".join([*told, *result.notes]).replace("|", "\\|")
