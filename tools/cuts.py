"""Cuts many streams at random bytes on their way through a real gate, and says what callers were told of it."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def main(count: int, seed: int) -> int:
    from tests.cuts.rig import cuts_for, run

    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="farmgate-cuts-") as directory:
        told = asyncio.run(run(Path(directory), cuts_for(count, seed)))
    print(told.table())
    print(f"\ncuts: {count} with SEED={seed} in {time.monotonic() - began:.0f} s, {len(told.faults)} faults")
    for fault in told.faults[:20]:
        print(f"cuts: {fault}")
    return 1 if told.faults else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
