"""A model file that comes with Farmgate itself: there without a network."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from farmgate.core.ports import Progress, Report
from farmgate.engines.pulling.catalogue import Item
from farmgate.engines.pulling.sources import SourceFailed

__all__ = ["Shipped"]

HERE = Path(__file__).parent


class Shipped:
    """Copies: what is in the package is never written to, and what was pulled can be deleted."""

    name = "Farmgate itself"

    def offers(self, item: Item) -> bool:
        return item.shipped is not None

    def scratch_bytes(self, item: Item) -> int:
        return 0

    async def fetch(self, item: Item, into: Path, report: Report) -> None:
        assert item.shipped is not None
        file = HERE / item.shipped
        if not file.is_file():
            raise SourceFailed(f"{file} is not there: this installation is not whole")
        report(Progress(status="copying", completed=0, total=item.size_bytes))
        await asyncio.to_thread(shutil.copyfile, file, into)
