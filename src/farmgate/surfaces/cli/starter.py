"""The models that Farmgate knows by name: what they are, and getting them before they are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmgate.core.errors import EngineUnavailable, FarmError
from farmgate.surfaces.cli.session import Session

if TYPE_CHECKING:
    from farmgate.config import Config

__all__ = ["GUIDE", "NEEDS_ENGINE", "STARTER", "WHAT_IT_IS", "get_built_in", "known_name", "try_starter"]

STARTER = "starter"
GUIDE = "guide"
WHAT_IT_IS = "SmolLM2-135M-Instruct, 93 MB, Apache-2.0, once"
WHAT_THEY_ARE = {STARTER: WHAT_IT_IS, GUIDE: "the guide, 2 MB: it comes with Farmgate and knows its documentation"}
NEEDS_ENGINE = (
    "The engine for local models is not installed: pip install 'farmgate[local]', or uvx 'farmgate[local]' dev."
)


def known_name(model: str) -> str | None:
    """Which of them is meant; None: another model."""
    name = model.removeprefix("local/")
    return name if name in WHAT_THEY_ARE else None


async def get_built_in(session: Session, config: Config, name: str) -> None:
    """Pull one of them unless it is here. Raises FarmError that tells what was tried."""
    if not session.house.has_engine():
        raise EngineUnavailable(NEEDS_ENGINE)
    weights = session.house.weights(config)
    if name in config.models or weights.path(name) is not None:
        return
    session.out.say(f"getting {WHAT_THEY_ARE[name]}")
    await weights.pull(name, session.out.progress(name))


async def try_starter(session: Session, config: Config) -> bool:
    """The starter where one can do without: says what went wrong, and takes the guide, which needs no network."""
    weights = session.house.weights(config)
    session.out.say(f"no model found: getting {WHAT_IT_IS}")
    try:
        await weights.pull(STARTER, session.out.progress(STARTER))
    except FarmError as error:
        session.out.say(f"that did not work: {error.message}")
    else:
        return True
    try:
        await weights.pull(GUIDE, session.out.progress(GUIDE))
    except FarmError as error:
        session.out.say(f"nor did the guide: {error.message}")
        session.out.say("going on with the demo; `farmgate pull starter` tries again")
        return False
    session.out.say("going on with the guide, which knows this documentation; `farmgate pull starter` tries again")
    return True
