"""Any model of the hub, against two real HTTP servers on loopback: what comes of it, and what is here already."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tests.fakes.hub import FakeHub
from tests.unit.engines.fakes import gguf, ignore
from tests.unit.engines.pulling.stores import CHECKPOINT, MODEL, OTHER, note, store, visible

from farmgate.core.errors import InvalidValue
from farmgate.core.ports import Progress

PARTS = {f"big-Q4_K_M-0000{number}-of-00003.gguf": gguf(context=9, filler=4000 + number) for number in (1, 2, 3)}


# -------------------------------------------------------------------------------------------------- what comes of it


async def test_a_gguf_model_comes_whole_with_a_note_and_nothing_else(fake: FakeHub, tmp_path: Path) -> None:
    models = store(tmp_path, fake)
    told: list[Progress] = []
    assert await models.fetch("hf:owner/name", told.append) == "owner--name"
    path = models.known("owner--name")
    assert path == tmp_path / "owner--name.gguf"
    assert path.read_bytes() == MODEL
    commit = fake.repositories["owner/name"].main
    said = note(tmp_path, "owner--name")
    assert (said["asked"], said["revision"], said["licence"]) == ("hf:owner/name", commit, "apache-2.0")
    assert said["sha256"] == hashlib.sha256(MODEL).hexdigest()
    assert visible(tmp_path) == ["owner--name.gguf", "owner--name.json"]
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith(".")) == [".owner--name.lock"]


async def test_what_is_fetched_is_told_before_the_first_byte(fake: FakeHub, tmp_path: Path) -> None:
    told: list[Progress] = []
    await store(tmp_path, fake, free=5_000_000_000).fetch("hf:owner/name", told.append)
    said = [progress.status for progress in told if progress.total is None]
    assert said[0] == "taking Q4_K_M (0.7 MB); there is also Q8_0 (0.0 MB): hf:owner/name:... names one"
    commit = fake.repositories["owner/name"].main
    assert said[1] == f"owner/name at {commit[:7]}: 0.7 MB, licence apache-2.0; 5.0 GB of disk are free"
    counts = [progress.completed for progress in told if progress.total is not None]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, len(MODEL))
    assert {progress.total for progress in told if progress.total is not None} == {len(MODEL)}


async def test_a_checkpoint_comes_as_a_folder_without_code(fake: FakeHub, tmp_path: Path) -> None:
    models = store(tmp_path, fake)
    assert await models.fetch("hf:owner/whole", ignore, name="chat") == "chat"
    folder = models.known("chat")
    assert folder == tmp_path / "chat"
    wanted = {"config.json", "tokenizer.json", "model.safetensors"}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {name: CHECKPOINT[name] for name in wanted}
    (info,) = models.models()
    assert (info.name, info.size_bytes, info.context_tokens) == ("chat", len(CHECKPOINT["model.safetensors"]), 512)
    assert (info.source, info.licence) == ("hf:owner/whole", "apache-2.0")
    assert info.revision == fake.repositories["owner/whole"].main
    assert models.remove("chat") is True
    assert visible(tmp_path) == []
    assert models.known("chat") is None


async def test_every_part_of_a_model_comes_and_the_first_one_leads(fake: FakeHub, tmp_path: Path) -> None:
    fake.add("owner/big", {**{f"Q4_K_M/{name}": part for name, part in PARTS.items()}, "README.md": b"x"})
    models = store(tmp_path, fake)
    await models.fetch("hf:owner/big", ignore, name="big")
    path = models.known("big")
    assert path == tmp_path / "big" / "big-Q4_K_M-00001-of-00003.gguf"
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == PARTS
    (info,) = models.models()
    assert (info.size_bytes, info.context_tokens) == (sum(map(len, PARTS.values())), 9)
    (tmp_path / "big" / "big-Q4_K_M-00002-of-00003.gguf").unlink()
    assert models.known("big") is None
    assert models.models() == ()


async def test_a_file_and_a_revision_can_be_named(fake: FakeHub, tmp_path: Path) -> None:
    models = store(tmp_path, fake)
    assert await models.fetch("hf:owner/name:Q8_0", ignore) == "owner--name--Q8_0"
    assert (tmp_path / "owner--name--Q8_0.gguf").read_bytes() == OTHER
    repository = fake.repositories["owner/name"]
    first = repository.main
    repository.names["v1"] = first
    fake.change("owner/name", {"name-Q4_K_M.gguf": OTHER})
    await models.fetch("hf:owner/name@v1", ignore)
    assert (tmp_path / "owner--name--v1.gguf").read_bytes() == MODEL
    assert note(tmp_path, "owner--name--v1")["revision"] == first


async def test_a_repository_that_was_renamed_is_followed(fake: FakeHub, tmp_path: Path) -> None:
    fake.add("old/name", {}, moved_to="owner/name")
    await store(tmp_path, fake).fetch("hf:old/name", ignore)
    assert (tmp_path / "old--name.gguf").read_bytes() == MODEL


async def test_what_the_configuration_names_is_found_by_its_source(fake: FakeHub, tmp_path: Path) -> None:
    models = store(tmp_path, fake)
    assert models.source("hf:owner/whole") is None
    await models.fetch("hf:owner/whole", ignore)
    await models.fetch("hf:owner/name:Q8_0", ignore, name="chat")
    assert models.source("hf:owner/whole") == tmp_path / "owner--whole"
    assert models.source("hf:owner/name:Q8_0") == tmp_path / "chat.gguf"
    for other in ("hf:owner/name", "hf:", "https://host/x.gguf", "ftp://x"):
        assert models.source(other) is None


# -------------------------------------------------------------------------------------------------- what is here


async def test_what_is_here_is_not_fetched_again(fake: FakeHub, tmp_path: Path) -> None:
    for source in ("hf:owner/name", "hf:owner/whole"):
        await store(tmp_path, fake).fetch(source, ignore)
        files = len(fake.of_files())
        told: list[Progress] = []
        await store(tmp_path, fake).fetch(source, told.append)
        assert len(fake.of_files()) == files
        assert told[-1].status.endswith("is what is here")


async def test_a_commit_that_is_here_asks_nobody(fake: FakeHub, tmp_path: Path) -> None:
    source = f"hf:owner/name@{fake.repositories['owner/name'].main}"
    await store(tmp_path, fake).fetch(source, ignore)
    asked = len(fake.asked)
    await store(tmp_path, fake).fetch(source, ignore)
    assert len(fake.asked) == asked


async def test_a_new_commit_replaces_the_model_and_one_that_changes_nothing_in_it_is_noted(
    fake: FakeHub, tmp_path: Path
) -> None:
    for source, name, main in (
        ("hf:owner/name", "owner--name", "name-Q4_K_M.gguf"),
        ("hf:owner/whole", "w", "config.json"),
    ):
        models = store(tmp_path, fake)
        await models.fetch(source, ignore, name=name)
        repository = source.removeprefix("hf:")
        files = dict(fake.repositories[repository].commits[fake.repositories[repository].main])
        only_words = fake.change(repository, {**files, "README.md": b"more words"})
        before = len(fake.of_files())
        await models.fetch(source, ignore, name=name)
        assert len(fake.of_files()) == before
        assert note(tmp_path, name)["revision"] == only_words
        fake.change(repository, {**files, main: OTHER if main.endswith("gguf") else b'{"max_position_embeddings": 9}'})
        await models.fetch(source, ignore, name=name)
        path = models.known(name)
        assert path is not None
        assert models.context_tokens(path) == (77 if main.endswith("gguf") else 9)
        assert not [
            each for each in tmp_path.iterdir() if each.name.startswith(".") and not each.name.endswith(".lock")
        ]


async def test_a_file_that_was_damaged_is_fetched_again(fake: FakeHub, tmp_path: Path) -> None:
    models = store(tmp_path, fake)
    await models.fetch("hf:owner/name", ignore)
    path = tmp_path / "owner--name.gguf"
    path.write_bytes(b"GGUF" + bytes(99))
    await models.fetch("hf:owner/name", ignore)
    assert path.read_bytes() == MODEL


async def test_another_model_is_not_overwritten(fake: FakeHub, tmp_path: Path) -> None:
    models = store(tmp_path, fake)
    await models.fetch("hf:owner/name", ignore, name="chat")
    with pytest.raises(InvalidValue, match=r"chat is here already, from hf:owner/name: .*farmgate rm chat.*--as NAME"):
        await models.fetch("hf:owner/whole", ignore, name="chat")
    with pytest.raises(InvalidValue, match="chat is here already, from hf:owner/name"):
        await models.fetch("hf:owner/name:Q8_0", ignore, name="chat")
    (tmp_path / "mine.gguf").write_bytes(OTHER)
    with pytest.raises(InvalidValue, match="mine is here already, and was not pulled"):
        await models.fetch("hf:owner/name", ignore, name="mine")
    assert (tmp_path / "mine.gguf").read_bytes() == OTHER
    with pytest.raises(InvalidValue, match="starter is a model Farmgate knows"):
        await models.fetch("hf:owner/name", ignore, name="starter")


@pytest.mark.parametrize("name", ["../evil", "a/b", ".x", "x.part"])
async def test_a_name_never_becomes_another_place(fake: FakeHub, tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidValue, match="cannot be the name of a model"):
        await store(tmp_path / "models", fake).fetch("hf:owner/name", ignore, name=name)
    assert fake.asked == []
    assert not (tmp_path / "models").exists()


async def test_hostile_paths_of_a_repository_are_not_written(fake: FakeHub, tmp_path: Path) -> None:
    weights = b"\0" * 3000
    evil = {"../../evil.json": b"{}", "/tmp/evil.safetensors": weights, "a/../tokenizer.json": b"{}"}
    fake.add("owner/evil", {"config.json": b"{}", "model.safetensors": weights, **evil})
    await store(tmp_path / "models", fake).fetch("hf:owner/evil", ignore)
    assert sorted(path.name for path in (tmp_path / "models" / "owner--evil").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


async def test_only_a_folder_inside_the_directory_is_a_model(fake: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "config.json").write_text("{}")
    (outside / "model.safetensors").write_bytes(b"x")
    (tmp_path / "models" / "link").symlink_to(outside)
    (tmp_path / "models" / ".hidden").mkdir()
    models = store(tmp_path / "models", fake)
    for name in ("link", "../outside", ".hidden", "..", "."):
        assert models.known(name) is None
        assert models.remove(name) is False
    assert models.models() == ()
    assert sorted(path.name for path in outside.iterdir()) == ["config.json", "model.safetensors"]
