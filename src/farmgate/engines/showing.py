"""A process as it is shown to operators."""

from __future__ import annotations

from collections.abc import Mapping

from farmgate.core.model import EngineLoad, ModelState
from farmgate.engines.supervisor import Supervisor

__all__ = ["shown"]


def shown(
    process: Supervisor,
    *,
    answers: bool,
    adapters: tuple[str, ...],
    priority: int,
    memory: Mapping[str, int],
    load: EngineLoad | None,
) -> ModelState:
    """`answers`: callers are sent to it; `priority`: its model's; `memory`: bytes by device; `load`: as it told."""
    spec = process.spec
    return ModelState(
        name=spec.model,
        version=spec.version,
        purpose=spec.purpose.value,
        engine=process.engine.name,
        state=process.state.value,
        answers=answers,
        memory=memory,
        pid=process.pid,
        in_flight=process.leases.in_flight,
        waiting=process.leases.expected,
        starts=process.starts,
        ttl_left_s=process.left_s(),
        pinned=process.keep.pinned,
        priority=priority,
        failure=process.failure,
        load_s=process.load_s,
        adapters=adapters,
        engine_load=load,
    )
