"""The words in which operators are told of models and devices of this machine, and ask for changes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from farmgate.core.model import DeviceState, EngineLoad, ModelState
from farmgate.surfaces.http.farm_answers import Told
from farmgate.surfaces.http.farm_requests import Asked

__all__ = ["DeviceEntry", "DevicesAnswer", "EngineLoadEntry", "ProcessEntry", "ProcessesAnswer", "ReloadModelRequest"]


class ReloadModelRequest(Asked):
    """The version that is to answer; none: the one that does, loaded anew."""

    version: Annotated[str, Field(min_length=1, max_length=256)] | None = None


class DeviceEntry(Told):
    """One device now; sizes in bytes, `utilisation` from 0 to 1. `models`: what each holds or was promised there."""

    name: str
    title: str
    kind: Literal["cpu", "gpu"]
    memory_total: int
    memory_used: int
    memory_free: int
    utilisation: float | None
    temperature_c: float | None
    power_w: float | None
    models: dict[str, int]

    @classmethod
    def of(cls, state: DeviceState) -> DeviceEntry:
        return cls(
            name=state.name,
            title=state.title,
            kind="cpu" if state.name == "cpu" else "gpu",
            memory_total=state.total,
            memory_used=state.total - state.free,
            memory_free=state.free,
            utilisation=state.utilisation,
            temperature_c=state.temperature_c,
            power_w=state.power_w,
            models=dict(state.models),
        )


class DevicesAnswer(Told):
    """Every device: GPUs first, the memory of the machine last."""

    devices: tuple[DeviceEntry, ...]

    @classmethod
    def of(cls, states: Iterable[DeviceState]) -> DevicesAnswer:
        return cls(devices=tuple(map(DeviceEntry.of, states)))

    def json_bytes(self) -> bytes:
        """Every field is there, null where a device does not tell."""
        return self.model_dump_json().encode()


class EngineLoadEntry(Told):
    """What an engine tells of itself: requests it computes, those that wait in it, and how much of its cache is used,
    from 0 to 1; null where it does not tell."""

    running: float | None
    waiting: float | None
    cache_used: float | None

    @classmethod
    def of(cls, load: EngineLoad) -> EngineLoadEntry:
        return cls(running=load.running, waiting=load.waiting, cache_used=load.cache_used)


class ProcessEntry(Told):
    """One version of a model for one purpose. `answers`: callers of the name get it. `memory`: bytes by device.
    `adapters`: those it has. `engine_load`: null where the engine tells nothing of itself."""

    name: str
    version: str
    purpose: str
    engine: str
    state: str
    answers: bool
    memory: dict[str, int]
    pid: int | None
    in_flight: int
    waiting: int
    starts: int
    ttl_left_s: float | None
    pinned: bool
    priority: int
    failure: str | None
    load_s: float | None
    tokens_per_s: float
    adapters: tuple[str, ...]
    engine_load: EngineLoadEntry | None

    @classmethod
    def of(cls, state: ModelState) -> ProcessEntry:
        return cls(
            name=state.name,
            version=state.version,
            purpose=state.purpose,
            engine=state.engine,
            state=state.state,
            answers=state.answers,
            memory=dict(state.memory),
            pid=state.pid,
            in_flight=state.in_flight,
            waiting=state.waiting,
            starts=state.starts,
            ttl_left_s=state.ttl_left_s,
            pinned=state.pinned,
            priority=state.priority,
            failure=state.failure,
            load_s=state.load_s,
            tokens_per_s=round(state.tokens_per_s, 1),
            adapters=state.adapters,
            engine_load=EngineLoadEntry.of(state.engine_load) if state.engine_load is not None else None,
        )


class ProcessesAnswer(Told):
    """Every version that was ever asked for since the start."""

    processes: tuple[ProcessEntry, ...]

    @classmethod
    def of(cls, states: Iterable[ModelState]) -> ProcessesAnswer:
        return cls(processes=tuple(map(ProcessEntry.of, states)))

    def json_bytes(self) -> bytes:
        """Every field is there, null where there is nothing to tell."""
        return self.model_dump_json().encode()
