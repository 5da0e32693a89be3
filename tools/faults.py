"""Tries every row of the fault matrix against a real gate, or a peer, and writes the scoreboard to docs/faults.md."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
PAGE = HERE / "docs" / "faults.md"
sys.path.insert(0, str(HERE))


def main(arguments: Sequence[str]) -> int:
    from tests.faults.board import line, page, peer_page, summary
    from tests.faults.matrix import ROWS
    from tests.faults.peers import NotThere, models, run_peer
    from tests.faults.running import Result, run

    wish = read(arguments)
    unknown = set(wish.rows) - {row.number for row in ROWS}
    if unknown:
        print(f"There is no row {', '.join(map(str, sorted(unknown)))}: there are 1 to {ROWS[-1].number}.")
        return 2
    # The mock goes on writing for a moment where it was told to break off: that is what it is for.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    rows = [row for row in ROWS if not wish.rows or row.number in wish.rows]

    def told(result: Result) -> None:
        print(line(result), flush=True)

    if wish.models:
        print("\n".join(models(rows)))
        return 0
    left_out: list[str] = []
    if wish.peer:
        try:
            results, unable = asyncio.run(run_peer(wish.peer, wish.url, wish.port, rows, told))
        except NotThere as error:
            print(error)
            return 2
        left_out = [str(combo) for combo in unable]
        if left_out:
            print(f"\nleft out, not answered where all is well: {', '.join(left_out)}")
    else:
        with tempfile.TemporaryDirectory(prefix="farmgate-faults-") as directory:
            results = asyncio.run(run(Path(directory), rows, told))
    print(f"\nfaults: {summary(results)}")
    if not wish.rows and not wish.peer:
        PAGE.write_text(page(PAGE.read_text(), results))
        print("faults: docs/faults.md is written")
    elif wish.peer and wish.version and not wish.rows:
        PAGE.write_text(peer_page(PAGE.read_text(), f"{wish.peer} {wish.version}", results, left_out))
        print(f"faults: docs/faults.md tells of {wish.peer}")
    return 1 if any(result.faults for result in results) else 0


def read(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", type=int, metavar="ROW", help="Numbers of rows; none: all.")
    parser.add_argument("--peer", default="", help="Name of another gateway, which runs already.")
    parser.add_argument("--url", default="http://127.0.0.1:4000", help="Its address.")
    parser.add_argument("--version", default="", help="Its version; with it the page tells of it.")
    parser.add_argument("--models", action="store_true", help="Only print the names of the models a peer is asked for.")
    parser.add_argument("--port", type=int, default=9001, help="Where the mock listens that it asks.")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
