"""Whom the hub lets in, and to whom the token is shown: it never reaches the CDN."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.hub import FakeHub, refuses
from tests.unit.engines.fakes import ignore
from tests.unit.engines.pulling.stores import MODEL, store

from farmgate.core.errors import InvalidValue, ModelNotFound, UpstreamRefusedKey


async def test_a_gated_model_comes_with_the_token_which_never_reaches_the_cdn(fake: FakeHub, tmp_path: Path) -> None:
    fake.repositories["owner/whole"].gated = True
    await store(tmp_path, fake, token=fake.token).fetch("hf:owner/whole", ignore)
    assert (tmp_path / "owner--whole" / "config.json").exists()
    at_hub = [asked for asked in fake.asked if asked.place == "hub"]
    at_cdn = [asked for asked in fake.asked if asked.place == "cdn"]
    assert at_cdn
    assert {asked.headers.get("authorization") for asked in at_hub} == {f"Bearer {fake.token}"}
    assert not [asked for asked in at_cdn if "authorization" in asked.headers or fake.token in str(asked)]
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or fake.token.encode() not in file.read_bytes()


async def test_the_token_goes_along_where_the_hub_sends_on_to_itself(fake: FakeHub, tmp_path: Path) -> None:
    fake.repositories["owner/name"].gated = True
    fake.add("old/name", {}, moved_to="owner/name")
    await store(tmp_path, fake, token=fake.token).fetch("hf:old/name", ignore)
    assert (tmp_path / "old--name.gguf").read_bytes() == MODEL


async def test_without_a_token_none_is_sent(fake: FakeHub, tmp_path: Path) -> None:
    await store(tmp_path, fake).fetch("hf:owner/name", ignore)
    assert not [asked for asked in fake.asked if "authorization" in asked.headers]


@pytest.mark.parametrize(
    ("token", "told"),
    [
        (None, r"owner/name is gated: accept its terms at http://127.0.0.1:\d+/owner/name and set HF_TOKEN"),
        ("another", "owner/name is gated, and HF_TOKEN may not read it: accept its terms at"),
    ],
)
@pytest.mark.parametrize("lists", [False, True])
async def test_a_gated_model_says_what_to_do(
    fake: FakeHub, tmp_path: Path, token: str | None, told: str, lists: bool
) -> None:
    fake.repositories["owner/name"].gated = True
    fake.repositories["owner/name"].lists_gated = lists
    with pytest.raises(UpstreamRefusedKey, match=told) as refused:
        await store(tmp_path, fake, token=token).fetch("hf:owner/name", ignore)
    assert "words of the server" not in refused.value.message
    assert "another" not in refused.value.message


@pytest.mark.parametrize(
    ("source", "token", "kind", "told"),
    [
        (
            "hf:owner/nothing",
            None,
            ModelNotFound,
            "has no owner/nothing, or it is private: check the name, or set HF_TOKEN",
        ),
        ("hf:owner/nothing", "hf_of_the_tests", ModelNotFound, "has no owner/nothing: check the name"),
        ("hf:owner/nothing", "wrong", UpstreamRefusedKey, "refused HF_TOKEN for owner/nothing"),
        ("hf:owner/name@v9", None, ModelNotFound, "owner/name has no revision v9"),
        ("hf:owner/name:Q5_0", None, ModelNotFound, r"owner/name has no Q5_0\. It has Q4_K_M"),
        ("hf:owner/name:x.gguf", None, ModelNotFound, r"owner/name has no x\.gguf"),
        ("hf:owner", None, InvalidValue, "no owner in hf:owner"),
        ("ollama/llama3.1", None, InvalidValue, "ollama gets its models by itself"),
        ("nothing", None, ModelNotFound, "does not know where to get 'nothing'"),
    ],
)
async def test_what_is_not_there_is_told(
    fake: FakeHub, tmp_path: Path, source: str, token: str | None, kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind, match=told):
        await store(tmp_path, fake, token=token).fetch(source, ignore)
    assert fake.of_files() == []


async def test_a_file_that_has_gone_is_told(fake: FakeHub, tmp_path: Path) -> None:
    fake.faults.append(refuses(404, "EntryNotFound"))
    with pytest.raises(ModelNotFound, match="does not have that file any more"):
        await store(tmp_path, fake).fetch("hf:owner/name", ignore)
