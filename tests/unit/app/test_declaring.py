"""What certainly cannot be served is told, every version and adapter of it, and stops nobody."""

from __future__ import annotations

from pathlib import Path

from tests.unit.app.test_entries import config
from tests.unit.engines.adapting import gguf_adapter
from tests.unit.engines.fakes import FakeEngine, gguf

from farmgate.app.declaring import absent_models, declared_models
from farmgate.engines.adapters import Taking
from farmgate.engines.llamacpp import GgufAdapters
from farmgate.engines.pulling.weights import ModelStore
from farmgate.engines.transformers import PeftAdapters


class Installed(FakeEngine):
    """Takes adapters as an engine of ours does, and is there on every machine."""

    def __init__(self, taking: Taking, *, absent: str | None = None) -> None:
        super().__init__()
        self.taking, self.missing_text = taking, absent


HERE = {"llamacpp": Installed(GgufAdapters()), "transformers": Installed(PeftAdapters())}


def test_each_version_whose_files_are_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("class Model:\n    def predict(self, inputs): ...\n")
    (tmp_path / "empty").mkdir()
    text = (
        "models:\n  chat: {versions: {1: 'own.py:Model', 2: ./gone.gguf}}\n  empty: ./empty\n"
        f"  long: {'x' * 251}.gguf\n  home: ~nobody-at-all/x\n  far: 'hf:owner/name'\n"
    )
    told = list(absent_models(declared_models(config(tmp_path, text)), lambda _: None))
    assert [one.split(":")[0] for one in told] == [
        "the files of chat 2 are not there",
        "the files of empty 1 are not there",
        "the files of long 1 are not there",
        "the files of home 1 are not there",
        "the files of far 1 are not there",
    ]
    assert told[-1].endswith("which is not pulled yet: farmgate pull far")


def test_adapters_that_are_none_are_told(tmp_path: Path) -> None:
    (tmp_path / "chat.gguf").write_bytes(gguf())
    gguf_adapter(tmp_path / "good.gguf")
    text = (
        "models:\n  chat: {source: ./chat.gguf, adapters: {good: ./good.gguf, model: ./chat.gguf, gone: ./gone.gguf}}\n"
        "  folder: {source: ./folder, adapters: {gone: ./gone, none: ./none}}\n"
        "  absent: {source: ./absent.gguf, adapters: {gone: ./gone.gguf}}\n"
    )
    for name in ("folder", "none"):
        (tmp_path / name).mkdir()
    (tmp_path / "folder" / "config.json").write_text("{}")
    (tmp_path / "folder" / "model.safetensors").write_bytes(b"weights")
    known = ModelStore(tmp_path, sources=()).source
    told = "".join(f"{reason}\n" for reason in absent_models(declared_models(config(tmp_path, text)), known, HERE))
    assert told.replace(str(tmp_path), "") == (
        "the adapter model of chat cannot be used: /chat.gguf is not an adapter but a model: give the file of the "
        "adapter\n"
        "the adapter gone of chat is not there: /gone.gguf\n"
        "the adapter gone of folder is not there: /gone\n"
        "the adapter none of folder cannot be used: /none has no adapter_config.json that can be read: is it the "
        "folder of an adapter?\n"
        "the files of absent 1 are not there: models.absent names '/absent.gguf', which is not there\n"
    )


def test_a_class_that_its_file_certainly_has_not_is_told(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("class Model:\n    def predict(self, inputs): ...\n")
    text = "models:\n  good: ./own.py:Model\n  bad: {versions: {1: './own.py:Model', 2: './own.py:Modell'}}\n"
    assert list(absent_models(declared_models(config(tmp_path, text)), lambda _: None)) == [
        "bad 2 cannot be served: there is no class 'Modell' in own.py: there is Model"
    ]


def test_what_no_engine_here_serves_is_told(tmp_path: Path) -> None:
    (tmp_path / "chat.gguf").write_bytes(gguf())
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "config.json").write_text("{}")
    (tmp_path / "folder" / "model.safetensors").write_bytes(b"weights")
    text = (
        "models:\n  good: ./chat.gguf\n  one: {source: ./chat.gguf, engine: transformers}\n"
        "  two: {source: ./folder, engine: llamacpp}\n  three: {source: ./folder, engine: vllm}\n"
        "  four: {source: ./chat.gguf, engine: command, command: [no-such-server]}\n  five: ./folder\n"
    )
    known = ModelStore(tmp_path, sources=()).source
    engines = {**HERE, "vllm": Installed(PeftAdapters(), absent="pip install vllm")}
    assert list(absent_models(declared_models(config(tmp_path, text)), known, engines)) == [
        f"one 1 cannot be served: {tmp_path}/chat.gguf is for llamacpp, and not for transformers",
        f"two 1 cannot be served: {tmp_path}/folder is for transformers, and not for llamacpp",
        "three 1 cannot be served: pip install vllm",
        "four 1 cannot be served: no-such-server is not on the PATH: install it",
    ]
