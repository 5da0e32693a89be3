"""What a class certainly cannot is read from its file; where it may have more than is written there, nothing is."""

from __future__ import annotations

from pathlib import Path

import pytest

from farmgate.core.model import Capability
from farmgate.engines.python.reading import lacks_of, methods_in

PLAIN = "class Model:\n    def load(self): ...\n    def predict(self, inputs): ...\n"


@pytest.mark.parametrize(
    ("source", "methods"),
    [
        (PLAIN, {"load", "predict"}),
        (PLAIN.replace("Model:", "Model(object):"), {"load", "predict"}),
        ("class Model:\n    def stream(self, x): yield x\n    async def chat(self, x): ...", {"stream", "chat"}),
        (PLAIN.replace("Model:", "Model(Base):"), None),
        (PLAIN.replace("Model:", "Model(metaclass=Meta):"), None),
        (f"@more\n{PLAIN}", None),
        (f"{PLAIN}    chat = predict\n", None),
        (f"{PLAIN}    def __init__(self): self.embed = open\n", None),
        (f"{PLAIN}    def __getattr__(self, name): ...\n", None),
        (f"{PLAIN}    def __init__(self): setattr(self, 'embed', open)\n", None),
        (PLAIN + PLAIN, None),
        ("Model = 1", None),
        (f"if True:\n    {PLAIN.splitlines()[0]} ...", None),
    ],
)
def test_the_methods_of_a_class_are_those_it_writes(source: str, methods: set[str] | None) -> None:
    assert methods_in(source.encode(), "Model") == methods


def test_nothing_of_it_is_run(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(f"open({str(tmp_path / 'run')!r}, 'w')\n{PLAIN}")
    assert lacks_of(file, "Model") == {Capability.CHAT, Capability.COMPLETION, Capability.EMBEDDING}
    assert not (tmp_path / "run").exists()


def test_a_file_that_has_changed_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(PLAIN)
    assert Capability.EMBEDDING in lacks_of(file, "Model")
    file.write_text(f"{PLAIN}    def embed(self, texts): ...\n")
    assert Capability.EMBEDDING not in lacks_of(file, "Model")


@pytest.mark.parametrize("text", ["class Model\n", "\0", "(" * 5000])
def test_of_what_cannot_be_read_nothing_is_said(tmp_path: Path, text: str) -> None:
    file = tmp_path / "own.py"
    file.write_text(text)
    assert lacks_of(file, "Model") == frozenset()
    assert lacks_of(tmp_path / "other.py", "Model") == frozenset()
