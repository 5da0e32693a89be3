"""LoRA adapters: each answers under a name of its own, and the model alone is what it was before and after."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.live.engines.reference import Reference
from tests.live.engines.running import MODELS, Running, asked, at_once, starting
from tools.guide_model.words import everything

peft: Any = pytest.importorskip("peft")

QUESTION = everything(1).question


class Adapted(Reference):
    """The guide with an adapter that nobody taught: it says something else, and always the same."""

    def __init__(self, seed: int, folder: Path) -> None:
        super().__init__(MODELS / "guide-1")
        config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
        tuned = peft.get_peft_model(self.model, config)
        torch.manual_seed(seed)
        for name, weights in self.model.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(weights, std=0.1)
        tuned.save_pretrained(folder)


@pytest.fixture(scope="module")
def law(tmp_path_factory: pytest.TempPathFactory) -> tuple[Adapted, Path]:
    folder = tmp_path_factory.mktemp("adapters") / "law-1.2"
    return Adapted(1, folder), folder


def said(running: Running, model: str) -> str:
    return running.said(QUESTION, model=model, max_tokens=60)


def test_an_adapter_answers_beside_the_model_alone(
    law: tuple[Adapted, Path], reference: Reference, tmp_path: Path
) -> None:
    adapted, folder = law
    plain, other = reference.chat(QUESTION, most_tokens=60)[0], adapted.chat(QUESTION, most_tokens=60)[0]
    assert plain != other
    with starting(MODELS / "guide-1", tmp_path) as running:
        running.post("/adapters", {"path": str(folder), "name": "law"})
        names = ["guide-1", "guide-1:law"] * 4
        told = at_once([lambda name=name: said(running, name) for name in names])  # type: ignore[misc]
        assert told == [plain, other] * 4


def test_an_adapter_comes_and_goes_while_others_are_written(
    guide: Running, law: tuple[Adapted, Path], reference: Reference
) -> None:
    adapted, folder = law
    plain, other = reference.chat(QUESTION)[0], adapted.chat(QUESTION, most_tokens=60)[0]
    with guide.streaming("/v1/chat/completions", asked(QUESTION)) as long:
        next(long)
        assert guide.post("/adapters", {"path": str(folder), "name": "law"}) == {"id": "guide-1:law"}
        rest = list(long)
    assert rest[-1] == "[DONE]"
    assert said(guide, "guide-1:law") == other
    assert guide.said(QUESTION) == plain
    _, told = guide.call("GET", "/v1/models")
    assert [each["id"] for each in told["data"]] == ["guide-1", "guide-1:law"]
    status, answer = at_once(
        [lambda: guide.call("DELETE", "/adapters/law"), lambda: guide.call("POST", "/v1/completions", {"prompt": "x"})]
    )
    assert status == (200, {"deleted": True})
    assert answer[0] == 200
    assert guide.said(QUESTION) == plain
    assert guide.call("POST", "/v1/chat/completions", asked("x", model="guide-1:law"))[0] == 404


def test_what_is_no_adapter_of_this_model_changes_nothing(
    guide: Running, law: tuple[Adapted, Path], reference: Reference, tmp_path: Path
) -> None:
    folder = tmp_path / "wrong"
    shutil.copytree(law[1], folder)
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    status, told = guide.call("POST", "/adapters", {"path": str(folder), "name": "wrong"})
    assert (status, told["error"]["code"]) == (400, "cannot_load")
    assert guide.call("POST", "/adapters", {"path": str(tmp_path / "none"), "name": "none"})[0] == 400
    assert guide.said(QUESTION) == reference.chat(QUESTION)[0]
