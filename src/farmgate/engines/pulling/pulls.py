"""One pull for many askers: all see it move, and it ends when the last of them leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from farmgate.core.errors import ModelBusy
from farmgate.core.ports import Progress, Report

__all__ = ["Pulls"]


@dataclass(slots=True)
class Pull:
    """`asked`: what is being pulled."""

    asked: str
    task: asyncio.Task[Path]
    reports: list[Report] = field(default_factory=list)


class Pulls:
    """The pulls of this process, by the name of the model."""

    def __init__(self) -> None:
        self.running: dict[str, Pull] = {}

    async def share(self, name: str, asked: str, work: Callable[[Report], Awaitable[Path]], report: Report) -> Path:
        """What `work` gives, begun here or by whoever came first. Raises ModelBusy where that was another model."""
        pull = self.running.get(name)
        if pull is None:
            pull = self._begin(name, asked, work)
        elif pull.asked != asked:
            raise ModelBusy(f"{name} is being pulled from {pull.asked} now: wait, or give this one another name.")
        pull.reports.append(report)
        try:
            return await asyncio.shield(pull.task)
        finally:
            pull.reports.remove(report)
            if not pull.reports and not pull.task.done():
                # Whoever asks from now on starts anew instead of joining a pull that is ending.
                self._forget(name, pull)
                pull.task.cancel()
                await asyncio.wait({pull.task})

    def _begin(self, name: str, asked: str, work: Callable[[Report], Awaitable[Path]]) -> Pull:
        def report(progress: Progress) -> None:
            for each in tuple(pull.reports):
                each(progress)

        async def run() -> Path:
            return await work(report)

        pull = Pull(asked, asyncio.get_running_loop().create_task(run()))
        self.running[name] = pull
        pull.task.add_done_callback(lambda _: self._forget(name, pull))
        return pull

    def _forget(self, name: str, pull: Pull) -> None:
        if self.running.get(name) is pull:
            del self.running[name]
