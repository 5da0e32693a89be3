"""`load`, `unload`, `swap` and `rollback`: a running Farmgate changes which models it has in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from farmgate.core.model import Capability
from farmgate.surfaces.cli.exits import Exit
from farmgate.surfaces.cli.remote import required
from farmgate.surfaces.cli.session import Session

if TYPE_CHECKING:
    from farmgate.config.schema import LocalModel

__all__ = ["load", "rollback", "swap", "unload"]


def load(session: Session, name: str) -> Exit:
    """Make a model ready before anybody asks. Raises FarmError."""
    done = operate(session, name, "load", f"{name} is loaded")
    if chats(session, name):
        session.out.say(f"ask it: farmgate run {name}")
    return done


def unload(session: Session, name: str) -> Exit:
    """Take a model out of memory once those who are at it are done. Raises FarmError."""
    return operate(session, name, "unload", f"{name} has left memory; the next request loads it again")


def swap(session: Session, name: str, to: str | None) -> Exit:
    """Start another version beside, and send callers to it once it answers. Raises FarmError; nothing changed then."""
    if to is None:
        return operate(session, name, "reload", f"{name} was loaded anew")
    kept = how_to_keep(session.load().models, name.removeprefix("local/"), to)
    told = f"{name} is version {to} until the next start: {kept}. Back: farmgate rollback {name}"
    return operate(session, name, "reload", told, {"version": to})


def how_to_keep(models: Mapping[str, LocalModel], name: str, version: str) -> str:
    """What to write so that a model has this version at the next start, too."""
    entry = models.get(name)
    if entry is not None and version in entry.sources:
        return f"`version: {version}` under models.{name} keeps it"
    if entry is not None and entry.versions:
        return f"add it to `versions` under models.{name} to keep it"
    return f"`source: {version}` under models.{name} keeps it"


def rollback(session: Session, name: str) -> Exit:
    """Go back to the version before. Raises FarmError."""
    return operate(session, name, "rollback", f"{name} is what it was before")


def chats(session: Session, name: str) -> bool:
    """Whether it may, as far as is known."""
    found = [model for model in required(session.load()).models() if model.name == name]
    return not any(Capability.CHAT in model.lacks for model in found)


def operate(session: Session, name: str, verb: str, told: str, asked: Mapping[str, str] | None = None) -> Exit:
    try:
        required(session.load()).do(name, verb, asked or {}, session.out.progress(name))
    except KeyboardInterrupt:
        # It is a job of the gate: nothing that was begun there ends with who watched it.
        session.out.say(f"\nnote: the running Farmgate goes on to {verb} {name}: farmgate ps")
        raise
    if session.out.json:
        session.out.record({"status": "success"})
    session.out.say(told)
    return Exit.OK
