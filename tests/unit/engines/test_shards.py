from __future__ import annotations

from pathlib import Path

import pytest

from farmgate.engines.shards import shard_in, shards_of, weights_bytes


@pytest.mark.parametrize(
    "name",
    [
        "x.gguf",
        "x-1-of-3.gguf",
        "x-00000-of-00003.gguf",
        "x-00004-of-00003.gguf",
        "x-00001-of-00003.bin",
        "00001-of-00003.gguf",
    ],
)
def test_what_is_not_one_of_several_is_alone(name: str) -> None:
    assert shard_in(name) is None
    assert shards_of(Path("a") / name) == (Path("a") / name,)


def test_a_part_knows_the_others() -> None:
    shard = shard_in("deep/x-00002-of-00003.gguf")
    assert shard is not None
    assert (shard.stem, shard.number, shard.count, shard.name(1)) == ("deep/x", 2, 3, "deep/x-00001-of-00003.gguf")
    assert [path.name for path in shards_of(Path("x-00001-of-00002.gguf"))] == [
        f"x-0000{n}-of-00002.gguf" for n in (1, 2)
    ]


def test_a_name_that_claims_thousands_of_parts_is_not_believed() -> None:
    assert len(shards_of(Path("x-00001-of-99999.gguf"))) == 1


def test_weights_are_all_of_their_files(tmp_path: Path) -> None:
    for name, size in (("a.gguf", 3), ("x-00001-of-00002.gguf", 5), ("x-00002-of-00002.gguf", 7)):
        (tmp_path / name).write_bytes(bytes(size))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "model.safetensors").write_bytes(bytes(11))
    assert weights_bytes(tmp_path / "a.gguf") == 3
    assert weights_bytes(tmp_path / "x-00001-of-00002.gguf") == 12
    assert weights_bytes(tmp_path / "folder") == 11
    (tmp_path / "x-00002-of-00002.gguf").unlink()
    with pytest.raises(FileNotFoundError):
        weights_bytes(tmp_path / "x-00001-of-00002.gguf")
