"""What a class certainly cannot is read from its file; where it may have more than is written there, nothing is."""

from __future__ import annotations

from pathlib import Path

import pytest

from farmgate.core.model import Capability
from farmgate.engines.python.reading import lacks_of, methods_in, why_no_model

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


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (PLAIN, None),
        (PLAIN.replace("Model", "Other"), "there is no class 'Model' in own.py: there is Other"),
        ("", "there is no class 'Model' in own.py: there is none"),
        ("class Model:\n    def predict(self)\n", "own.py:2 is no Python: expected ':'"),
        ("class Model:\n    def load(self): ...\n", "Model in own.py has none of chat, stream, embed, predict"),
        ("class Model(Base): ...", None),
        ("from elsewhere import Model", None),
        ("from elsewhere import Other as Model", None),
        ("from elsewhere import *", None),
        ("Model = made()", None),
        ("globals()['Mo' + 'del'] = made()", None),
        ("def __getattr__(name): ...", None),
        (f"try:\n    import fast\nexcept ImportError:\n    {PLAIN.splitlines()[0]} ...", None),
        ("\0", "own.py is no Python: source code string cannot contain null bytes"),
    ],
)
def test_what_is_certainly_no_model_is_told(tmp_path: Path, source: str, why: str | None) -> None:
    file = tmp_path / "own.py"
    file.write_text(source)
    assert why_no_model(file, "Model") == why
    assert why_no_model(tmp_path / "gone.py", "Model") is None


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
