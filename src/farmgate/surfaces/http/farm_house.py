"""What Farmgate's own API tells of the house: models, jobs, health; and the loading of models."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from starlette.datastructures import QueryParams

from farmgate.core.errors import InvalidValue, ModelNotFound, UnknownUrl
from farmgate.core.event import Event
from farmgate.core.identity import Principal
from farmgate.core.model import Health
from farmgate.core.ports import Report
from farmgate.core.reply import Reply
from farmgate.surfaces.http.exchange import Exchange
from farmgate.surfaces.http.farm_answers import (
    HealthAnswer,
    JobAnswer,
    LoadAnswer,
    ModelEntry,
    ModelsAnswer,
    ProviderHealth,
)
from farmgate.surfaces.http.farm_asks import fields_of
from farmgate.surfaces.http.farm_reading import UnknownParameter
from farmgate.surfaces.http.farm_requests import LoadRequest
from farmgate.surfaces.http.listing import Models
from farmgate.surfaces.http.told import error_headers
from farmgate.wire.openai.errors import encode_error
from farmgate.wire.sse import DONE, frame
from farmgate.work.jobs import Job, Jobs

__all__ = ["HealthCheck", "House", "Load", "answer_begun", "has_body", "must_be_name"]

HealthCheck: TypeAlias = Callable[[], Awaitable[Mapping[str, Health]]]
Load: TypeAlias = Callable[[str, str | None, Report], Awaitable[None]]

NAME_LIMIT = 512
WATCH_S = 24 * 3600.0
"""How long one stream of a job may last: pulling a large model takes longer than any request may."""


class House:
    """The endpoints. `load` makes a model ready; what it raises before it first waits is told to the caller at once."""

    def __init__(self, *, models: Models, health: HealthCheck, load: Load, jobs: Jobs) -> None:
        self._models = models
        self._health = health
        self._load = load
        self._jobs = jobs

    # --------------------------------------------------------------------------------------------- models, health

    async def models(self, exchange: Exchange, _: Principal, query: QueryParams) -> None:
        provider = provider_in(query)
        exchange.watch()
        await self._models.refresh()
        found = [model for model in self._models.models() if provider in (None, model.provider)]
        if provider is not None and not found:
            await self._must_exist(provider)
        told = ModelsAnswer([ModelEntry.of(model) for model in found])
        await exchange.answer(200, told.model_dump_json(by_alias=True, exclude_none=True).encode())

    async def _must_exist(self, provider: str) -> None:
        """An empty list would hide a typing mistake."""
        providers = await self._health()
        if provider not in providers:
            known = ", ".join(providers) or "none"
            raise InvalidValue(f"There is no provider {provider[:100]!r}. There is: {known}.", param="provider")

    async def health(self, exchange: Exchange, _: Principal) -> None:
        exchange.watch()
        states = await self._health()
        told = HealthAnswer({name: ProviderHealth.of(state) for name, state in states.items()})
        await exchange.answer(200, told.model_dump_json(by_alias=True, exclude_none=True).encode())

    # --------------------------------------------------------------------------------------------- loading, jobs

    async def load(self, exchange: Exchange, principal: Principal, name: str, query: QueryParams) -> None:
        must_be_name(name, "load")
        provider = one_provider(provider_in(query), await provider_in_body(exchange))

        async def run(report: Report) -> None:
            await self._load(name, provider, report)

        job = self._jobs.start("load", title_of(name, provider), run, principal=principal)
        await answer_begun(exchange, job, f"Loading {name}")

    async def job(self, exchange: Exchange, principal: Principal, id: str) -> None:
        await exchange.answer(200, JobAnswer.of(self._jobs.get(id, principal).snapshot()).json_bytes())

    async def watch(self, exchange: Exchange, principal: Principal, id: str) -> None:
        """The job goes on when its watcher leaves."""
        states = states_of(self._jobs.get(id, principal))
        exchange.deadline = exchange.loop.time() + WATCH_S
        exchange.watch()
        async with states:
            await exchange.stream(states, raw, lambda: DONE)


def states_of(job: Job) -> Reply:
    """A job's states as a stream of events, so that they are sent as answers are."""
    states = job.watch()

    async def following() -> Event | None:
        state = await anext(states, None)
        return None if state is None else Event(raw=frame(JobAnswer.of(state).json_bytes()))

    return Reply(following, provider="", model="")


def raw(event: Event) -> bytes:
    return event.raw


def title_of(name: str, provider: str | None) -> str:
    """One title for one model, however its provider was named: askers for the same model share its job."""
    return name if provider is None or name.startswith(f"{provider}/") else f"{provider}/{name}"


async def provider_in_body(exchange: Exchange) -> str | None:
    """The provider a body names. There need not be a body."""
    return (await fields_of(exchange, LoadRequest)).provider if has_body(exchange) else None


def has_body(exchange: Exchange) -> bool:
    length = exchange.header(b"content-length")
    return length not in (None, b"0") or exchange.header(b"transfer-encoding") is not None


def must_be_name(name: str, verb: str) -> None:
    """Raises where an address has no name of a model in it, or none that a model can have."""
    if not name:
        raise UnknownUrl(f"Name the model: POST /api/ai/models/{{name}}/{verb}.")
    if len(name) > NAME_LIMIT:
        raise ModelNotFound(f"There is no model with a name of more than {NAME_LIMIT} characters.", param="model")


async def answer_begun(exchange: Exchange, job: Job, doing: str) -> None:
    """Tell of a job that has just been begun, or why it was refused."""
    # One turn of the loop: a name that is refused before anything is waited for is answered with the refusal.
    await asyncio.sleep(0)
    refused = job.snapshot().error
    if refused is not None:
        # Not raised: the job keeps its error, and with a traceback would keep this exchange.
        exchange.desk.telemetry.failed(refused.code)
        await exchange.answer(refused.status, encode_error(refused), error_headers(refused))
        return
    told = LoadAnswer(message=f"{doing}: GET /api/ai/jobs/{job.id} tells how far it is.", job=job.id)
    await exchange.answer(202, told.json_bytes())


def provider_in(query: QueryParams) -> str | None:
    """The provider a query names. Raises for whatever else it names."""
    for name in query:
        if name != "provider":
            raise UnknownParameter(f"`{name[:64]}` is not known here: there is provider.", param=name[:64])
    told = set(query.getlist("provider"))
    if len(told) > 1:
        raise InvalidValue("`provider` is named twice.", param="provider")
    return next(iter(told), None) or None


def one_provider(first: str | None, second: str | None) -> str | None:
    """What query and body say together. Raises InvalidValue when they differ."""
    if first is not None and second is not None and first != second:
        raise InvalidValue("`provider` is one in the query and another in the body.", param="provider")
    return first if first is not None else second
