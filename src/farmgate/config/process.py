"""Variables of this very process, and what it starts in its place. Settings are read by `load`, never here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

__all__ = ["become", "environment_said", "variable", "variables"]


def variable(name: str) -> str | None:
    """An environment variable; one that is empty counts as not set."""
    return os.environ.get(name) or None


def variables() -> dict[str, str]:
    """All of them, for those who start other programs."""
    return dict(os.environ)


def become(command: Sequence[str], **variables: str) -> NoReturn:
    """Go on as another program, with these variables set on top of ours. Raises OSError."""
    os.execve(command[0], list(command), {**os.environ, **variables})  # noqa: S606 - the point: no shell between


def environment_said(path: Path | None = None, *, cwd: Path | None = None) -> str | None:
    """The environment that FARM_ENV names, here or in `.env`; None where nobody says. Raises ConfigError."""
    from farmgate.config.loader import begin

    chosen = begin(path, None, (cwd or Path.cwd()).absolute(), os.environ).environment
    return None if chosen.where == "default" else chosen.value
