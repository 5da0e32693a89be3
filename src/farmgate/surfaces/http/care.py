"""What operators do with the models of this machine: unload one, swap its version, go back, and see what runs where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from farmgate.core.errors import NotAnAdmin
from farmgate.core.identity import Principal
from farmgate.core.model import DeviceState, ModelState
from farmgate.core.ports import Report
from farmgate.surfaces.http.care_models import DevicesAnswer, ProcessesAnswer, ReloadModelRequest
from farmgate.surfaces.http.exchange import Exchange
from farmgate.surfaces.http.farm_asks import fields_of
from farmgate.surfaces.http.farm_house import answer_begun, has_body, must_be_name
from farmgate.work.jobs import Jobs

__all__ = ["Care", "Cares", "must_be_admin"]


class Care(Protocol):
    """Who changes which models run. Each raises FarmError; what is wrong with a name is raised before it waits."""

    async def unload(self, model: str, report: Report) -> None: ...

    async def swap(self, model: str, version: str | None, report: Report) -> None: ...

    async def rollback(self, model: str, report: Report) -> None: ...

    def processes(self) -> Sequence[ModelState]: ...

    def devices(self) -> Sequence[DeviceState]: ...


class Cares:
    """The endpoints. Changes, and who is busy with what, are for admins; devices are shown to every caller."""

    def __init__(self, care: Care, jobs: Jobs) -> None:
        self._care = care
        self._jobs = jobs

    async def unload(self, exchange: Exchange, principal: Principal, name: str) -> None:
        must_be_admin(exchange, principal)
        must_be_name(name, "unload")

        async def run(report: Report) -> None:
            await self._care.unload(name, report)

        await answer_begun(exchange, self._jobs.start("unload", name, run, principal=principal), f"Unloading {name}")

    async def reload(self, exchange: Exchange, principal: Principal, name: str) -> None:
        must_be_admin(exchange, principal)
        must_be_name(name, "reload")
        version = (await fields_of(exchange, ReloadModelRequest)).version if has_body(exchange) else None

        async def run(report: Report) -> None:
            await self._care.swap(name, version, report)

        title = name if version is None else f"{name} to {version}"
        await answer_begun(exchange, self._jobs.start("swap", title, run, principal=principal), f"Swapping {title}")

    async def rollback(self, exchange: Exchange, principal: Principal, name: str) -> None:
        must_be_admin(exchange, principal)
        must_be_name(name, "rollback")

        async def run(report: Report) -> None:
            await self._care.rollback(name, report)

        await answer_begun(
            exchange, self._jobs.start("rollback", name, run, principal=principal), f"Going back with {name}"
        )

    async def processes(self, exchange: Exchange, principal: Principal) -> None:
        must_be_admin(exchange, principal)
        await exchange.answer(200, ProcessesAnswer.of(self._care.processes()).json_bytes())

    async def devices(self, exchange: Exchange, _: Principal) -> None:
        await exchange.answer(200, DevicesAnswer.of(self._care.devices()).json_bytes())


def must_be_admin(exchange: Exchange, principal: Principal) -> None:
    """Raises NotAnAdmin. Without keys the browser's word is taken for who sends it: a page of another site must not
    change what runs on this machine."""
    if not principal.is_admin:
        raise NotAnAdmin
    if not exchange.desk.doorman.needs_key and exchange.header(b"sec-fetch-site") in (b"cross-site", b"same-site"):
        raise NotAnAdmin("A web page of another site may not ask this.")
