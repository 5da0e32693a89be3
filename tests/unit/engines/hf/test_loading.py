"""Where a model is put while it is loaded: libraries that are not there are stood in for."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from farmgate.core.ports import Purpose
from farmgate.engines.engine import Gpus, Spec
from farmgate.engines.hf.folder import CannotLoad
from farmgate.engines.hf.loading import load

GUIDE = Path(__file__).parents[3] / "models" / "guide-1"


class Library:
    """torch and transformers on a machine with so many GPUs; writes down how a model was asked for."""

    def __init__(self, gpus: int, places: dict[str, object]) -> None:
        self.told: dict[str, Any] = {}
        self.places = places
        cuda = SimpleNamespace(is_available=lambda: gpus > 0, device_count=lambda: gpus)
        self.torch = SimpleNamespace(
            cuda=cuda, set_num_threads=lambda _: None, float32="float32", bfloat16="bfloat16", float16="float16"
        )
        self.transformers = SimpleNamespace(
            logging=SimpleNamespace(set_verbosity_error=lambda: None),
            AutoTokenizer=SimpleNamespace(from_pretrained=lambda *_, **__: SimpleNamespace(eos_token_id=2)),
            AutoModelForCausalLM=self,
        )

    def from_pretrained(self, _: Path, **told: Any) -> Any:
        self.told = told
        text = SimpleNamespace(max_position_embeddings=64)
        config = SimpleNamespace(get_text_config=lambda: text)
        model = SimpleNamespace(config=config, dtype=told["dtype"], requires_grad_=lambda **_: None)
        if self.places:
            model.hf_device_map = self.places
        model.eval = lambda: model
        return model


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    library = Library(2, {"model.layers.0": 0, "model.layers.1": 1})
    for name in ("torch", "transformers"):
        # A module of this name may be the real one: it comes back.
        monkeypatch.setitem(sys.modules, name, stand_in(name, getattr(library, name)))
    return library


def stand_in(name: str, like: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(vars(like))
    return module


def spec(count: int, device: str = "auto") -> Spec:
    return Spec(
        model="m", path=GUIDE, purpose=Purpose.GENERATE, context_tokens=64, parallel=1, threads=1, device=device,
        gpus=Gpus(count=count),
    )  # fmt: skip


def test_it_is_on_one_device_unless_it_was_given_several(library: Library) -> None:
    loaded = load(spec(1), dtype="auto", quantize="none")
    assert (library.told["device_map"], loaded.device) == ({"": "cuda:0"}, "cuda:0")
    loaded = load(spec(2), dtype="auto", quantize="none")
    assert (library.told["device_map"], loaded.device) == ("balanced", "cuda:0")
    library.places = {}
    load(spec(2), dtype="auto", quantize="none")
    load(spec(0, "cpu"), dtype="auto", quantize="none")
    assert library.told["device_map"] == {"": "cpu"}


def test_what_found_no_room_on_its_gpus_is_not_computed_from_disk(library: Library) -> None:
    library.places["model.layers.1"] = "disk"
    with pytest.raises(CannotLoad, match="1 of 2 parts of the model have no room on its GPUs"):
        load(spec(2), dtype="auto", quantize="none")
    library.places["model.layers.1"] = "cpu"
    with pytest.raises(CannotLoad, match="say `memoryMib`"):
        load(spec(2), dtype="auto", quantize="none")
