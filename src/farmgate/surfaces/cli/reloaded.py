"""What is said when the configuration was read anew. Pure: the reload in, lines out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from farmgate.surfaces.cli.panel import Facts, record
from farmgate.surfaces.cli.words import path_text

if TYPE_CHECKING:
    from farmgate.config.reloads import Reload

__all__ = ["Notices", "reload_lines", "reloaded_record"]

MOST_CHANGES = 20


class Notices:
    """What was said once is not said at every reload."""

    def __init__(self, said: Iterable[str] = ()) -> None:
        self._said = set(said)

    def new(self, notices: Iterable[str]) -> tuple[str, ...]:
        """Those not said yet; from now on they are."""
        fresh = tuple(notice for notice in notices if notice not in self._said)
        self._said.update(fresh)
        return fresh


def reload_lines(reload: Reload, notices: Iterable[str], default: str) -> Iterator[str]:
    """Lines for a person. The log has the problems; `default` is who answers when a request names nobody."""
    if reload.problems:
        yield "the configuration from before stays in use"
        return
    if reload.is_nothing:
        return
    if not reload.changes:
        yield f"reloaded: nothing changed, default {default}"
        return
    yield f"reloading {', '.join(map(path_text, reload.files)) or 'configuration'}"
    for change in reload.changes[:MOST_CHANGES]:
        yield f"  {change}"
    if len(reload.changes) > MOST_CHANGES:
        yield f"  ... and {len(reload.changes) - MOST_CHANGES} more"
    if reload.needs_restart:
        yield f"  at the next start: {', '.join(reload.needs_restart)}"
    for notice in notices:
        yield f"note: {notice}"
    yield f"reloaded: default {default}"


def reloaded_record(facts: Facts, reload: Reload) -> dict[str, object]:
    """The same for programs."""
    return {
        **record(facts, "reloaded"),
        "generation": reload.config.generation,
        "changed": [str(change) for change in reload.changes],
        "needsRestart": list(reload.needs_restart),
    }
