"""The starter model: what it is, and getting it before it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farmgate.core.errors import EngineUnavailable, FarmError
from farmgate.surfaces.cli.session import Session

if TYPE_CHECKING:
    from farmgate.config import Config

__all__ = ["NEEDS_ENGINE", "STARTER", "WHAT_IT_IS", "get_starter", "is_starter", "try_starter"]

STARTER = "starter"
WHAT_IT_IS = "SmolLM2-135M-Instruct, 93 MB, Apache-2.0, once"
NEEDS_ENGINE = (
    "The engine for local models is not installed: pip install 'farmgate[local]', or uvx 'farmgate[local]' dev."
)


def is_starter(model: str) -> bool:
    return model in (STARTER, f"local/{STARTER}")


async def get_starter(session: Session, config: Config) -> None:
    """Pull it unless it is here. Raises FarmError that tells what was tried."""
    if not session.house.has_engine():
        raise EngineUnavailable(NEEDS_ENGINE)
    weights = session.house.weights(config)
    if weights.path(STARTER) is not None:
        return
    session.out.say(f"getting {WHAT_IT_IS}")
    await weights.pull(STARTER, session.out.progress(STARTER))


async def try_starter(session: Session, config: Config) -> bool:
    """The same where one can do without: says what went wrong."""
    session.out.say(f"no model found: getting {WHAT_IT_IS}")
    try:
        await session.house.weights(config).pull(STARTER, session.out.progress(STARTER))
    except FarmError as error:
        session.out.say(f"that did not work: {error.message}")
        session.out.say("going on with the demo; `farmgate pull starter` tries again")
        return False
    return True
