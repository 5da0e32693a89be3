"""`farmgate config`: write a first file, check it, show what is in effect, print its schema."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

from farmgate.core.errors import FarmError
from farmgate.surfaces.cli.exits import Exit
from farmgate.surfaces.cli.session import Session
from farmgate.surfaces.cli.words import path_text

if TYPE_CHECKING:
    from farmgate.config import Config, Found
    from farmgate.surfaces.cli.house import OpenGate

__all__ = ["check", "init", "schema", "show"]

FILE = "farm.config.yaml"
SCHEMA_FILE = "farm.config.schema.json"
BUILT_IN = ("demo",)


class FileIsThere(FarmError):
    """The file is there already."""

    code = "file_exists"


def init(session: Session, *, force: bool) -> Exit:
    """Write a configuration with what is found on this machine, and its schema beside it. Raises FileIsThere."""
    from farmgate.config import init_text, published_schema

    path = session.options.config or Path(FILE)
    if path.exists() and not force:
        raise FileIsThere(f"{path} is there already: --force replaces it.")
    found = look_around(session)
    path.write_text(init_text(found), encoding="utf-8")
    beside = path.with_name(SCHEMA_FILE)
    beside.write_text(published_schema(), encoding="utf-8")
    names = [one.name for one in found]
    if session.out.json:
        session.out.record({"written": [str(path), str(beside)], "providers": names})
    session.out.say(f"wrote {path} with {', '.join(names) or 'nothing yet'}, and {beside.name} for editors")
    session.out.say("next: farmgate config check")
    return Exit.OK


def look_around(session: Session) -> list[Found]:
    """The providers that would answer now. A wrong file that is about to be replaced is not asked."""
    from farmgate.config import ConfigError, load

    try:
        config = load(environment=session.options.environment)
    except ConfigError:
        config = load(environment=session.options.environment, cwd=Path("/"))

    async def looked() -> list[Found]:
        async with session.house.open(config) as gate:
            return found_in(config, gate)

    return asyncio.run(looked())


def found_in(config: Config, gate: OpenGate) -> list[Found]:
    """What a gate found, the default provider first."""
    from farmgate.config import Found

    default, model = gate.default or (None, None)
    there = [one for one in gate.findings if one.is_there and one.name not in BUILT_IN]
    found = []
    for one in sorted(there, key=lambda one: one.name != default):
        entry = config.ai.providers.get(one.name)
        found.append(
            Found(
                name=one.name,
                url=entry.url if entry else one.url,
                key_variable=one.key_variable,
                default_model=model if one.name == default else None,
            )
        )
    return found


def check(session: Session) -> Exit:
    """Read it as a start would. Raises ConfigError with every problem."""
    config = session.load()
    notices = [*config.notices, *session.house.check(config)]
    source = path_text(config.source) if config.source else "no file: the defaults"
    if session.out.json:
        told = {"valid": True, "config": str(config.source) if config.source else None}
        session.out.record({**told, "environment": config.environment, "notices": notices})
        return Exit.OK
    for notice in notices:
        session.out.say(f"note: {notice}")
    session.out.data(f"{source} ({config.environment}): valid")
    return Exit.OK


def show(session: Session, *, origin: bool) -> Exit:
    """Every setting in effect; secrets are masked."""
    config = session.load()
    if session.out.json:
        for path, value, where in config.origins():
            session.out.record({"path": path, "value": value, **({"origin": str(where)} if origin else {})})
        return Exit.OK
    if origin:
        rows = [(path, text_of(value), str(where)) for path, value, where in config.origins()]
        session.out.table(("SETTING", "VALUE", "ORIGIN"), rows)
    else:
        session.out.table(("SETTING", "VALUE"), [(path, text_of(value)) for path, value, _ in config.origins()])
    return Exit.OK


def text_of(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def schema(session: Session) -> Exit:
    """The JSON schema, for editors."""
    from farmgate.config import published_schema

    session.out.data(published_schema(), end="")
    return Exit.OK
