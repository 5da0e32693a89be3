"""Events for people and machines, on stderr: what is said never holds up who says it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path

__all__ = ["Sink", "configure_logging", "log", "log_like_a_command"]

LINES_WAITING = 10_000
"""Lines of the log that may wait for whoever reads it."""
LAST_LINES_S = 1.0


class Log:
    """Events with fields. Values are names, numbers and reasons: never prompts, keys or answers."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, event: str, **fields: object) -> None:
        self._say(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._say(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._say(logging.ERROR, event, fields)

    def traceback(self, error: BaseException) -> None:
        """Where a mistake of our own was made. Exception texts may hold a caller's words, so only places are told."""
        places = traceback.extract_tb(error.__traceback__)
        self._logger.error("at %s", " < ".join(f"{Path(p.filename).name}:{p.lineno}" for p in reversed(places)))

    def _say(self, level: int, event: str, fields: Mapping[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            told = " ".join(f"{name}={printable(str(value))}" for name, value in fields.items())
            self._logger.log(level, "%s %s", event, told, extra={"event": event, "fields": dict(fields)})


def printable(value: str) -> str:
    """A value that cannot begin a line of its own."""
    return value if value.isprintable() else repr(value)


log = Log("farmgate")


class JsonLines(logging.Formatter):
    """One JSON object per event."""

    def format(self, record: logging.LogRecord) -> str:
        told = {"time": self.formatTime(record), "level": record.levelname.lower()}
        fields: dict[str, object] = getattr(record, "fields", {})
        event = getattr(record, "event", None) or record.getMessage()
        return json.dumps(told | {"event": event} | fields, default=str)


class Sink(logging.Handler):
    """Lines for stderr, written by a thread: where nobody reads them they are lost and counted, and nobody waits."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = 0
        self._lines: queue.Queue[str] = queue.Queue(LINES_WAITING)
        # A daemon: one that cannot write keeps no process from ending.
        threading.Thread(target=self._write, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(self.format(record) + "\n")
        except queue.Full:
            self.lost += 1
        except Exception:  # noqa: BLE001 - logging's own rule: a record that cannot be told breaks nothing
            self.handleError(record)

    def _write(self) -> None:
        while True:
            line = self._lines.get()
            with contextlib.suppress(OSError, ValueError):
                write_line(line)
            self._lines.task_done()

    def flush(self) -> None:
        """Wait until all is written, but not for long. Called by logging when the process ends."""
        with self._lines.all_tasks_done:
            self._lines.all_tasks_done.wait_for(lambda: not self._lines.unfinished_tasks, LAST_LINES_S)


def write_line(line: str) -> None:
    """To stderr, past its buffer: a thread that hangs in that would hold its lock when the process ends."""
    try:
        descriptor = sys.stderr.fileno()
    except (OSError, ValueError):
        sys.stderr.write(line)
        return
    data = line.encode(errors="backslashreplace")
    while data:
        data = data[os.write(descriptor, data) :]


def configure_logging(*, level: str, as_json: bool) -> None:
    """Send events of that level and above to stderr. Called by whoever serves, again when that is to change."""
    root = logging.getLogger()
    handler = next((one for one in root.handlers if isinstance(one, Sink)), None) or Sink()
    handler.setFormatter(JsonLines() if as_json else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("farmgate").setLevel(level.upper())


def log_like_a_command() -> None:
    """For commands that say themselves how they ended: only what is lost otherwise, and no dates."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("note: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    logging.getLogger("farmgate").setLevel(logging.ERROR)
