"""Tries every row of the fault matrix against a real gate, and writes the scoreboard to docs/faults.md."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def main(numbers: list[int]) -> int:
    from tests.faults.matrix import ROWS
    from tests.faults.running import run

    rows = [row for row in ROWS if not numbers or row.number in numbers]
    with tempfile.TemporaryDirectory(prefix="farmgate-faults-") as directory:
        results = asyncio.run(
            run(
                Path(directory),
                rows,
                told=lambda one: print(
                    one.row.number,
                    one.row.name,
                    one.cases,
                    one.failed,
                    one.verdict,
                    f"{one.took_s:.1f}",
                    *("\n      " + x for x in [*one.faults[:14], *one.notes]),
                    sep=" | ",
                    flush=True,
                ),
            )
        )
    return 1 if any(result.faults for result in results) else 0


if __name__ == "__main__":
    sys.exit(main([int(one) for one in sys.argv[1:]]))
