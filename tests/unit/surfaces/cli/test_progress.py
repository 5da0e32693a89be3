"""Progress on a terminal, in a log and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.unit.surfaces.cli.fakes import Terminal

from farmgate.core.ports import Progress
from farmgate.surfaces.cli.out import Out
from farmgate.surfaces.cli.progress import Bar, bar_line

MB = 1_000_000


def steps(bar: Bar, *completed: int, status: str = "downloading") -> None:
    for count in completed:
        bar(Progress(status=status, completed=count * MB, total=100 * MB))


def ticking() -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += 1.0


def on_terminal(monkeypatch: pytest.MonkeyPatch, columns: int = 200) -> Terminal:
    """What is drawn from here on. Called by a test itself: capturing replaces the streams until it begins."""
    screen = Terminal(is_terminal=True)
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    return screen


def test_the_line_tells_share_bytes_rate_and_time_left() -> None:
    line = bar_line("starter", Progress(status="downloading", completed=40 * MB, total=100 * MB), 10 * MB)
    assert line == "starter  downloading  [##########--------------]  40 %  40.0 of 100.0 MB  10.0 MB/s  6 s left"


def test_eighty_columns_are_enough_for_the_bar_and_every_figure() -> None:
    progress = Progress(status="pip download", completed=40 * MB, total=100 * MB)
    line = bar_line("starter", progress, 10 * MB, 80)
    assert line == "starter  pip download  [####-----]  40 %  40.0 of 100.0 MB  10.0 MB/s  6 s left"
    assert len(line) < 80


def test_where_there_is_no_room_for_a_bar_the_figures_stay() -> None:
    line = bar_line("starter", Progress(status="downloading", completed=400_000, total=100 * MB), 10 * MB, 60)
    assert line == "starter  downloading    0 %  400 kB of 100.0 MB  10.0 MB/s  10 s left"


def test_an_unknown_size_has_no_bar() -> None:
    assert bar_line("m", Progress(status="loading"), 0.0) == "m  loading"


def test_off_a_terminal_there_is_a_line_per_ten_percent(capsys: pytest.CaptureFixture[str]) -> None:
    steps(Bar("starter", Out()), *range(0, 101, 2))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11
    assert lines[4] == "starter: downloading 40 % (40.0 MB of 100.0 MB)"


def test_for_programs_every_line_is_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    clock = ticking()
    steps(Bar("starter", Out(json=True), lambda: next(clock)), 0, 50, 100)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert told[-1] == {"status": "downloading", "completed": 100 * MB, "total": 100 * MB}
    assert len(told) == 3


def test_what_is_shown_never_goes_back(capsys: pytest.CaptureFixture[str]) -> None:
    clock = ticking()
    steps(Bar("starter", Out(json=True), lambda: next(clock)), 10, 40, 30, 35, 50)
    completed = [json.loads(line)["completed"] // MB for line in capsys.readouterr().out.splitlines()]
    assert completed == [10, 40, 40, 40, 50]


def test_a_download_that_goes_on_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    steps(Bar("starter", Out()), 42, 43)
    assert capsys.readouterr().err.startswith("starter: resuming at 42 %\n")


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    steps(Bar("starter", Out(quiet=True)), 42, 100)
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_one_line_is_drawn_over(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = on_terminal(monkeypatch)
    out = Out()
    clock = ticking()
    bar = Bar("starter", out, lambda: next(clock))
    steps(bar, 0, 50, 100)
    steps(bar, 10, status="verifying")
    out.say("done")
    shown = screen.getvalue()
    assert shown.count("\r") == 4
    assert shown.count("\n") == 3  # below each of the two drawn lines, and after "done"
    assert shown.endswith("\ndone\n")


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = on_terminal(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    steps(Bar("starter", Out()), 50)
    assert "50 %" in screen.getvalue()
    assert "\r" not in screen.getvalue()


def test_checking_what_is_there_is_no_download_that_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    steps(Bar("starter", Out()), 42, status="verifying")
    assert "resuming" not in capsys.readouterr().err


def test_no_color_means_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    on_terminal(monkeypatch)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert Out().paint("ok", "good") == "\x1b[32mok\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Out().paint("ok", "good") == "ok"


def test_a_line_wider_than_the_terminal_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = on_terminal(monkeypatch, columns=20)
    steps(Bar("starter", Out()), 0)
    assert screen.getvalue() == "\rstarter  downloadin\x1b[K"
