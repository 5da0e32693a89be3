"""Files are read when their writer has finished, and no change is missed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from farmgate.config import Config, load
from farmgate.surfaces.cli.watch import MOST_LOOKS, MOST_READS, Watch


class Folder:
    """A configuration file, and what its writer does while somebody waits for it or reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path / "farm.config.yaml"
        self.file.write_text("log: {level: info}\n")
        self.pauses: list[Callable[[], object]] = []
        self.waited = 0
        self.reads = 0
        self.while_read: Callable[[], object] = lambda: None
        self.watch = Watch(self.read(), self.load, pause=self.pause)

    def read(self) -> Config:
        return load(self.file, cwd=self.path, environ={"HOME": str(self.path)})

    def load(self) -> Config:
        self.reads += 1
        config = self.read()
        self.while_read()
        return config

    def pause(self, _: float) -> None:
        self.waited += 1
        if self.pauses:
            self.pauses.pop(0)()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_nothing_new_costs_no_wait(folder: Folder) -> None:
    assert folder.watch.look() is None
    assert folder.waited == 0
    folder.watch.ask()
    assert folder.watch.look() == ()
    assert folder.watch.look() is None


def test_a_file_is_not_read_while_it_is_written(folder: Folder) -> None:
    folder.file.write_text("")
    folder.pauses = [
        lambda: folder.file.write_text("log:\n"),
        lambda: folder.file.write_text("log:\n  level: debug\n"),
    ]
    assert folder.watch.look() == (folder.file,)
    assert folder.waited == 3
    assert folder.watch.load().log.level == "debug"
    assert folder.watch.look() is None


def test_a_writer_who_never_ends_is_not_waited_for_for_ever(folder: Folder) -> None:
    folder.file.write_text("log: {}\n")
    folder.pauses = [lambda: folder.file.write_text(f"log: {{}} #{' ' * folder.waited}\n")] * 100
    assert folder.watch.look() == (folder.file,)
    assert folder.waited == MOST_LOOKS


def test_a_file_changed_while_it_was_read_is_read_again(folder: Folder) -> None:
    def once() -> None:
        folder.while_read = lambda: None
        folder.file.write_text("log: {level: error}\n")

    folder.while_read = once
    assert folder.watch.load().log.level == "error"
    assert folder.reads == 2
    folder.while_read = lambda: folder.file.write_text(f"log: {{}} #{' ' * folder.reads}\n")
    folder.watch.load()
    assert folder.reads == 2 + MOST_READS


def test_a_file_named_by_a_new_configuration_is_watched_from_then_on(folder: Folder) -> None:
    token = folder.path / "token"
    token.write_text("debug")
    folder.file.write_text("log: {level: '${file:token}'}\n")
    assert folder.watch.look() == (folder.file,)
    assert folder.watch.load().log.level == "debug"
    token.write_text("error")
    assert folder.watch.look() == (token,)
    assert folder.watch.load().log.level == "error"


@pytest.mark.parametrize("name", [".env", ".env.development", "farm.config.development.yaml"])
def test_a_file_that_appears_is_seen(folder: Folder, name: str) -> None:
    (folder.path / name).write_text("# nothing\n")
    assert folder.watch.look() == (folder.path / name,)
