"""How models are changed, loaded and shared, proved with real engines. Figures go to docs/models.md; 1 says: broken."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from tests.endure.page import Report

PAGE = ROOT / "docs/models.md"
PROOFS = ("swaps", "kills", "cold", "aborts", "overload", "batching", "chaos", "memory")


def proof(name: str, options: argparse.Namespace, directory: Path) -> Coroutine[Any, Any, Report]:
    """What is to be run, shorter for a `scale` below 1."""
    from tests.lifecycle import chaos, crowds, returning, speed, swaps

    def some(count: int) -> int:
        return max(2, int(count * options.scale))

    made: dict[str, Callable[[], Coroutine[Any, Any, Report]]] = {
        "swaps": lambda: swaps.swaps(directory, count=some(50), seed=options.seed),
        "kills": lambda: swaps.kills(directory, count=some(50), seed=options.seed),
        "cold": lambda: crowds.cold(directory, count=some(100)),
        "aborts": lambda: crowds.aborts(directory, count=some(1000)),
        "overload": lambda: crowds.overload(directory, seconds=max(3.0, 20 * options.scale)),
        "batching": lambda: speed.batching(directory, seconds=max(2.0, 16 * options.scale)),
        "chaos": lambda: chaos.chaos(directory, count=some(500), seed=options.seed),
        "memory": lambda: returning.memory(directory),
    }
    return made[name]()


def arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("proofs", nargs="*", metavar="PROOF", help=f"of {', '.join(PROOFS)}; none: all")
    options.add_argument("--no-page", action="store_true", help="print only")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--scale", type=float, default=1.0, help="shortens every proof")
    chosen = options.parse_args()
    if unknown := set(chosen.proofs) - set(PROOFS):
        options.error(f"there is no proof {', '.join(unknown)}: there is {', '.join(PROOFS)}")
    return chosen


def main() -> int:
    from tests.endure.page import machine, write

    options = arguments()
    broken: list[str] = []
    for name in options.proofs or PROOFS:
        began = time.monotonic()
        print(f"\n== {name}\n", flush=True)
        with tempfile.TemporaryDirectory(prefix="farmgate-models-") as directory:
            report = asyncio.run(proof(name, options, Path(directory)))
        print(
            f"{report.text}\n\n{name}: {time.monotonic() - began:.0f} s, {len(report.broken)} promises broken",
            flush=True,
        )
        broken += report.broken
        if not options.no_page:
            write(name, report.text, PAGE, target="bench-models")
    if not options.no_page:
        write("machine", machine(), PAGE, target="bench-models")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
