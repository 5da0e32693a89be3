"""A target that costs nothing to ask is asked for one token as soon as its rest is over, so that no caller has to."""

from __future__ import annotations

import asyncio

from farmgate.core.answer import gather
from farmgate.core.errors import FarmError
from farmgate.core.identity import Principal
from farmgate.core.ids import new_id
from farmgate.core.request import Kind, Request, Typed
from farmgate.core.words import Chat, Message, Role, Sampling
from farmgate.flow.health import Health, State
from farmgate.flow.tries import Means

__all__ = ["PROBER", "is_due", "probe"]

PROBER = Principal(key_name="probe")
"""Under this name the calls stand in the journal."""
PATIENCE_S = 30.0
QUESTION = Chat(messages=(Message(role=Role.USER, content="Hi"),), sampling=Sampling(max_tokens=1))


def is_due(health: Health, now: float) -> bool:
    """Whether its rest is over and nobody is finding out yet how it is."""
    return health.state(now) is State.HALF_OPEN and not health.is_probed and not health.is_cooling(now)


async def probe(means: Means, provider: str, model: str) -> None:
    """Ask it, and note in its health what came of it. One that does not chat says no, which says nothing of it."""
    health = means.ward.of(f"{provider}/{model}")
    loop = asyncio.get_running_loop()
    request = Request(
        id=new_id(),
        kind=Kind.CHAT,
        body=Typed(QUESTION),
        principal=PROBER,
        deadline=loop.time() + PATIENCE_S,
        started=means.clock(),
        model=model,
        provider=provider,
    )
    trial = health.begin(means.clock())
    failure: BaseException | None = None
    try:
        with await means.targets[provider].send(request) as reply:
            await gather(reply)
    except FarmError as error:
        failure = error
    except BaseException as error:
        failure = error
        raise
    finally:
        trial.end(failure, means.clock(), means.draw())
