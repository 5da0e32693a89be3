"""The command `farmgate`: nothing heavy is imported before it is known what is asked."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from farmgate.surfaces.cli.house import House

__all__ = ["main"]


def main() -> int:
    """The exit code; the installed command passes it on."""
    from farmgate.surfaces.cli.program import program

    return program(sys.argv[1:], house)


def house() -> House:
    """Everything else."""
    from farmgate.app import House as TheHouse

    return TheHouse()


if __name__ == "__main__":
    sys.exit(main())
