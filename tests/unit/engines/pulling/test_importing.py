"""Models that lie elsewhere on this machine are copied into the store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.engines.fakes import gguf, ignore

from farmgate.core.errors import InvalidValue, ModelNotFound, Unavailable
from farmgate.core.ports import Progress
from farmgate.engines.pulling.weights import ModelStore

MODEL = gguf(filler=5000)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    return folder


def store(tmp_path: Path, free: int = 1 << 40) -> ModelStore:
    return ModelStore(tmp_path / "models", sources=(), free_bytes=lambda _: free)


@pytest.mark.parametrize("text", ["./my model.gguf", "my model.gguf", "~/my model.gguf", "../here/my model.gguf"])
async def test_a_file_is_copied_under_its_own_name(tmp_path: Path, here: Path, text: str) -> None:
    (here / "my model.gguf").write_bytes(MODEL)
    models = store(tmp_path)
    told: list[Progress] = []
    assert await models.fetch(text, told.append) == "my-model"
    path = models.known("my-model")
    assert path == tmp_path / "models" / "my-model.gguf"
    assert path.read_bytes() == MODEL
    (here / "my model.gguf").unlink()
    assert models.known("my-model") == path
    assert told[-1].completed == told[-1].total == len(MODEL)
    doing = {progress.status.split(" ")[0] for progress in told if progress.completed}
    assert doing == {"copying", "verifying"}


async def test_a_checkpoint_is_copied_without_code_and_pickles(tmp_path: Path, here: Path) -> None:
    folder = here / "chat-v1"
    (folder / "1_Pooling").mkdir(parents=True)
    wanted = {
        "config.json": b"{}",
        "model.safetensors": b"w" * 99,
        "tokenizer.json": b"{}",
        "1_Pooling/config.json": b"{}",
    }
    for name, content in {**wanted, "modeling.py": b"raise", "pytorch_model.bin": b"x", "notes.txt": b"x"}.items():
        (folder / name).write_bytes(content)
    models = store(tmp_path)
    assert await models.fetch("./chat-v1", ignore, name="chat") == "chat"
    copied = tmp_path / "models" / "chat"
    assert models.known("chat") == copied
    assert {file.relative_to(copied).as_posix() for file in copied.rglob("*") if file.is_file()} == set(wanted)
    assert models.known("chat-v1") is None


async def test_every_part_of_a_model_is_copied(tmp_path: Path, here: Path) -> None:
    for number in (1, 2):
        (here / f"big-0000{number}-of-00002.gguf").write_bytes(gguf(filler=number))
    models = store(tmp_path)
    assert await models.fetch("./big-00001-of-00002.gguf", ignore) == "big"
    assert models.known("big") == tmp_path / "models" / "big" / "big-00001-of-00002.gguf"
    (here / "big-00002-of-00002.gguf").unlink()
    with pytest.raises(ModelNotFound, match="every file of the model is needed"):
        await models.fetch("./big-00001-of-00002.gguf", ignore, name="again")


async def test_the_same_file_is_copied_again_and_another_is_not_put_in_its_place(tmp_path: Path, here: Path) -> None:
    (here / "m.gguf").write_bytes(MODEL)
    models = store(tmp_path)
    await models.fetch("./m.gguf", ignore)
    for context, text in enumerate(("./m.gguf", str(here / "m.gguf"), "~/m.gguf"), start=5):
        (here / "m.gguf").write_bytes(gguf(context=context))
        await models.fetch(text, ignore)
        path = models.known("m")
        assert path is not None
        assert models.context_tokens(path) == context
    (here / "deep").mkdir()
    (here / "deep" / "m.gguf").write_bytes(MODEL)
    with pytest.raises(InvalidValue, match="m is here already, from"):
        await models.fetch("./deep/m.gguf", ignore)
    assert json.loads((tmp_path / "models" / "m.json").read_text())["asked"] == str(here / "m.gguf")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("./missing.gguf", "There is no file"),
        ("./text.gguf", "does not begin as GGUF files do"),
        ("./text.txt", r"in the GGUF format\?$"),
        ("./with-gguf", "is a directory: name the .gguf file in it"),
        ("./empty", "neither GGUF files nor a checkpoint"),
        ("./pickled", "only pickled weights"),
        ("./model.bin/../x", "There is no file"),
    ],
)
async def test_what_is_no_model_is_told(tmp_path: Path, here: Path, name: str, why: str) -> None:
    for file in ("text.gguf", "text.txt"):
        (here / file).write_text("hello")
    for folder in ("with-gguf", "empty", "pickled"):
        (here / folder).mkdir()
    (here / "with-gguf" / "x.gguf").write_bytes(MODEL)
    (here / "pickled" / "config.json").write_text("{}")
    (here / "pickled" / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ModelNotFound, match=why):
        await store(tmp_path).fetch(name, ignore)
    assert [path.name for path in (tmp_path / "models").iterdir() if path.name[0] != "."] == []


async def test_a_full_disk_is_said_first(tmp_path: Path, here: Path) -> None:
    (here / "m.gguf").write_bytes(MODEL)
    with pytest.raises(Unavailable, match=r"m needs 67\.1 MB more in .*, and 5\.0 MB are free"):
        await store(tmp_path, free=5_000_000).fetch("./m.gguf", ignore)
    assert store(tmp_path).models() == ()


@pytest.mark.parametrize("what", ["file", "folder"])
async def test_what_is_closed_to_us_is_told_as_that(
    tmp_path: Path, here: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    method = "iterdir" if what == "folder" else "open"
    as_it_is = getattr(Path, method)

    def closed(path: Path, *how: str) -> object:
        if path in (here / "own", here / "m.gguf"):
            raise PermissionError(13, "Permission denied")
        return as_it_is(path, *how)

    (here / "own").mkdir()
    (here / "m.gguf").write_bytes(MODEL)
    models = store(tmp_path)
    monkeypatch.setattr(Path, method, closed)
    with pytest.raises(ModelNotFound, match="cannot be read: Permission denied"):
        await models.fetch("./own" if what == "folder" else "./m.gguf", ignore)
