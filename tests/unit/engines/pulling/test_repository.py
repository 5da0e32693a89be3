"""What the hub tells of a repository, whole, cut off, and hostile."""

from __future__ import annotations

import json

import pytest

from farmgate.engines.pulling.repository import RepositoryFile, read_repository
from farmgate.engines.pulling.sources import SourceFailed

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SHA256 = "ab" * 32
TOLD = {
    "_id": "1",
    "id": "owner/name",
    "sha": COMMIT,
    "gated": False,
    "cardData": {"license": "apache-2.0", "language": ["en"]},
    "tags": ["license:mit"],
    "siblings": [
        {"rfilename": "config.json", "size": 12, "blobId": "1" * 40},
        {
            "rfilename": "deep/model.gguf",
            "size": 5_000_000_000,
            "blobId": "2" * 40,
            "lfs": {"sha256": SHA256, "size": 5_000_000_000, "pointerSize": 135},
        },
    ],
}


def test_files_come_with_size_and_the_hash_that_is_of_their_bytes() -> None:
    repository = read_repository(json.dumps(TOLD).encode(), asked="old/name")
    assert (repository.name, repository.commit, repository.licence) == ("owner/name", COMMIT, "apache-2.0")
    assert repository.files == (
        RepositoryFile(path="config.json", size_bytes=12, blob_sha1="1" * 40),
        RepositoryFile(path="deep/model.gguf", size_bytes=5_000_000_000, sha256=SHA256),
    )


@pytest.mark.parametrize(
    "path",
    [
        *(
            "../x",
            "a/../x",
            "/etc/passwd",
            "a//b",
            "",
            ".hidden",
            "a/.git/config",
            "..",
            "a\\b",
            "x\0.json",
            "x\n.json",
        ),
        *("a/..b", "x/" * 600),
    ],
)
def test_a_path_that_leads_elsewhere_is_left_out(path: str) -> None:
    told = TOLD | {"siblings": [{"rfilename": path, "size": 1}, {"rfilename": "config.json", "size": 2}]}
    repository = read_repository(json.dumps(told).encode(), asked="owner/name")
    assert [file.path for file in repository.files] == ["config.json"]


@pytest.mark.parametrize(
    "sibling", [{"rfilename": "x"}, {"rfilename": "x", "size": -1}, {"rfilename": "x", "size": 1 << 60}]
)
def test_a_file_without_a_size_that_can_be_is_left_out(sibling: object) -> None:
    assert read_repository(json.dumps(TOLD | {"siblings": [sibling]}).encode(), asked="o/n").files == ()


@pytest.mark.parametrize("lfs", [{}, {"sha256": "short"}, {"sha256": None}, {"oid": SHA256}])
def test_a_hash_that_is_none_is_not_believed(lfs: object) -> None:
    told = TOLD | {"siblings": [{"rfilename": "x", "size": 3, "blobId": "2" * 40, "lfs": lfs}]}
    (file,) = read_repository(json.dumps(told).encode(), asked="o/n").files
    assert (file.sha256, file.blob_sha1) == (None, None)


@pytest.mark.parametrize(
    ("card", "tags", "licence"),
    [
        ({"license": "mit"}, [], "mit"),
        ({"license": ["mit", "apache-2.0"]}, [], "mit, apache-2.0"),
        ({"license": "other", "license_name": "llama3.2"}, [], "llama3.2"),
        ({"license": "other"}, [], "other"),
        (None, ["license:gemma"], "gemma"),
        ({}, [], None),
        ("text", ["x"], None),
        ({"license": "\x1b[31mred"}, [], None),
        ({"license": 7}, [], None),
    ],
)
def test_the_licence_is_the_cards_or_the_tags(card: object, tags: list[str], licence: str | None) -> None:
    told = TOLD | {"cardData": card, "tags": tags}
    assert read_repository(json.dumps(told).encode(), asked="o/n").licence == licence


@pytest.mark.parametrize(
    "told", [{"sha": "main"}, {"sha": COMMIT[:-1]}, {"siblings": {}}, {"siblings": [1]}, {"sha": None}]
)
def test_an_answer_that_is_no_hubs_is_refused(told: dict[str, object]) -> None:
    with pytest.raises(SourceFailed):
        read_repository(json.dumps(TOLD | told).encode(), asked="o/n")


@pytest.mark.parametrize("name", ["", "plain", "a/b/c", "../x", "a/../b", "a b/c", "x/"])
def test_a_name_that_is_none_is_not_taken_over(name: str) -> None:
    assert read_repository(json.dumps(TOLD | {"id": name}).encode(), asked="owner/asked").name == "owner/asked"


def test_cut_off_anywhere_it_is_no_answer() -> None:
    body = json.dumps(TOLD).encode()
    for end in range(len(body)):
        with pytest.raises(SourceFailed):
            read_repository(body[:end], asked="o/n")
    with pytest.raises(SourceFailed):
        read_repository(b"[" * 100_000, asked="o/n")
