"""A GGUF file at an address of its owner's choice, against a real server on loopback."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.hub import FakeHub, Fault, Handler, corrupt, cut, hold, longer, refuses, running, sends_to
from tests.unit.engines.fakes import gguf, ignore, until

from farmgate.core.errors import FarmError, InvalidValue, ModelNotFound, Unavailable, UpstreamRefusedKey
from farmgate.core.ports import Progress
from farmgate.engines.pulling.address import Address
from farmgate.engines.pulling.hub import Hub
from farmgate.engines.pulling.weights import ModelStore

MODEL = gguf(filler=300_000)
OTHER = gguf(context=9, filler=300_000)


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    with running() as fake:
        fake.files["deep/My Model.gguf"] = MODEL
        fake.etags["deep/My Model.gguf"] = '"one"'
        yield fake


def store(directory: Path, fake: FakeHub) -> ModelStore:
    # The token is the hub's: it must not go anywhere else, not even to another port of the same machine.
    hub = Hub("http://127.0.0.1:9", token=fake.token)
    return ModelStore(directory, hub=hub, address=Address(stall_s=5, wait=lambda _stop, _seconds: None))


def address(fake: FakeHub, query: str = "") -> str:
    return f"{fake.url}/files/deep/My%20Model.gguf{query}"


async def test_it_comes_whole_under_its_own_name_and_no_credential_is_kept_or_sent(
    fake: FakeHub, tmp_path: Path
) -> None:
    models = store(tmp_path, fake)
    told: list[Progress] = []
    assert await models.fetch(address(fake, "?signature=secret"), told.append) == "My-Model"
    assert (tmp_path / "My-Model.gguf").read_bytes() == MODEL
    note = json.loads((tmp_path / "My-Model.json").read_text())
    assert (note["asked"], note["licence"], note["revision"]) == (address(fake), "", None)
    assert not [asked for asked in fake.asked if "authorization" in asked.headers]
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or b"secret" not in file.read_bytes()
    assert not [one for one in told if "secret" in one.status]
    assert any("its licence is not told" in one.status for one in told)
    assert models.source(address(fake)) == tmp_path / "My-Model.gguf"


async def test_cut_it_goes_on_in_another_process_only_while_it_is_the_same_file(fake: FakeHub, tmp_path: Path) -> None:
    fake.faults.extend([cut(100_000), hold(50_000)])
    pulling = asyncio.create_task(store(tmp_path, fake).fetch(address(fake), ignore))
    part = tmp_path / ".My-Model.part" / "files" / "model.gguf"
    await until(lambda: part.exists() and part.stat().st_size == 150_000)
    pulling.cancel()
    await asyncio.wait({pulling})
    fake.faults.append(cut(1000))
    fake.faults.extend([refuses(404)])
    with pytest.raises(ModelNotFound):
        await store(tmp_path, fake).fetch(address(fake), ignore)
    assert [asked.start for asked in fake.asked][-2:] == [150_000, 151_000]
    fake.files["deep/My Model.gguf"] = OTHER
    fake.etags["deep/My Model.gguf"] = '"two"'
    await store(tmp_path, fake).fetch(address(fake), ignore)
    assert (tmp_path / "My-Model.gguf").read_bytes() == OTHER
    assert fake.asked[-1].start == 0


async def test_a_file_that_changes_on_the_way_is_not_put_together_from_two(fake: FakeHub, tmp_path: Path) -> None:
    def cut_and_changed(handler: Handler, content: bytes) -> None:
        cut(100_000)(handler, content)
        fake.files["deep/My Model.gguf"], fake.etags["deep/My Model.gguf"] = OTHER, '"two"'

    fake.faults.append(cut_and_changed)
    with pytest.raises(Unavailable, match="changed while it was fetched: pull it again"):
        await store(tmp_path, fake).fetch(address(fake), ignore)
    await store(tmp_path, fake).fetch(address(fake), ignore)
    assert (tmp_path / "My-Model.gguf").read_bytes() == OTHER


async def test_without_anything_that_tells_files_apart_it_is_begun_anew(fake: FakeHub, tmp_path: Path) -> None:
    fake.etags["deep/My Model.gguf"] = 'W/"weak"'
    fake.faults.extend([cut(100_000), refuses(404)])
    with pytest.raises(ModelNotFound):
        await store(tmp_path, fake).fetch(address(fake), ignore)
    before = len(fake.asked)
    await store(tmp_path, fake).fetch(address(fake), ignore)
    assert (tmp_path / "My-Model.gguf").read_bytes() == MODEL
    assert [asked.headers.get("range") for asked in fake.asked[before:]] == ["bytes=0-0", None]


async def test_its_hash_is_what_is_believed_where_it_is_written(fake: FakeHub, tmp_path: Path) -> None:
    digest = hashlib.sha256(MODEL).hexdigest()
    fake.faults.append(corrupt)
    with pytest.raises(Unavailable, match="its hash is not the expected one"):
        await store(tmp_path, fake).fetch(address(fake, f"#sha256={digest}"), ignore)
    await store(tmp_path, fake).fetch(address(fake, f"#sha256={digest}"), ignore)
    assert json.loads((tmp_path / "My-Model.json").read_text())["sha256"] == digest
    wrong = hashlib.sha256(OTHER).hexdigest()
    with pytest.raises(Unavailable, match="its hash is not the expected one"):
        await store(tmp_path, fake).fetch(address(fake, f"#sha256={wrong}"), ignore, name="other")
    assert not (tmp_path / "other.gguf").exists()


@pytest.mark.parametrize(
    ("fault", "kind", "told"),
    [
        (refuses(404), ModelNotFound, "there is nothing at"),
        (refuses(403), UpstreamRefusedKey, "is not for everybody"),
        (refuses(500), Unavailable, "answered 500"),
        (longer, Unavailable, "bytes and not the"),
        (sends_to("ftp://127.0.0.1/x.gguf"), Unavailable, "not followed"),
    ],
)
async def test_what_goes_wrong_is_told(
    fake: FakeHub, tmp_path: Path, fault: Fault, kind: type[FarmError], told: str
) -> None:
    fake.faults.extend([fault] * 6)
    with pytest.raises(kind, match=told) as failed:
        await store(tmp_path, fake).fetch(address(fake, "?signature=secret"), ignore)
    assert "secret" not in failed.value.message
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".gguf"] == []


async def test_a_page_is_no_model(fake: FakeHub, tmp_path: Path) -> None:
    fake.files["page.gguf"] = b"<!doctype html>" * 100
    with pytest.raises(Unavailable, match="is it the address of a page"):
        await store(tmp_path, fake).fetch(f"{fake.url}/files/page.gguf", ignore)


@pytest.mark.parametrize("text", ["http://host/x.gguf", "https://me:secret@host/x.gguf", "https://host/x.zip"])
async def test_an_address_that_cannot_be_is_refused_before_anything_is_asked(
    fake: FakeHub, tmp_path: Path, text: str
) -> None:
    with pytest.raises(InvalidValue):
        await store(tmp_path, fake).fetch(text, ignore)
    assert fake.asked == []
