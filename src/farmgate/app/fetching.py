"""A model that an admin names by where it comes from is got, loaded and listed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import TypeAlias

from farmgate.admin.catalog import ModelCatalog
from farmgate.core.ports import Lender, Report
from farmgate.telemetry import log

__all__ = ["Get", "fetching"]

Get: TypeAlias = Callable[[str, Report], Awaitable[str]]
"""Gets a model from where its owner says; gives the name it has here."""


def fetching(
    get: Get | None, lender: Lender, catalog: ModelCatalog, loading: Callable[[], AbstractContextManager[None]]
) -> Callable[[str, Report], Awaitable[None]] | None:
    """None where there is nothing to get models with. `loading` keeps open what is needed meanwhile."""
    if get is None:
        return None

    async def fetch(source: str, report: Report) -> None:
        with loading():
            name = await get(source, report)
            await lender.load(name, report)
            log.info("model_fetched", model=name)
            await catalog.refresh(at_once=True)
        catalog.learn_soon()

    return fetch
