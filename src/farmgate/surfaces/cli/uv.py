"""Started by uvx without the engine: start again with it, so that `uvx farmgate dev` ends in a real model."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from shutil import which

from farmgate import __version__
from farmgate.config import process
from farmgate.surfaces.cli.out import Out

__all__ = ["again_with_engine", "uv_command"]

GUARD = "FARM_STARTED_WITH_ENGINE"


def uv_command(variable: Callable[[str], str | None] = process.variable) -> str | None:
    """The uv that started us as a tool; None when something else did, or we started ourselves already.

    uv sets UV for everything it runs; VIRTUAL_ENV tells `uv run` in a project, whose packages are its own affair.
    """
    if variable("UV") is None or variable("VIRTUAL_ENV") is not None or variable(GUARD) is not None:
        return None
    return which(variable("UV") or "") or which("uv")


def again_with_engine(uv: str, arguments: Sequence[str], out: Out) -> None:
    """Go on as the same program with the engine. Returns only if that cannot be had, after saying so."""
    package = f"farmgate[local]=={__version__}"
    tool = (uv, "tool", "run", "--from", package, "farmgate")
    out.say(f"the engine for local models is missing: starting again as uvx --from '{package}' farmgate")
    try:
        # Asked first: once we have become uv, a package that cannot be had would be the end.
        tried = subprocess.run((*tool, "--version"), stdout=subprocess.DEVNULL, check=False)  # noqa: S603
        if tried.returncode == 0:
            process.become((*tool, *arguments), **{GUARD: "1"})
    except OSError as error:
        out.say(f"{uv} cannot be run: {error.strerror}")
    out.say("that did not work; going on without it")
