"""`farmgate reload`: the running Farmgate reads its configuration anew and tells what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmgate.surfaces.cli.exits import Exit
from farmgate.surfaces.cli.remote import required
from farmgate.surfaces.cli.session import Session

if TYPE_CHECKING:
    from farmgate.surfaces.cli.remote import Reloaded

__all__ = ["reload"]


def reload(session: Session) -> Exit:
    """Raises ConfigError for what this command cannot read itself, and what the running gate answers."""
    told = required(session.load()).reload()
    if session.out.json:
        session.out.record(told.record)
        return Exit.OK
    show(session, told)
    return Exit.OK


def show(session: Session, told: Reloaded) -> None:
    out = session.out
    for change in told.changed:
        out.data(change)
    for path in told.needs_restart:
        out.say(f"note: {path} takes effect at the next start")
    for warning in told.warnings:
        out.say(f"note: {warning}")
    count = len(told.changed)
    what = f"{count} change{'' if count == 1 else 's'}" if count else "nothing changed"
    out.say(f"reloaded: {what}, generation {told.generation}")
