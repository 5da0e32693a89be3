"""Stand-ins for whoever changes which models run: what they are asked is written down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from farmgate.core.errors import ModelNotFound
from farmgate.core.model import DeviceState, EngineLoad, ModelState, Served
from farmgate.core.ports import Places, Report

__all__ = ["FakeCare", "Still"]

PROCESS = ModelState(
    name="guide",
    version="1",
    purpose="generate",
    engine="llama.cpp",
    state="ready",
    answers=True,
    memory={"cpu": 7},
    pid=4711,
    in_flight=1,
    starts=2,
    ttl_left_s=9.5,
    adapters=("formal",),
    engine_load=EngineLoad(running=3.0, waiting=1.0),
)
DEVICES = (
    DeviceState(
        name="gpu0",
        title="A GPU",
        total=100,
        free=40,
        models={"guide@1 (generate)": 50},
        utilisation=0.5,
        temperature_c=60.0,
        power_w=200.5,
    ),
    DeviceState(name="cpu", title="memory of this machine", total=1000, free=900, models={}),
)


class Still:
    """A Lender's part of it, for tests in which nothing changes."""

    async def unload(self, model: str) -> None:
        raise AssertionError

    async def swap(self, model: str, version: str | None, report: Report) -> None:
        raise AssertionError

    async def rollback(self, model: str, report: Report) -> None:
        raise AssertionError

    def served(self, model: str) -> Served:
        return Served(name=model, version="1", engine="python", infers=True, is_ready=True)

    def places(self, model: str) -> Places | None:
        return None

    def states(self) -> tuple[ModelState, ...]:
        return ()

    def devices(self) -> tuple[DeviceState, ...]:
        return ()


class FakeCare:
    """Knows the model `guide`. `doing` is awaited before a change is done."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, ...]] = []
        self.doing: Callable[[Report], Awaitable[None]] | None = None

    async def unload(self, model: str, report: Report) -> None:
        await self._do("unload", model, report)

    async def swap(self, model: str, version: str | None, report: Report) -> None:
        await self._do("swap", model, report, version)

    async def rollback(self, model: str, report: Report) -> None:
        await self._do("rollback", model, report)

    def processes(self) -> tuple[ModelState, ...]:
        return (PROCESS,)

    def devices(self) -> tuple[DeviceState, ...]:
        return DEVICES

    async def _do(self, verb: str, model: str, report: Report, *more: str | None) -> None:
        if model != "guide":
            raise ModelNotFound(f"There is no model {model!r}.", param="model")
        self.asked.append((verb, model, *more))
        if self.doing is not None:
            await self.doing(report)
