"""What a source of the configuration names, and whom it is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.engines.fakes import FakeEngine, gguf

from farmgate.app.declaring import declared
from farmgate.config.schema import LocalModel
from farmgate.core.errors import EngineUnavailable, InvalidValue, ModelNotCapable, ModelNotFound
from farmgate.core.model import Capability
from farmgate.core.ports import Purpose
from farmgate.engines.declared import Declared
from farmgate.engines.engine import Batch
from farmgate.engines.found import Found, find_source, why_not_found
from farmgate.engines.lifecycle import Engines
from farmgate.engines.needs import expected_bytes
from farmgate.engines.pulling.weights import ModelStore
from farmgate.engines.python.engine import Python
from farmgate.engines.versions import Options, Versions


def nobody(_: str) -> Path | None:
    return None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A class, a graph, an exported folder, a checkpoint with a graph beside its weights, graphs of no usual name."""
    (tmp_path / "own.py").write_text("class Model:\n    def chat(self, messages): ...")
    (tmp_path / "graph.onnx").write_bytes(b"graph")
    for name in (
        *("exported/onnx/model.onnx", "checkpoint/model.onnx", "checkpoint/model.safetensors"),
        *("single/any.onnx", "several/a.onnx", "several/b.onnx"),
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"12345")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "engine", "found"),
    [
        ("own.py:Model", None, ("own.py", "python", "Model")),
        ("own.py:Model", "python", ("own.py", "python", "Model")),
        ("own.py:Model", "onnx", None),
        ("own.py", "python", None),
        ("other.py:Model", None, None),
        ("own.py:not a name", None, None),
        ("graph.onnx", None, ("graph.onnx", "onnx", "")),
        ("other.onnx", None, None),
        ("exported", None, ("exported/onnx/model.onnx", "onnx", "")),
        ("single", None, ("single/any.onnx", "onnx", "")),
        ("several", None, None),
        ("checkpoint", None, None),
        ("checkpoint", "onnx", ("checkpoint/model.onnx", "onnx", "")),
    ],
)
def test_a_source_is_a_class_or_a_graph(
    folder: Path, text: str, engine: str | None, found: tuple[str, str, str] | None
) -> None:
    seen = find_source(str(folder / text), engine, nobody)
    if found is None:
        assert seen is None
    else:
        path, whom, attribute = found
        assert seen == Found(path=(folder / path).resolve(), engine=whom, attribute=attribute)


def test_what_is_neither_is_looked_up_as_weights(folder: Path) -> None:
    known = folder / "known.gguf"
    assert find_source("pulled", None, lambda _: known) == Found(path=known, engine="llamacpp")
    assert find_source("pulled", "python", lambda _: known) is None


def declared_of(folder: Path, **entries: object) -> Mapping[str, Declared]:
    return {name: declared(name, LocalModel.model_validate(entry), folder) for name, entry in entries.items()}


def test_paths_count_from_the_configuration_and_a_batch_lets_two_in(folder: Path) -> None:
    told = declared_of(
        folder,
        code={"source": "own.py:Model", "maxBatch": 8, "maxWaitMs": 0},
        graph={"source": "./single"},
        few={"source": "graph.onnx", "parallel": 3},
        text={"source": "./chat.gguf"},
        pulled={"source": "starter"},
        gpu={"source": "own.py:Model", "device": "gpu"},
    )
    assert told["code"].versions == {"1": str(folder / "own.py:Model")}
    assert (told["code"].engine, told["code"].parallel, told["code"].device) == ("python", 16, "cpu")
    assert told["code"].batch == Batch(most=8, wait_ms=0)
    assert (told["graph"].engine, told["graph"].parallel, told["graph"].device) == ("onnx", 64, "auto")
    assert told["few"].parallel == 3
    assert (told["text"].engine, told["text"].parallel) == (None, None)
    assert told["pulled"].versions == {"1": "starter"}
    assert told["gpu"].device == "gpu"


class Here:
    """Versions of `code` and `text`, and a pulled model."""

    def __init__(self, folder: Path) -> None:
        (folder / "pulled.gguf").write_bytes(gguf())
        self.text = FakeEngine()
        self.engines: dict[str, Python | FakeEngine] = {"llamacpp": self.text, "python": Python()}
        self.versions = Versions(ModelStore(folder, sources=()), self.engines, Options(threads=1))
        self.versions.declared = declared_of(
            folder,
            code={"versions": {"1": "own.py:Model", "2": "own.py:Other"}},
            text={"source": "./pulled.gguf"},
            gone={"source": "gone.py:Model"},
        )


@pytest.fixture
def here(folder: Path) -> Here:
    return Here(folder)


def test_one_process_of_code_does_all_that_its_class_can(here: Here) -> None:
    code, text = here.versions.current("code"), here.versions.current("text")
    assert (code.path.name, code.attribute, code.engine.name) == ("own.py", "Model", "python")
    assert here.versions.labelled("code", "2").attribute == "Other"
    assert {code.purpose(purpose) for purpose in Purpose} == {Purpose.INFER}
    assert text.purpose(Purpose.EMBED) is Purpose.EMBED
    with pytest.raises(ModelNotCapable, match="takes no tensors"):
        text.purpose(Purpose.INFER)


@pytest.mark.parametrize(
    ("lacks", "purpose"),
    [
        ({Capability.RERANK}, Purpose.GENERATE),
        ({Capability.CHAT, Capability.RERANK}, Purpose.EMBED),
        ({Capability.CHAT, Capability.EMBEDDING}, Purpose.RERANK),
    ],
)
def test_before_anybody_asks_it_is_started_for_what_it_can(
    here: Here, lacks: set[Capability], purpose: Purpose
) -> None:
    assert replace(here.versions.current("text"), lacks=frozenset(lacks)).first is purpose


def test_a_pulled_file_is_no_version_of_code(here: Here) -> None:
    with pytest.raises(InvalidValue, match="there is 1, 2"):
        here.versions.labelled("code", "pulled")


def test_code_that_is_not_there_is_told_and_not_listed(here: Here) -> None:
    with pytest.raises(ModelNotFound, match="which is not there"):
        here.versions.current("gone")
    assert [one.name for one in here.versions.models()] == ["code", "pulled", "text"]


@pytest.mark.parametrize("text", ["~nobody-is-called-so/m.gguf", "~nobody-is-called-so/m.py:Model", "x" * 256, "a\0b"])
def test_what_cannot_even_be_looked_for_is_not_there_and_hides_no_other(here: Here, folder: Path, text: str) -> None:
    here.versions.declared = declared_of(folder, strange={"source": text})
    assert [one.name for one in here.versions.models()] == ["pulled"]
    with pytest.raises(ModelNotFound, match="the files of strange 1 are not there"):
        here.versions.current("strange")


def test_a_model_that_lacks_one_of_its_files_is_in_no_list_and_hides_no_other(here: Here, folder: Path) -> None:
    (folder / "half-00001-of-00002.gguf").write_bytes(gguf())
    here.versions.declared = declared_of(folder, half={"source": "./half-00001-of-00002.gguf"})
    assert [one.name for one in here.versions.models()] == ["pulled"]


def test_of_code_no_context_is_known_and_what_its_file_rules_out(here: Here) -> None:
    by_name = {one.name: one for one in here.versions.models()}
    assert by_name["code"].context_tokens is None
    assert by_name["code"].lacks == {Capability.COMPLETION, Capability.EMBEDDING, Capability.INFER}
    assert Capability.VISION in by_name["text"].lacks


def test_an_engine_is_missing_where_all_the_models_need_it(here: Here) -> None:
    here.text.missing_text = "install it"
    assert here.versions.missing() is None
    here.versions.declared = {}
    assert here.versions.missing() == "install it"


def test_nothing_to_install_is_told_where_there_is_no_model_yet_but_the_engine_for_text(tmp_path: Path) -> None:
    text = FakeEngine()
    text.missing_text = "install it"
    versions = Versions(ModelStore(tmp_path, sources=()), {"llamacpp": text, "python": Python()}, Options(threads=1))
    assert versions.missing() == "install it"


async def test_what_answers_is_told_without_starting_it(folder: Path) -> None:
    engines = Engines(ModelStore(folder, sources=()), log_directory=folder, engines={"python": Python()})
    engines.declare(declared_of(folder, code={"versions": {"1": "own.py:Model", "2": "own.py:Other"}, "version": 2}))
    served = engines.served("code")
    assert (served.version, served.infers, served.is_ready, served.engine) == ("2", True, False, "python")
    assert engines.states() == ()
    with pytest.raises(ModelNotFound):
        engines.served("other")
    await engines.close()


def test_a_graph_takes_its_file_and_those_beside_it_that_bear_its_name(folder: Path) -> None:
    (folder / "graph.onnx.data").write_bytes(b"x" * 1000)
    spec = Here(folder).versions.current("code").spec(Purpose.INFER)
    graph = type(spec)(
        model="g", path=folder / "graph.onnx", purpose=Purpose.INFER, context_tokens=1, parallel=1, threads=1
    )
    assert expected_bytes(graph) == int(1005 * 1.1) + (64 << 20)


def test_an_engine_that_nobody_knows_is_told(here: Here) -> None:
    here.versions.declared = {"x": Declared(name="x", versions={"1": "pulled"}, version="1", engine="none")}
    with pytest.raises(EngineUnavailable, match="there is no engine 'none'"):
        here.versions.current("x")


@pytest.mark.parametrize(
    "text", [f"./{'x' * 300}", f"./{'x' * 300}.onnx", f"./{'x' * 300}.py:Model", "~nobody-at-all/x"]
)
def test_what_may_not_be_looked_at_is_not_there_and_stops_nobody(text: str) -> None:
    assert find_source(text, None, nobody) is None
    assert why_not_found(text).startswith("cannot be read: ")


@pytest.mark.parametrize("is_folder", [True, False])
def test_what_is_not_open_to_us_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch, is_folder: bool) -> None:
    def closed(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    def unreadable(*_: object) -> bool:
        return False

    path = folder / ("exported" if is_folder else "graph.onnx")
    monkeypatch.setattr("os.access", unreadable)
    assert why_not_found(str(path)) == "cannot be read: permission denied"
    monkeypatch.setattr(Path, "is_file", closed)
    assert find_source(str(path), None, nobody) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("gone/x.gguf", "is not there"),
        ("several", "has neither a config.json with"),
        ("text.gguf", "does not begin as GGUF files do"),
        ("word", "is neither a pulled model, nor"),
    ],
)
def test_why_a_source_was_not_found_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, why: str) -> None:
    (folder / "text.gguf").write_text("hello")
    monkeypatch.chdir(folder)
    assert why_not_found(text).startswith(why)
