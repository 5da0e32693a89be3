"""The guide comes with Farmgate: it is there without a network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.engines.fakes import ignore

from farmgate.core.errors import Unavailable
from farmgate.engines.pulling.catalogue import CATALOGUE, GUIDE, STARTER
from farmgate.engines.pulling.shipped import Shipped
from farmgate.engines.pulling.sources import SourceFailed, matches
from farmgate.engines.pulling.weights import ModelStore

PACKAGED = Path(__file__).parents[4] / "src" / "farmgate" / "engines" / "pulling" / "guide.gguf"


def test_the_file_is_what_the_catalogue_says() -> None:
    assert matches(PACKAGED, size_bytes=GUIDE.size_bytes, sha256=GUIDE.sha256)


async def test_it_is_pulled_from_the_package_and_nothing_else_is(tmp_path: Path) -> None:
    assert not Shipped().offers(STARTER)
    store = ModelStore(tmp_path / "models", sources=(Shipped(),))
    path = await store.pull("guide", ignore)
    assert path.read_bytes() == PACKAGED.read_bytes()
    (info,) = store.models()
    assert (info.name, info.description) == ("guide", GUIDE.description)
    assert store.remove("guide")
    assert PACKAGED.is_file(), "what was deleted was a copy"


async def test_an_installation_without_it_says_so(tmp_path: Path) -> None:
    lost = replace(GUIDE, shipped="lost.gguf")
    with pytest.raises(SourceFailed, match="this installation is not whole"):
        await Shipped().fetch(lost, tmp_path / "x", ignore)
    store = ModelStore(tmp_path / "models", sources=(Shipped(),), catalogue={**CATALOGUE, "guide": lost})
    with pytest.raises(Unavailable, match=r"lost.gguf is not there"):
        await store.pull("guide", ignore)
