"""How things are written."""

from __future__ import annotations

import pytest
from tests.unit.surfaces.cli.fakes import Terminal

from farmgate.surfaces.cli.out import Out
from farmgate.surfaces.cli.words import columns, duration, one_line, printable, size, tokens


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "-"), (0, "0 B"), (999, "999 B"), (1000, "1 kB"), (98_362_432, "98.4 MB"), (4_700_000_000, "4.7 GB")],
)
def test_sizes_are_in_powers_of_1000(count: int | None, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(("count", "text"), [(None, "-"), (0, "-"), (512, "512"), (8192, "8k"), (128_000, "128k")])
def test_context_lengths_are_short(count: int | None, text: str) -> None:
    assert tokens(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.412, "0.41 s"), (12.4, "12 s"), (200, "3 min 20 s")])
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert list(columns(("A", "B"), [("long name", "x"), ("s", "y")])) == [
        "A          B",
        "long name  x",
        "s          y",
    ]


def test_data_steers_no_terminal_and_reaches_a_pipe_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for is_terminal, shown in ((True, "a[2Jb\n"), (False, "a\x1b[2Jb\n")):
        stream = Terminal(is_terminal=is_terminal)
        monkeypatch.setattr("sys.stdout", stream)
        Out().data("a\x1b[2Jb")
        assert stream.getvalue() == shown


def test_nothing_steers_the_terminal() -> None:
    assert printable("a\x1b]0;title\x07b\nc\td\x9b") == "a]0;titleb\nc\td"
    assert one_line("a\r\n  b\x1b[2J") == "a b[2J"
