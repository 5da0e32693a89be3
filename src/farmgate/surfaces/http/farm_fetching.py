"""Only who runs this machine has it fetch from where they say: everybody else names models it knows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.datastructures import QueryParams

from farmgate.core.errors import NotAnAdmin, NotSupported
from farmgate.core.identity import Principal
from farmgate.core.locator import is_remote, parse_locator
from farmgate.core.ports import Report
from farmgate.surfaces.http.care import must_be_admin
from farmgate.surfaces.http.exchange import Exchange
from farmgate.surfaces.http.farm_house import House, answer_begun, must_be_name, provider_in
from farmgate.work.jobs import Jobs

__all__ = ["Fetch", "Fetches"]

Fetch: TypeAlias = Callable[[str, Report], Awaitable[None]]


class Fetches:
    """Loading, for names that say where a model comes from. `fetch` gets one and makes it ready."""

    def __init__(self, house: House, fetch: Fetch | None, jobs: Jobs) -> None:
        self._house = house
        self._fetch = fetch
        self._jobs = jobs

    async def load(self, exchange: Exchange, principal: Principal, name: str, query: QueryParams) -> None:
        if not is_remote(name):
            # Whatever else it is, a path too, is a name to the house: none of its files is opened by it.
            await self._house.load(exchange, principal, name, query)
            return
        must_be_name(name, "load")
        try:
            must_be_admin(exchange, principal)
        except NotAnAdmin as refused:
            raise NotAnAdmin("Only an admin may have a model fetched from the hub or an address.") from refused
        if self._fetch is None or provider_in(query) not in (None, "local"):
            raise NotSupported("Only the models of this machine come from where a name says.", param="provider")
        fetch = self._fetch
        # Shown to whoever asks for the job: without what may be a credential.
        shown = str(parse_locator(name))

        async def run(report: Report) -> None:
            await fetch(name, report)

        await answer_begun(exchange, self._jobs.start("load", shown, run, principal=principal), f"Getting {shown}")
