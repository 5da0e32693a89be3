"""`pull`: a model comes from the hub, an address, this machine or a provider, as one word says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from farmgate.core.errors import InvalidValue
from farmgate.core.locator import Locator, ProviderModel, is_path, parse_locator
from farmgate.surfaces.cli.exits import Exit, WrongUse
from farmgate.surfaces.cli.session import Session
from farmgate.surfaces.cli.starter import NEEDS_ENGINE

if TYPE_CHECKING:
    from farmgate.config import Config

__all__ = ["pull"]

LOCAL = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`written` is what the store or the provider is asked for; `title` may be shown: it holds no credential."""

    written: str
    title: str
    provider: str = LOCAL


def pull(session: Session, source: str, name: str | None = None) -> Exit:
    """Get a model, and call it `name`. Raises FarmError."""
    config = session.load()
    wanted = wanted_of(source, name, config)
    for one in wanted:
        if one.provider == LOCAL:
            fetch(session, config, one, name)
        else:
            load(session, config, one)
    return Exit.OK


def wanted_of(source: str, name: str | None, config: Config) -> Sequence[Wanted]:
    """What a word stands for: an entry of the configuration has the models of all its versions. Raises WrongUse."""
    entry = config.models.get(source)
    if entry is None:
        return (one_of(source, name),)
    if name is not None:
        raise WrongUse(
            f"{source} is a name of the configuration: --as is for models that are pulled by hand.", param="--as"
        )
    sources = [text for text in entry.sources.values() if not is_path(text)]
    if not sources:
        raise WrongUse(f"models.{source} names files on this machine: there is nothing to pull.", param="SOURCE")
    return tuple(one_of(text, None) for text in sources)


def one_of(source: str, name: str | None) -> Wanted:
    try:
        locator: Locator = parse_locator(source)
    except InvalidValue as error:
        raise WrongUse(error.message, param="SOURCE") from error
    match locator:
        case ProviderModel(provider="local", model=model):
            return Wanted(written=model, title=str(locator))
        case ProviderModel(provider=provider, model=model):
            if name is not None:
                raise WrongUse(f"{provider} names its models itself: --as is for models on this machine.", param="--as")
            return Wanted(written=model, title=str(locator), provider=provider)
        case _:
            return Wanted(written=source, title=str(locator))


def fetch(session: Session, config: Config, wanted: Wanted, name: str | None) -> None:
    """Into this machine's own store."""
    weights = session.house.weights(config)
    report = session.out.progress(name or wanted.title)
    try:
        stored = asyncio.run(weights.fetch(wanted.written, report, name=name))
    except InvalidValue as error:
        if name is None or error.param != "name":
            raise
        raise WrongUse(error.message, param="--as") from error
    if session.out.json:
        session.out.record({"status": "success", "name": stored})
    told = f"{stored} is in {weights.path(stored)}"
    session.out.say(f"{told}: farmgate run {stored}" if session.house.has_engine() else f"{told}. {NEEDS_ENGINE}")


def load(session: Session, config: Config, wanted: Wanted) -> None:
    """By a provider that gets its models itself."""
    report = session.out.progress(wanted.title)

    async def through_gate() -> None:
        async with session.house.open(config) as gate:
            await gate.load(wanted.written, wanted.provider, report)

    try:
        asyncio.run(through_gate())
    except InvalidValue as error:
        if error.param != "provider":
            raise
        hint = f"{error.message} A model of the hub is hf:{wanted.title}, a file ./{wanted.title}."
        raise InvalidValue(hint, param="provider") from error
    if session.out.json:
        session.out.record({"status": "success", "name": wanted.title})
    session.out.say(f"{wanted.title} is there: farmgate run {wanted.title}")
