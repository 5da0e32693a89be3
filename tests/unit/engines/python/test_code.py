"""A class of somebody else's: found, loaded, called; what it raises is its own, and in its log alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from farmgate.core.errors import InvalidValue, ModelFailed
from farmgate.engines.launching import CANNOT_LOAD
from farmgate.engines.python.code import CannotLoad, Code, load
from farmgate.engines.python.engine import Python


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """What is imported here is forgotten after."""
    modules, path = set(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - modules:
        del sys.modules[name]
    sys.path[:] = path


def written(folder: Path, text: str, name: str = "own_model.py") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def why_not(file: Path, name: str = "Model") -> str:
    with pytest.raises(CannotLoad) as refusal:
        load(file, name, model="m")
    return str(refusal.value)


GOOD = """
class Base:
    def predict(self, inputs):
        return [one + self.more for one in inputs]

class Model(Base):
    def load(self):
        self.more = 1

class Other: ...
"""


def test_a_class_is_made_and_loaded_and_its_methods_are_known(tmp_path: Path) -> None:
    code = load(written(tmp_path, GOOD), "Model", model="m")
    assert code.can == ("predict",)
    assert code.call("predict", [1, 2]) == [2, 3]


def test_a_file_beside_it_can_be_imported_and_hides_no_library(tmp_path: Path) -> None:
    written(tmp_path, "MORE = 41", "own_words.py")
    written(tmp_path, "raise RuntimeError", "colorsys.py")
    text = "import own_words, colorsys\nclass Model:\n    def embed(self, texts): return [own_words.MORE, colorsys]"
    code = load(written(tmp_path, text), "Model", model="m")
    more, library = cast("list[Any]", code.call("embed", []))
    assert more == 41
    assert hasattr(library, "rgb_to_hsv")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (GOOD.replace("class Model", "class Modell"), "no class 'Model' in own_model.py: there is Base, Modell, Other"),
        ("Model = 1", "no class 'Model' in own_model.py: there is none"),
        ("class Model: ...", "has none of predict, stream, chat, embed"),
        ("import nowhere_at_all\n", "importing own_model.py raised ModuleNotFoundError at own_model.py:1"),
        ("class Model\n", "importing own_model.py raised SyntaxError at own_model.py:1"),
        ("\nraise SystemExit(3)", "importing own_model.py raised SystemExit at own_model.py:2"),
        ("raise KeyboardInterrupt", "importing own_model.py raised KeyboardInterrupt at own_model.py:1"),
        ("class Model:\n    def __init__(self): 1 / 0", "Model() raised ZeroDivisionError at own_model.py:2"),
        ("class Model:\n    def __init__(self, path): ...", "Model() raised TypeError: it is called without arguments"),
        (
            "class Model:\n    def load(self):\n        open('/its/secret')\n    predict = load",
            "load() raised FileNotFoundError at own_model.py:3",
        ),
    ],
)
def test_what_cannot_be_loaded_is_told_by_its_place(tmp_path: Path, text: str, why: str) -> None:
    told = why_not(written(tmp_path, text))
    assert why in told
    assert "secret" not in told


@pytest.mark.parametrize("name", ["json.py", "pytest.py", "two words.py"])
def test_a_file_with_the_name_of_a_library_is_refused(tmp_path: Path, name: str) -> None:
    assert "call the file otherwise" in why_not(written(tmp_path, GOOD, name))


class Raises:
    """Each method fails in its own way."""

    def predict(self, inputs: list[object]) -> list[object]:
        raise KeyError("what a caller sent")

    def stream(self, prompt: object, temperature: float = 1.0, *rest: object) -> Iterator[str]:
        raise InvalidValue("`prompt` must rhyme.", param="prompt")

    def chat(self, messages: object, **options: object) -> str:
        sys.exit("what a caller sent")

    def embed(self, texts: list[str]) -> list[object]:
        raise StopIteration

    def panic(self, _: object) -> None:
        raise GeneratorExit


CODE = Code(Raises(), model="m", path=Path(__file__))


@pytest.mark.parametrize(
    ("method", "kind"),
    [("predict", "KeyError"), ("chat", "SystemExit"), ("embed", "StopIter"), ("panic", "GeneratorExit")],
)
def test_what_code_raises_is_told_by_its_kind_and_logged_whole(
    method: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelFailed) as failure:
        CODE.call(method, ["what a caller sent"])
    assert failure.value.status == 502
    assert f"{method} raised {kind}" in failure.value.message
    assert "caller sent" not in failure.value.message
    assert failure.value.__context__ is None
    log = capsys.readouterr().err
    assert f"in {method}" in log
    assert kind in log


def test_a_class_can_tell_its_caller_what_is_wrong() -> None:
    with pytest.raises(InvalidValue, match="must rhyme"):
        CODE.call("stream", "x")


def test_a_method_gets_the_options_that_it_takes() -> None:
    told = {"temperature": 0.5, "seed": 1, "rest": 2, "messages": 3}
    assert CODE.options("stream", told) == {"temperature": 0.5}
    assert CODE.options("chat", told) == told


def test_the_line_that_tells_why_is_read_from_the_end_of_the_log() -> None:
    log = f"Traceback (most recent call last):\nKeyError: 'secret'\n{CANNOT_LOAD}load() raised KeyError at m.py:3\n"
    assert Python().complaint(log) == "the class could not be used: load() raised KeyError at m.py:3"
    assert Python().complaint("Segmentation fault\n") is None
