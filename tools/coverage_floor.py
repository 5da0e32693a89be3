"""Coverage is measured and gated where a gap would be a lie: the words, the dialects, the flow."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import coverage

FLOORS = {"core": 95.0, "wire": 95.0, "flow": 95.0}


def main() -> int:
    data = coverage.Coverage()
    data.load()
    failed = False
    for room, floor in FLOORS.items():
        with Path(os.devnull).open("w") as nowhere:
            percent = data.report(include=[f"*/farmgate/{room}/*"], file=nowhere, show_missing=False)
        verdict = "ok" if percent >= floor else "TOO LOW"
        print(f"coverage of {room}: {percent:.1f} % (floor {floor:.0f} %) {verdict}")
        failed = failed or percent < floor
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
