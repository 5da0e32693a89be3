"""A store, the fake hub it pulls from, and what that hub has: for the tests of pulls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.fakes.hub import FakeHub
from tests.unit.engines.fakes import gguf

from farmgate.engines.pulling.hub import Hub
from farmgate.engines.pulling.sources import Stop
from farmgate.engines.pulling.weights import ModelStore

MODEL = gguf(filler=700_000)
OTHER = gguf(context=77, filler=5_000)
CHECKPOINT = {
    "config.json": json.dumps({"model_type": "llama", "max_position_embeddings": 512}).encode(),
    "tokenizer.json": json.dumps({"words": ["x" * 3000]}).encode(),
    "model.safetensors": bytes(range(256)) * 1000,
    "README.md": b"read me",
    "modeling_owner.py": b"raise SystemExit",
}


class Waits:
    """In the place of waiting."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, _: Stop, seconds: float) -> None:
        self.seconds.append(seconds)


def store(directory: Path, fake: FakeHub, *, token: str | None = None, free: int = 1 << 40, **more: Any) -> ModelStore:
    hub = Hub(fake.url, token=token, wait=more.pop("wait", Waits()), **more)
    return ModelStore(directory, hub=hub, free_bytes=lambda _: free)


def note(directory: Path, name: str) -> Any:
    return json.loads((directory / f"{name}.json").read_text())


def is_as_large(path: Path, size: int) -> bool:
    return path.exists() and path.stat().st_size >= size


def visible(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if not path.name.startswith("."))
