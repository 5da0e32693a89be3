"""What a command prints: data on stdout, everything said about it on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from shutil import get_terminal_size
from typing import TYPE_CHECKING, TextIO

from farmgate.surfaces.cli.words import columns, one_line, printable

if TYPE_CHECKING:
    from farmgate.core.ports import Report

__all__ = ["Out"]

COLOURS = {"good": "32", "bad": "31", "warn": "33", "dim": "2", "bold": "1"}


class Out:
    """One command's output. `json`: data and errors are JSON, an object per line; `quiet`: data and errors only.

    Streams are looked up when they are used, so that whoever replaces `sys.stdout` is heard.
    """

    def __init__(self, *, json: bool = False, quiet: bool = False) -> None:
        self.json = json
        self.quiet = quiet
        self._is_sketching = False

    @property
    def moves(self) -> bool:
        """Whether a line may be drawn over: on a terminal that can, for a person who looks."""
        if self.json or self.quiet or not sys.stderr.isatty():
            return False
        from farmgate.config.process import variable

        return variable("TERM") != "dumb"

    @property
    def has_colours(self) -> bool:
        from farmgate.config.process import variable

        return self.moves and variable("NO_COLOR") is None

    def data(self, text: str, *, end: str = "\n") -> None:
        """What was asked for. Nothing in it steers a terminal."""
        if sys.stdout.isatty():
            self.end_sketch()
            text = printable(text)
        write(sys.stdout, text + end)

    @property
    def data_moves(self) -> bool:
        """Whether data may be drawn over, too: both go to a terminal that can."""
        return self.moves and sys.stdout.isatty()

    def clear(self) -> None:
        """An empty screen, for data that are drawn anew. Only where `data_moves`."""
        write(sys.stdout, "\x1b[2J\x1b[H")

    def record(self, value: object) -> None:
        """One JSON object, as a line of data."""
        write(sys.stdout, json.dumps(value, ensure_ascii=False, default=str) + "\n")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Aligned columns, as data."""
        for line in columns(head, rows):
            self.data(line)

    def say(self, text: str = "") -> None:
        """Something about what happens."""
        self.end_sketch()
        if self.quiet:
            return
        if not self.json:
            write(sys.stderr, text + "\n")
        elif text.strip():
            write(sys.stderr, json.dumps({"note": text.strip()}, ensure_ascii=False) + "\n")

    def sketch(self, text: str) -> None:
        """Draw the last line anew. Only where it `moves`."""
        self._is_sketching = True
        write(sys.stderr, f"\r{text[: get_terminal_size().columns - 1]}\x1b[K")

    def erase_sketch(self) -> None:
        """Take away what was drawn, if nothing was said since."""
        if self._is_sketching:
            self._is_sketching = False
            write(sys.stderr, "\r\x1b[K")

    def end_sketch(self) -> None:
        """What was drawn stays; the next text begins below it."""
        if self._is_sketching:
            self._is_sketching = False
            write(sys.stderr, "\n")

    def fail(self, message: str, *, error: Mapping[str, object] | None = None) -> None:
        """What ended the command: one line, or `error` as JSON."""
        self.end_sketch()
        if self.json:
            told = error or {"message": message, "type": "error", "param": None, "code": "error"}
            write(sys.stderr, json.dumps({"error": told}, ensure_ascii=False) + "\n")
            return
        write(sys.stderr, f"{self.paint('error:', 'bad')} {one_line(message)}\n")

    def paint(self, text: str, colour: str) -> str:
        """`text` in a colour, where there are any."""
        return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if self.has_colours else text

    def progress(self, title: str) -> Report:
        """Shows how far something called `title` is."""
        from farmgate.surfaces.cli.progress import Bar

        return Bar(title, self)


def write(stream: TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()
