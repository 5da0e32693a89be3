"""A real gate with the guide in its two versions, and what its operators do and see."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from tests.journey.gate import RealGate

__all__ = ["MODELS", "Stage", "stage"]

MODELS = Path(__file__).resolve().parents[1] / "models"
LOOK_S = 0.01


class Stage:
    """One gate. Blocking calls run in threads, so that callers go on meanwhile."""

    def __init__(self, gate: RealGate) -> None:
        self.gate = gate

    @property
    def port(self) -> int:
        return self.gate.port

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """What the gate answers; fails for an error."""
        answer = await asyncio.to_thread(self.gate.call, method, path, body)
        assert answer.status in (200, 202), answer.body
        return answer.json

    async def do(self, verb: str, body: object = None, model: str = "guide") -> dict[str, Any]:
        """Begin a change, wait for its end, and give the job as it ended."""
        answer = await asyncio.to_thread(self.gate.call, "POST", f"/api/ai/models/{model}/{verb}", body)
        if answer.status != 202:
            return {"status": "failed", "error": answer.error}
        return await self.job(answer.json["job"])

    async def job(self, id: str) -> dict[str, Any]:
        while (job := await self.call("GET", f"/api/ai/jobs/{id}"))["endedAt"] is None:
            await asyncio.sleep(LOOK_S)
        return dict(job)

    async def processes(self) -> list[dict[str, Any]]:
        return list((await self.call("GET", "/api/ai/processes"))["processes"])

    async def devices(self) -> list[dict[str, Any]]:
        return list((await self.call("GET", "/api/ai/gpus"))["devices"])

    async def until_idle(self, within_s: float = 10.0) -> bool:
        """Whether nobody is at any model any more, in time."""
        until = time.monotonic() + within_s
        while any(one["inFlight"] or one["waiting"] for one in await self.processes()):
            if time.monotonic() > until:
                return False
            await asyncio.sleep(LOOK_S)
        return True

    def kill(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def memory_mib(self) -> float:
        """Of the gate and every process it has."""
        return sum(resident_mib(pid) for pid in (self.gate.pid, *self.gate.children()))


def resident_mib(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


@contextlib.asynccontextmanager
async def stage(
    directory: Path, models: Mapping[str, object] | None = None, *, guide: Mapping[str, object] | None = None
) -> AsyncIterator[Stage]:
    """A gate that has begun, with `models`, or else `guide` in its two versions, or as is said; gone at the end."""
    versions = {str(number): str(MODELS / f"guide-{number}.gguf") for number in (1, 2)}
    own: dict[str, object] = {"versions": versions, "threads": 1, **(guide or {})}
    config = {"models": models or {"guide": own}}
    directory.mkdir(parents=True, exist_ok=True)
    gate = RealGate(directory, config=config)
    await asyncio.to_thread(gate.start)
    try:
        yield Stage(gate)
    finally:
        await asyncio.to_thread(gate.stop)
