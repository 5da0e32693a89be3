"""`ls` and `rm`: the models there are, and deleting one."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from farmgate.core.errors import FarmError, InvalidApiKey, ModelNotFound
from farmgate.core.model import ModelInfo
from farmgate.surfaces.cli.exits import Exit, WrongUse
from farmgate.surfaces.cli.keyboard import is_there
from farmgate.surfaces.cli.remote import RemoteGate, find
from farmgate.surfaces.cli.session import Session
from farmgate.surfaces.cli.words import UNKNOWN, size, tokens
from farmgate.wire.farm_models import encode_facts, encode_origin

__all__ = ["HEAD", "list_models", "remove", "row_of"]

HEAD = ("NAME", "PROVIDER", "SIZE", "CONTEXT", "STATE")
LOADED = {True: "loaded", False: "ready", None: UNKNOWN}


def row_of(model: ModelInfo) -> tuple[str, ...]:
    """One model, as a row under HEAD."""
    return (model.name, model.provider, size(model.size_bytes), tokens(model.window_tokens), LOADED[model.loaded])


def record(model: ModelInfo) -> dict[str, object]:
    return {
        "name": model.name,
        "provider": model.provider,
        "size": model.size_bytes,
        "contextTokens": model.window_tokens,
        "loaded": model.loaded,
        "description": model.description,
        **encode_facts(model),
        **encode_origin(model),
    }


def list_models(session: Session) -> Exit:
    """The models of every provider: as a running gate knows them, else as they are found now."""
    config = session.load()
    running = find(config)
    models = None
    if running is not None:
        # Fail open: without its key, what this machine has can still be told.
        try:
            models = running.models()
        except InvalidApiKey as error:
            session.out.say(f"note: {error.message}")

    async def found() -> list[ModelInfo]:
        async with session.house.open(config) as gate:
            await gate.refresh()
            return gate.models()

    show(session, models if models is not None else asyncio.run(found()), "there are no models: farmgate pull starter")
    return Exit.OK


def show(session: Session, models: Sequence[ModelInfo], none: str) -> None:
    if session.out.json:
        for model in models:
            session.out.record(record(model))
    elif models:
        session.out.table(HEAD, [row_of(model) for model in models])
    else:
        session.out.say(none)


def remove(session: Session, name: str, *, yes: bool) -> Exit:
    """Delete a pulled model, after a yes. Raises ModelNotFound."""
    config = session.load()
    weights = session.house.weights(config)
    model = name.removeprefix("local/")
    known = {one.name: one for one in weights.models()}
    if model not in known and weights.remove(model):
        # Nothing anybody could use: it is not asked about.
        session.out.say(f"deleted what an unfinished pull of {model} left")
        return Exit.OK
    if model not in known:
        there = ", ".join(known) or "none"
        raise ModelNotFound(f"No pulled model is called {name}. On this machine: {there}.")
    if not yes and not agreed(session, f"delete {model} ({size(known[model].size_bytes)})?"):
        session.out.say("nothing was deleted")
        return Exit.ERROR
    if not weights.remove(model):
        raise ModelNotFound(f"{name} has gone already.")
    if session.out.json:
        session.out.record({"deleted": model})
    session.out.say(f"deleted {model}")
    running = find(config)
    if running is not None and has_in_memory(running, model):
        session.out.say(f"note: the Farmgate at {running.url} has it in memory still: farmgate unload {model}")
    return Exit.OK


def has_in_memory(running: RemoteGate, model: str) -> bool:
    try:
        return any(one.get("name") == model and one.get("pid") is not None for one in running.processes())
    except FarmError:
        # Fail open: it is deleted, and this would only be said beside it.
        return False


class NobodyToAsk(WrongUse):
    """This deletes a model and there is no terminal to ask on: add --yes."""


def agreed(session: Session, question: str) -> bool:
    """Ask at the keyboard. Raises NobodyToAsk where there is none."""
    if not is_there():
        raise NobodyToAsk
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
