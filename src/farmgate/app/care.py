"""What operators do with models, at the gate: their names lead to providers as those of requests do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from farmgate.core.errors import NotSupported
from farmgate.core.model import DeviceState, ModelState
from farmgate.core.ports import Lender, Progress, Purpose, Report
from farmgate.flow.route import Candidate
from farmgate.providers.local import LocalProvider
from farmgate.providers.provider import Provider, Unloads

__all__ = ["ModelCare"]


class ModelCare:
    """`find` tells whose model a name is. Only engines of this machine have versions and processes; `waiting` tells how
    many wait in the line of one, and `pace` how many tokens a second it answers with. `changed` is awaited where a
    model has become another: what requests may hold is known by the model that answers them."""

    def __init__(
        self,
        find: Callable[[str], Candidate],
        providers: Mapping[str, Provider],
        lender: Lender,
        *,
        waiting: Callable[[], Mapping[str, int]],
        pace: Callable[[str], float],
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        self._find = find
        self._providers = providers
        self._lender = lender
        self._waiting = waiting
        self._pace = pace
        self._changed = changed

    async def unload(self, model: str, report: Report) -> None:
        candidate = self._find(model)
        provider = self._providers[candidate.provider]
        if not isinstance(provider, Unloads):
            raise NotSupported(f"{candidate.provider} keeps its models by itself: none can be unloaded.", param="model")
        report(Progress(status=f"unloading {candidate.model}"))
        await provider.unload(candidate.model)
        report(Progress(status=f"{candidate.model} has left memory"))

    async def swap(self, model: str, version: str | None, report: Report) -> None:
        await self._lender.swap(self._local(model), version, report)
        await self._changed()

    async def rollback(self, model: str, report: Report) -> None:
        await self._lender.rollback(self._local(model), report)
        await self._changed()

    def processes(self) -> Sequence[ModelState]:
        waiting = self._waiting()
        return [self._whole(state, waiting) for state in self._lender.states()]

    def devices(self) -> Sequence[DeviceState]:
        return self._lender.devices()

    def _whole(self, state: ModelState, waiting: Mapping[str, int]) -> ModelState:
        """With the line before it, which is the gate's and not the engine's."""
        if not state.answers:
            return state
        is_chat = state.purpose in {Purpose.GENERATE, Purpose.INFER}
        line = waiting.get(state.name if is_chat else f"{state.name} ({state.purpose})", 0)
        # What its adapters answer is of the same process.
        names = (state.name, *(f"{state.name}:{adapter}" for adapter in state.adapters)) if is_chat else ()
        pace = sum(map(self._pace, names))
        return replace(state, waiting=state.waiting + line, tokens_per_s=pace)

    def _local(self, model: str) -> str:
        candidate = self._find(model)
        if not isinstance(self._providers[candidate.provider], LocalProvider):
            raise NotSupported(
                f"{model} is one of {candidate.provider}: only local models have versions.", param="model"
            )
        return candidate.model
