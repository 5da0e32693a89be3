"""Long proofs with real processes: `failover`, `kills`, `load`. Figures go to docs/endurance.md; 1 says: broken."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if TYPE_CHECKING:
    from tests.endure.page import Report


def proof(options: argparse.Namespace, directory: Path) -> Coroutine[Any, Any, Report]:
    """What is to be run."""
    match options.proof:
        case "failover":
            from tests.endure.failover import failover

            return failover(directory, rate=options.rate, scale=options.scale)
        case "kills":
            from tests.endure.kills import kills

            return kills(directory, options.kills, seed=options.seed, lanes=options.lanes)
        case _:
            from tests.endure.load import load

            return load(directory, seconds=options.seconds, users=options.users, seed=options.seed)


def arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--no-page", action="store_true", help="print only")
    options.add_argument("--seed", type=int, default=1)
    proofs = options.add_subparsers(dest="proof", required=True)
    failover = proofs.add_parser("failover")
    failover.add_argument("--rate", type=float, default=50.0, help="requests a second")
    failover.add_argument("--scale", type=float, default=1.0, help="shortens every phase")
    kills = proofs.add_parser("kills")
    kills.add_argument("kills", type=int)
    kills.add_argument("--lanes", type=int, default=2, help="gates side by side")
    load = proofs.add_parser("load")
    load.add_argument("seconds", type=float)
    load.add_argument("users", type=int)
    return options.parse_args()


def main() -> int:
    import uvloop
    from tests.endure.page import write

    options = arguments()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="farmgate-endure-") as directory:
        report = uvloop.run(proof(options, Path(directory)))
    print(report.text)
    print(f"\n{options.proof}: {time.monotonic() - began:.0f} s, {len(report.broken)} promises broken")
    if not options.no_page:
        write(options.proof, report.text)
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
