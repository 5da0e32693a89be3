from __future__ import annotations

import asyncio
import fcntl
import json
import os
from pathlib import Path

import pytest
from tests.unit.engines.fakes import FakeSource, FakeTime, gguf, ignore, item, until

from farmgate.core.errors import ModelNotFound, Unavailable
from farmgate.core.ports import Progress
from farmgate.engines.pulling.catalogue import CATALOGUE, STARTER
from farmgate.engines.pulling.sources import Source
from farmgate.engines.pulling.weights import ModelStore

CONTENT = gguf(filler=5000)


def store(directory: Path, *sources: Source, free_bytes: int = 1 << 40, time: FakeTime | None = None) -> ModelStore:
    return ModelStore(
        directory,
        sources=sources,
        catalogue={"starter": item(CONTENT)},
        free_bytes=lambda _: free_bytes,
        sleep=(time or FakeTime()).sleep,
    )


def test_the_starter_is_pinned_and_free_to_use() -> None:
    assert CATALOGUE["starter"] is STARTER
    assert STARTER.licence == "Apache-2.0"
    assert STARTER.size_bytes == 98_362_432
    assert STARTER.sha256 == "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    assert STARTER.wheel is not None
    assert STARTER.wheel.sha256 == "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"


async def test_a_pulled_model_is_there_with_a_note_and_nothing_else(tmp_path: Path) -> None:
    models = store(tmp_path / "models", FakeSource(CONTENT))
    path = await models.pull("starter", ignore)
    assert path == tmp_path / "models" / "starter.gguf"
    assert path.read_bytes() == CONTENT
    note = json.loads(path.with_suffix(".json").read_text())
    assert note["source"] == "a fake source"
    assert note["sha256"] == item(CONTENT).sha256
    assert note["size_bytes"] == len(CONTENT)
    assert note["licence"] == "Apache-2.0"
    assert sorted(each.name for each in path.parent.iterdir()) == [".starter.lock", "starter.gguf", "starter.json"]
    assert models.path("starter") == models.known("starter") == path


async def test_what_is_here_is_not_fetched_again(tmp_path: Path) -> None:
    source = FakeSource(CONTENT)
    await store(tmp_path, source).pull("starter", ignore)
    await store(tmp_path, source).pull("starter", ignore)
    assert source.calls == 1


async def test_a_verified_file_is_not_read_again_while_its_size_and_time_stand(tmp_path: Path) -> None:
    path = await store(tmp_path, FakeSource(CONTENT)).pull("starter", ignore)
    stat = path.stat()
    path.write_bytes(bytes(len(CONTENT)))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert await store(tmp_path).pull("starter", ignore) == path


async def test_a_file_that_has_changed_is_verified_and_replaced(tmp_path: Path) -> None:
    path = await store(tmp_path, FakeSource(CONTENT)).pull("starter", ignore)
    path.write_bytes(bytes(len(CONTENT)))
    os.utime(path, ns=(0, 0))
    await store(tmp_path, FakeSource(CONTENT)).pull("starter", ignore)
    assert path.read_bytes() == CONTENT


async def test_a_right_file_without_a_note_gets_one(tmp_path: Path) -> None:
    (tmp_path / "starter.gguf").write_bytes(CONTENT)
    await store(tmp_path).pull("starter", ignore)
    assert json.loads((tmp_path / "starter.json").read_text())["source"] == "found on this machine"


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"source": 1}', "\x00", '{"a": '])
async def test_a_broken_note_is_no_note(tmp_path: Path, note: str) -> None:
    (tmp_path / "starter.gguf").write_bytes(CONTENT)
    (tmp_path / "starter.json").write_text(note)
    models = store(tmp_path)
    assert [info.name for info in models.models()] == ["starter"]
    assert await models.pull("starter", ignore) == tmp_path / "starter.gguf"


async def test_the_next_source_is_asked_when_one_fails_and_when_one_lies(tmp_path: Path) -> None:
    lying = bytes(len(CONTENT))
    sources = FakeSource("no route"), FakeSource(lying), FakeSource(CONTENT)
    path = await store(tmp_path, *sources).pull("starter", ignore)
    assert path.read_bytes() == CONTENT
    assert [source.calls for source in sources] == [1, 1, 1]


async def test_a_bad_start_left_by_an_earlier_try_costs_one_more_try(tmp_path: Path) -> None:
    class Appending(FakeSource):
        async def fetch(self, item: object, into: Path, report: object) -> None:
            self.calls += 1
            had = into.stat().st_size if into.exists() else 0
            with into.open("ab") as file:
                file.write(CONTENT[had:])

    (tmp_path / "starter.part").write_bytes(b"something else")
    source = Appending(CONTENT)
    path = await store(tmp_path, source).pull("starter", ignore)
    assert path.read_bytes() == CONTENT
    assert source.calls == 2


async def test_when_nothing_works_each_try_is_named_with_its_reason_and_what_to_do(tmp_path: Path) -> None:
    sources = FakeSource("no route", name="the hub"), FakeSource(bytes(len(CONTENT)), name="pip")
    with pytest.raises(Unavailable) as caught:
        await store(tmp_path, *sources).pull("starter", ignore)
    message = caught.value.message
    assert "the hub: no route; pip: the SHA-256 of the file it sent is not the expected one" in message
    assert "farmgate run ./model.gguf" in message
    assert not (tmp_path / "starter.gguf").exists()


async def test_a_full_disk_is_said_before_anything_is_fetched(tmp_path: Path) -> None:
    source = FakeSource(CONTENT, scratch=100 << 20)
    with pytest.raises(Unavailable, match=r"it needs 164 MiB free in .* and 1 MiB are free"):
        await store(tmp_path, source, free_bytes=1 << 20).pull("starter", ignore)
    assert source.calls == 0


async def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot be written to"):
        await store(tmp_path / "file" / "models", FakeSource(CONTENT)).pull("starter", ignore)


async def test_an_unknown_model_is_not_found_and_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="it can pull starter"):
        await store(tmp_path).pull("llama", ignore)


async def test_pulls_at_the_same_time_share_one_download_and_all_see_it_move(tmp_path: Path) -> None:
    source = FakeSource(CONTENT)
    source.gate = asyncio.Event()
    models = store(tmp_path, source)
    told: list[list[Progress]] = [[], [], []]
    pulls = [asyncio.create_task(models.pull("starter", each.append)) for each in told]
    await until(lambda: source.calls == 1)
    source.gate.set()
    assert set(await asyncio.gather(*pulls)) == {tmp_path / "starter.gguf"}
    assert source.calls == 1
    assert all(each[-1].status == "verifying" for each in told)


async def test_one_who_leaves_does_not_end_the_others_pull_and_the_last_one_does(tmp_path: Path) -> None:
    source = FakeSource(CONTENT)
    source.gate = asyncio.Event()
    models = store(tmp_path, source)
    first, second = (asyncio.create_task(models.pull("starter", ignore)) for _ in range(2))
    await until(lambda: source.calls == 1)
    shared = models._pulls.running["starter"].task
    first.cancel()
    await asyncio.wait({first})
    assert not shared.done()
    second.cancel()
    await asyncio.wait({second})
    assert shared.cancelled()
    assert models._pulls.running == {}


async def test_two_processes_take_turns_and_the_second_finds_the_file(tmp_path: Path) -> None:
    time, source = FakeTime(), FakeSource("must not be asked")
    told: list[Progress] = []
    with (tmp_path / ".starter.lock").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        pull = asyncio.create_task(store(tmp_path, source, time=time).pull("starter", told.append))
        await time.until_asleep(0.2)
        assert told[-1].status == "waiting for another Farmgate that is pulling starter"
        (tmp_path / "starter.gguf").write_bytes(CONTENT)
    time.advance(0.2)
    assert await pull == tmp_path / "starter.gguf"
    assert source.calls == 0


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "a/../../secret",
        "/etc/secret",
        "~/secret",
        "secret.gguf/..",
        ".hidden",
        "",
        "a" * 101,
        "s\0",
        "s\n",
    ],
)
async def test_a_name_from_a_request_never_leaves_the_directory(tmp_path: Path, name: str) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "secret.gguf").write_bytes(CONTENT)
    (tmp_path / "models" / ".hidden.gguf").write_bytes(CONTENT)
    models = store(tmp_path / "models")
    assert models.known(name) is None
    assert models.remove(name) is False
    assert (tmp_path / "secret.gguf").exists()


def test_any_gguf_file_has_a_path_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some").mkdir()
    file = tmp_path / "some" / "model.gguf"
    file.write_bytes(CONTENT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    models = store(tmp_path / "models")
    for given in ("./some/model.gguf", "some/model.gguf", "~/some/model.gguf", str(file)):
        assert models.path(given) == file
        assert models.known(given) is None


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("missing.gguf", "There is no file"),
        ("x" * 5000, "There is no file"),
        ("a\0.gguf", "There is no file"),
        ("text.gguf", "does not begin as GGUF files do"),
        ("folder.gguf", "is a directory"),
        (".", "is a directory"),
        ("model.bin", "does not end in .gguf"),
    ],
)
def test_what_is_no_gguf_file_has_no_path_and_is_told_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, why: str
) -> None:
    (tmp_path / "text.gguf").write_text("hello")
    (tmp_path / "model.bin").write_bytes(CONTENT)
    (tmp_path / "folder.gguf").mkdir()
    monkeypatch.chdir(tmp_path)
    models = store(tmp_path / "models")
    assert models.path(given) is None
    with pytest.raises(ModelNotFound, match=why):
        models.register(Path(given))


def test_registered_files_get_names_of_their_own(tmp_path: Path) -> None:
    for folder in ("a", "b", "models"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "my model.gguf").write_bytes(CONTENT)
    (tmp_path / "models" / "my-model.gguf").write_bytes(CONTENT)
    models = store(tmp_path / "models")
    first = models.register(tmp_path / "a" / "my model.gguf")
    second = models.register(tmp_path / "b" / "my model.gguf")
    assert (first, second) == ("my-model-2", "my-model-3")
    assert models.register(tmp_path / "a" / "my model.gguf") == first
    assert models.known(second) == tmp_path / "b" / "my model.gguf"
    assert models.remove(second) is False
    assert (tmp_path / "b" / "my model.gguf").exists()
    assert models.known(second) is None


def test_models_tell_size_and_context_and_skip_what_is_none(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(CONTENT)
    (tmp_path / "text.gguf").write_text("hello")
    (tmp_path / "bad name.gguf").write_bytes(CONTENT)
    (tmp_path / "half.part").write_bytes(CONTENT)
    (tmp_path / "folder.gguf").mkdir()
    models = store(tmp_path)
    (tiny,) = models.models()
    assert (tiny.name, tiny.provider, tiny.size_bytes) == ("tiny", "local", len(CONTENT))
    assert (tiny.context_tokens, tiny.description, tiny.loaded) == (4096, "Tiny", None)
    (tmp_path / "tiny.gguf").write_bytes(gguf(context=77))
    assert models.context_tokens(tmp_path / "tiny.gguf") == 77
    (tmp_path / "tiny.gguf").unlink()
    assert models.models() == ()


def test_a_gguf_of_a_version_not_known_here_is_still_a_model(tmp_path: Path) -> None:
    (tmp_path / "old.gguf").write_bytes(b"GGUF" + bytes(40))
    models = store(tmp_path)
    assert [info.name for info in models.models()] == ["old"]
    assert models.context_tokens(tmp_path / "old.gguf") is None


async def test_a_removed_model_is_gone_with_all_that_belongs_to_it(tmp_path: Path) -> None:
    models = store(tmp_path, FakeSource(CONTENT))
    await models.pull("starter", ignore)
    (tmp_path / "starter.part").write_bytes(b"x")
    assert models.remove("starter") is True
    assert [each.name for each in tmp_path.iterdir()] == [".starter.lock"]
    assert models.remove("starter") is False
