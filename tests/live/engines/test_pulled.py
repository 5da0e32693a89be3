"""A checkpoint that was pulled from a hub, as it lies in the store, answers behind a real gate."""

from __future__ import annotations

from pathlib import Path

from tests.fakes.hub import running
from tests.journey.gate import RealGate
from tools.guide_model.words import held_out

FOLDER = Path(__file__).resolve().parents[2] / "models" / "guide-1"


def test_a_pulled_checkpoint_answers_by_its_name_and_by_that_of_the_configuration(tmp_path: Path) -> None:
    with running() as fake:
        files = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
        fake.add("owner/guide", {**files, "modeling_guide.py": b"raise SystemExit", "pytorch_model.bin": b"\x80"})
        gate = RealGate(tmp_path, config={"models": {"guide": {"source": "hf:owner/guide", "threads": 1}}})
        gate.environment["HF_ENDPOINT"] = fake.url
        code, _, err = gate.command("pull", "guide")
        assert code == 0, err
    with gate.start():
        entry = held_out(1)[0]
        for model in ("guide", "owner--guide"):
            asked = {"model": model, "messages": [{"role": "user", "content": entry.question}], "temperature": 0}
            answer = gate.call("POST", "/v1/chat/completions", asked)
            assert answer.status == 200, answer.body
            assert answer.json["choices"][0]["message"]["content"] == entry.answer
