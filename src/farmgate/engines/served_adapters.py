"""How the servers of others take LoRA adapters: those there are with their command and, but for TGI, more meanwhile.

What a running server can take is bounded by what it was started with: the rank of its largest adapter and, for SGLang,
the layers that its adapters change.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from farmgate.engines.adapters import PLAIN, Adapter, CannotAdapt, Order, check_folder, modules_of, rank_of
from farmgate.engines.engine import Spec

__all__ = ["SGLANG", "TGI", "VLLM", "ServerAdapters", "TgiAdapters"]

TGI_SIGNS = ",=@"
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as the largest rank."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAdapters:
    """One server's way. `written`: an adapter in its command, behind `flag`, by the name `called` gives it there, which
    may hold {model} and {name}. `add_path`, `remove_path`: where it is asked.

    `environment`: what lets it take adapters while it runs. `is_bound_to_layers`: only those its first ones change.
    """

    flag: str
    called: str
    written: Callable[[str, Adapter, str], str]
    add_path: str
    remove_path: str
    environment: Mapping[str, str]
    is_bound_to_layers: bool
    ranks: tuple[int, ...] = ()
    is_told_at_start: bool = True

    def check(self, adapter: Adapter, model: Path) -> None:
        check_folder(adapter.path)

    def arguments(self, spec: Spec) -> tuple[str, ...]:
        """What its command is given; nothing where there are no adapters: room for them costs memory."""
        if not spec.adapters:
            return ()
        written = (self.written(self._name(spec.model, one), one, spec.model) for one in spec.adapters)
        rank = next((size for size in self.ranks if size >= rank_in(spec.adapters)), None)
        largest = ("--max-lora-rank", str(rank)) if rank is not None else ()
        return ("--enable-lora", *largest, self.flag, *written)

    def can_become(self, given: Sequence[Adapter], wanted: Sequence[Adapter]) -> bool:
        if set(wanted) <= set(given):
            return True
        fits_layers = not self.is_bound_to_layers or layers_in(wanted) <= layers_in(given)
        # Up to the lowest size there is room in any case.
        room = next((size for size in self.ranks if size >= rank_in(given)), rank_in(given))
        return bool(given) and rank_in(wanted) <= room and fits_layers

    def add(self, model: str, adapter: Adapter) -> Order:
        body = {"lora_name": self._name(model, adapter), "lora_path": str(adapter.path)}
        return Order(method="POST", path=self.add_path, body=body)

    def remove(self, model: str, adapter: Adapter) -> Order:
        return Order(method="POST", path=self.remove_path, body={"lora_name": self._name(model, adapter)})

    def fields(self, given: Sequence[Adapter], name: str | None) -> Mapping[str, object]:
        """Both know `model:adapter` as callers write it."""
        return PLAIN

    def _name(self, model: str, adapter: Adapter) -> str:
        return self.called.format(model=model, name=adapter.name)


@dataclass(frozen=True, slots=True)
class TgiAdapters:
    """TGI takes its adapters at its start alone, and an answer's from the name of its request's model. It reads any
    other name as the model alone.

    https://huggingface.co/docs/text-generation-inference/conceptual/lora
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    is_told_at_start: bool = True

    def check(self, adapter: Adapter, model: Path) -> None:
        check_folder(adapter.path)
        if set(str(adapter.path)) & set(TGI_SIGNS):
            raise CannotAdapt(f"{adapter.path} cannot be said to TGI, which splits it at any of {TGI_SIGNS}")

    def arguments(self, spec: Spec) -> tuple[str, ...]:
        said = ",".join(f"{spec.model}:{one.name}={one.path}" for one in spec.adapters)
        return ("--lora-adapters", said) if said else ()

    def can_become(self, given: Sequence[Adapter], wanted: Sequence[Adapter]) -> bool:
        return set(given) == set(wanted)

    def add(self, model: str, adapter: Adapter) -> Order:
        raise NotImplementedError("TGI takes no adapter while it runs")

    def remove(self, model: str, adapter: Adapter) -> Order:
        raise NotImplementedError("TGI keeps its adapters while it runs")

    def fields(self, given: Sequence[Adapter], name: str | None) -> Mapping[str, object]:
        return PLAIN


def rank_in(adapters: Sequence[Adapter]) -> int:
    return max((rank_of(one.path) for one in adapters), default=0)


def layers_in(adapters: Sequence[Adapter]) -> frozenset[str]:
    return frozenset[str]().union(*(modules_of(one.path) for one in adapters))


def in_json(name: str, adapter: Adapter, model: str) -> str:
    """vLLM splits the shorter form, name=path, at every sign of it."""
    return json.dumps({"name": name, "path": str(adapter.path), "base_model_name": model})


def in_short(name: str, adapter: Adapter, model: str) -> str:
    return f"{name}={adapter.path}"


# https://docs.vllm.ai/en/latest/features/lora/
VLLM = ServerAdapters(
    flag="--lora-modules",
    called="{model}:{name}",
    written=in_json,
    add_path="/v1/load_lora_adapter",
    remove_path="/v1/unload_lora_adapter",
    environment={"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"},
    is_bound_to_layers=False,
    ranks=RANKS,
)

# https://docs.sglang.io/advanced_features/lora.html
# It reads what stands behind a colon in a request's model as the name of an adapter.
SGLANG = ServerAdapters(
    flag="--lora-paths",
    called="{name}",
    written=in_short,
    add_path="/load_lora_adapter",
    remove_path="/unload_lora_adapter",
    environment={},
    is_bound_to_layers=True,
)

TGI = TgiAdapters()
