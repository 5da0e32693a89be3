"""Adapters made of a few bytes, and a fake of how an engine takes them."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.unit.engines.fakes import FakeEngine, text

from farmgate.engines.adapters import Adapter, CannotAdapt, Order
from farmgate.engines.asking import NoAnswer
from farmgate.engines.leases import Address

__all__ = ["FakeTaking", "Orders", "TakingEngine", "folder_adapter", "gguf_adapter"]


def folder_adapter(folder: Path, *, rank: int = 8, modules: Sequence[str] = ("q_proj",), **more: object) -> Adapter:
    folder.mkdir(parents=True)
    config = {"peft_type": "LORA", "r": rank, "target_modules": list(modules), **more}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    return Adapter(folder.name, folder)


def gguf_adapter(path: Path, *, kind: str | None = "adapter", architecture: str = "llama") -> Adapter:
    told = {"general.type": kind, "general.architecture": architecture}
    pairs = [text(key) + struct.pack("<I", 8) + text(value) for key, value in told.items() if value is not None]
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + b"".join(pairs))
    return Adapter(path.stem, path)


@dataclass
class FakeTaking:
    """Takes any adapter, while it runs or at its start alone. A path that ends in `broken` is refused."""

    is_told_at_start: bool = False
    adapts_while_it_runs: bool = True

    def check(self, adapter: Adapter, model: Path) -> None:
        if adapter.path.name == "broken":
            raise CannotAdapt(f"{adapter.path} is broken")

    def can_become(self, given: Sequence[Adapter], wanted: Sequence[Adapter]) -> bool:
        return self.adapts_while_it_runs or set(given) == set(wanted)

    def add(self, model: str, adapter: Adapter) -> Order:
        return Order(method="POST", path="/add", body={"name": f"{model}:{adapter.name}", "path": str(adapter.path)})

    def remove(self, model: str, adapter: Adapter) -> Order:
        return Order(method="POST", path="/remove", body={"name": f"{model}:{adapter.name}"})

    def fields(self, given: Sequence[Adapter], name: str | None) -> Mapping[str, object]:
        return {"given": [one.name for one in given], "wants": name} if self.is_told_at_start else {}


@dataclass
class Orders:
    """Carries out nothing and remembers it. Fails for the names in `fails`, with what they say."""

    done: list[str] = field(default_factory=list)
    fails: dict[str, str] = field(default_factory=dict)

    async def __call__(self, address: Address, order: Order) -> None:
        name = str(order.body["name"])
        if name in self.fails:
            raise NoAnswer(self.fails[name])
        self.done.append(f"{order.path} {name}")


class TakingEngine(FakeEngine):
    """fake_engine.py, which takes adapters."""

    def __init__(self, taking: FakeTaking) -> None:
        super().__init__()
        self.taking = taking
