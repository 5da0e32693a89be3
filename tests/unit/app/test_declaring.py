"""Models whose files are not there are told, every version of them, and stop nobody."""

from __future__ import annotations

from pathlib import Path

from tests.unit.app.test_entries import config

from farmgate.app.declaring import absent_models, declared_models


def test_each_version_whose_files_are_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("class Model: ...")
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
