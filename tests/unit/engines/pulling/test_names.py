from __future__ import annotations

import pytest

from farmgate.core.errors import InvalidValue
from farmgate.core.locator import HubModel, LocalFiles, WebFile, parse_locator
from farmgate.engines.pulling.names import check_name, default_name, is_name

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hf:owner/name", "owner--name"),
        ("hf:owner/name:Q4_K_M", "owner--name--Q4_K_M"),
        ("hf:owner/name:name-Q4_K_M.gguf", "owner--name--Q4_K_M"),
        ("hf:owner/name:a/odd.gguf", "owner--name--odd"),
        ("hf:owner/name:x-00001-of-00002.gguf", "owner--name--x"),
        ("hf:owner/name@v1", "owner--name--v1"),
        ("hf:owner/name@refs/pr/1", "owner--name--refs-pr-1"),
        (f"hf:owner/name@{COMMIT}:Q8_0", "owner--name--Q8_0--0123456789ab"),
        ("https://host/a/My%20Model.gguf?x=1", "My-Model"),
        ("https://host/a/%2e%2e%2fx.gguf", "x"),
        ("https://host/a/.gguf", "model"),
        ("./my model.gguf", "my-model"),
        ("/a/b/folder.part", "folder.part-model"),
        ("/a/b/x-00001-of-00002.gguf", "x"),
    ],
)
def test_a_source_always_has_the_same_name(text: str, name: str) -> None:
    locator = parse_locator(text)
    assert isinstance(locator, HubModel | WebFile | LocalFiles)
    assert default_name(locator) == name
    assert is_name(name)


def test_two_long_names_that_begin_alike_stay_two() -> None:
    names = {default_name(HubModel(repository=f"{'o' * 90}/{'n' * 90}{end}")) for end in "ab"}
    assert len(names) == 2
    assert all(is_name(name) for name in names)


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", ".x", "x.part", "x.gguf", "x.json", "X.PIP", "x\n", "x" * 101, "~", "-x", "a\\b", "x\0"]
)
def test_a_name_that_could_be_anything_else_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue, match="cannot be the name of a model"):
        check_name(name)


def test_a_plain_name_is_taken_as_it_is() -> None:
    assert check_name("chat-v1.2_b") == "chat-v1.2_b"
