"""How people write where a model comes from, and what they are told where it cannot be."""

from __future__ import annotations

import pytest

from farmgate.core.errors import InvalidValue
from farmgate.core.locator import (
    HubModel,
    LocalFiles,
    Locator,
    NamedModel,
    ProviderModel,
    WebFile,
    is_path,
    is_remote,
    parse_locator,
)

COMMIT = "0123456789abcdef0123456789abcdef01234567"
DIGITS = "ab" * 32


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("starter", NamedModel(name="starter")),
        ("llama3.1:8b", NamedModel(name="llama3.1:8b")),
        ("ollama/llama3.1", ProviderModel(provider="ollama", model="llama3.1")),
        ("ollama/library/llama3.1:8b", ProviderModel(provider="ollama", model="library/llama3.1:8b")),
        ("ollama:llama3.1", ProviderModel(provider="ollama", model="llama3.1")),
        ("ollama:hf.co/owner/name:Q4_0", ProviderModel(provider="ollama", model="hf.co/owner/name:Q4_0")),
        ("hf:owner/name", HubModel(repository="owner/name")),
        ("hf://owner/name", HubModel(repository="owner/name")),
        ("hf:01-ai/_name", HubModel(repository="01-ai/_name")),
        ("HF:Owner/Name-1.5_b", HubModel(repository="Owner/Name-1.5_b")),
        ("hf:owner/name@main", HubModel(repository="owner/name")),
        ("hf:owner/name@v1.0", HubModel(repository="owner/name", revision="v1.0")),
        ("hf:owner/name@refs/pr/1", HubModel(repository="owner/name", revision="refs/pr/1")),
        (f"hf:owner/name@{COMMIT}", HubModel(repository="owner/name", revision=COMMIT)),
        ("hf:owner/name:x.gguf", HubModel(repository="owner/name", file="x.gguf")),
        ("hf:owner/name:deep/er/x.gguf", HubModel(repository="owner/name", file="deep/er/x.gguf")),
        ("hf:owner/name:Q4_K_M", HubModel(repository="owner/name", file="Q4_K_M")),
        ("hf:owner/name:UD-Q4_K_XL", HubModel(repository="owner/name", file="UD-Q4_K_XL")),
        ("hf:owner/name@v1:x.gguf", HubModel(repository="owner/name", revision="v1", file="x.gguf")),
        ("https://huggingface.co/owner/name", HubModel(repository="owner/name")),
        ("https://huggingface.co/owner/name/", HubModel(repository="owner/name")),
        ("https://hf.co/owner/name/tree/v1", HubModel(repository="owner/name", revision="v1")),
        ("https://huggingface.co/owner/name/blob/main/a/x.gguf", HubModel(repository="owner/name", file="a/x.gguf")),
        (
            "https://huggingface.co/owner/name/resolve/refs%2Fpr%2F1/x.gguf?download=true",
            HubModel(repository="owner/name", revision="refs/pr/1", file="x.gguf"),
        ),
        ("https://host/a/x.gguf", WebFile(url="https://host/a/x.gguf")),
        ("https://host:8443/x%20y.GGUF?sig=1", WebFile(url="https://host:8443/x%20y.GGUF?sig=1")),
        (f"https://host/x.gguf#sha256={DIGITS.upper()}", WebFile(url="https://host/x.gguf", sha256=DIGITS)),
        (f"http://host/x.gguf#sha256={DIGITS}", WebFile(url="http://host/x.gguf", sha256=DIGITS)),
        ("http://127.0.0.1:9/x.gguf", WebFile(url="http://127.0.0.1:9/x.gguf")),
        ("http://localhost/x.gguf", WebFile(url="http://localhost/x.gguf")),
        ("http://[::1]/x.gguf", WebFile(url="http://[::1]/x.gguf")),
        ("./model.gguf", LocalFiles(path="./model.gguf")),
        ("../folder", LocalFiles(path="../folder")),
        (".", LocalFiles(path=".")),
        ("/models/folder", LocalFiles(path="/models/folder")),
        ("~/model.gguf", LocalFiles(path="~/model.gguf")),
        ("model.gguf", LocalFiles(path="model.gguf")),
        ("some/model.gguf", LocalFiles(path="some/model.gguf")),
        ("C:\\models\\x", LocalFiles(path="C:\\models\\x")),
    ],
)
def test_each_way_of_writing_means_one_thing(text: str, means: Locator) -> None:
    assert parse_locator(text) == means


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "names no model"),
        (" starter", "without spaces around it"),
        ("a\nb", "names no model"),
        ("x" * 3000, "names no model"),
        ("hf:", "there is no owner"),
        ("hf:gpt2", "no owner in hf:gpt2: write hf:owner/name"),
        ("hf:owner/", "is not the name of a repository"),
        ("hf:/name", "is not the name of a repository"),
        ("hf:owner/na me", "is not the name of a repository"),
        ("hf:owner/na--me", "is not the name of a repository"),
        ("hf:../name", "is not the name of a repository"),
        ("hf:owner/..", "is not the name of a repository"),
        ("hf:owner/name?x", "is not the name of a repository"),
        ("hf:owner/name/x.gguf", "behind a colon: hf:owner/name:x.gguf"),
        ("hf:owner/name:", "something is missing"),
        ("hf:owner/name@", "something is missing"),
        ("hf:owner/name@:x.gguf", "something is missing"),
        ("hf:owner/name@a..b", "is no revision"),
        ("hf:owner/name@a b", "is no revision"),
        ("hf:owner/name@-x", "is no revision"),
        ("hf:owner/name:x.gguf@v1", "the revision stands before the file: hf:owner/name@v1:x.gguf"),
        ("hf:owner/name:../x.gguf", "is not the path of a file"),
        ("hf:owner/name:/x.gguf", "is not the path of a file"),
        ("hf:owner/name:.hidden.gguf", "is not the path of a file"),
        ("hf:owner/name:a\\x.gguf", "is not the path of a file"),
        ("hf:owner/name:model.safetensors", "a checkpoint in safetensors comes whole, by hf:owner/name"),
        ("hf:owner/name:pytorch_model.bin", "only a .gguf file can be named"),
        ("hf.co/owner/name", "for a model of the hub, write hf:owner/name"),
        ("huggingface:owner/name", "for a model of the hub, write hf:owner/name"),
        ("huggingface.co/owner/name", "for a model of the hub, write hf:owner/name"),
        ("https://huggingface.co/datasets/owner/name", "is not a model's"),
        ("https://huggingface.co/owner", "is not a model's"),
        ("https://huggingface.co/owner/name/discussions/1", "is not a model's"),
        ("https://huggingface.co/owner/name/blob/main", "is not a model's"),
        ("s3://bucket/x.gguf", "models come from https://"),
        ("file:///x.gguf", "name a file by its path"),
        ("ftp://host/x.gguf", "models come from https://"),
        ("https://", "an address is https://host/path/model.gguf"),
        ("https://host:port/x.gguf", "is not valid"),
        ("https://[::1/x.gguf", "is not valid"),
        ("https://me:secret@host/x.gguf", "must not hold a user name or password"),
        ("https://höst/x.gguf", "in plain letters"),
        ("https://host/x y.gguf", "without spaces"),
        ("https://host/model.safetensors", "only a .gguf file is taken"),
        ("https://host/", "only a .gguf file is taken"),
        ("https://host/x.gguf#top", "#sha256= with 64 hexadecimal digits"),
        ("http://host/x.gguf", "write https://, or its hash behind it"),
        ("ollama:", "name both the provider and its model"),
        ("ollama/", "name both the provider and its model"),
        ("/", None),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_write_instead(text: str, told: str | None) -> None:
    if told is None:
        assert isinstance(parse_locator(text), LocalFiles)
        return
    with pytest.raises(InvalidValue) as refused:
        parse_locator(text)
    assert told.lower() in refused.value.message.lower()
    assert refused.value.message.endswith(".")
    assert len(refused.value.message) < 600
    assert "secret" not in refused.value.message


@pytest.mark.parametrize(
    "text", ["hf:o/n", "hf:o/n@v1", "hf:o/n:Q4_0", "hf:o/n@v1:a/x.gguf", "starter", "ollama/x", "https://host/x.gguf"]
)
def test_what_is_written_again_means_the_same(text: str) -> None:
    assert str(parse_locator(text)) == text


def test_a_query_is_not_shown() -> None:
    assert str(parse_locator("https://host/x.gguf?signature=secret")) == "https://host/x.gguf"


@pytest.mark.parametrize("text", ["hf:o/n", "HF:o/n", "hf:", "https://h/x", "http://h", "ftp://x", "anything://at-all"])
def test_what_would_be_fetched_from_where_it_says_is_known_even_badly_written(text: str) -> None:
    assert is_remote(text)
    assert not is_path(text)


@pytest.mark.parametrize(
    "text", ["starter", "ollama/llama3.1", "owner/name", "hf.co/o/n", "gpt-4", "llama3.1:8b", "hfx"]
)
def test_names_of_models_are_neither_addresses_nor_paths(text: str) -> None:
    assert not is_remote(text)
    assert not is_path(text)
