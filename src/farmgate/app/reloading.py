"""One owner changes what runs: files, signals and admins all wish, and one build at a time fulfils what was wished."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from farmgate.app.entries import check_entries
from farmgate.app.gate import Gate
from farmgate.app.running import Running
from farmgate.config import Config, ConfigError
from farmgate.config.changes import differences, needs_restart
from farmgate.config.features import switched
from farmgate.config.following import check_following
from farmgate.config.reloads import Reload, Source
from farmgate.telemetry import Telemetry, log

__all__ = ["Reloading"]

LOOK_EVERY_S = 0.5

Build: TypeAlias = Callable[[Config], Awaitable[Gate]]
Told: TypeAlias = Callable[[Reload, Gate], None]


@dataclass(slots=True, kw_only=True)
class Wish:
    """What the next build is to do. Everybody who wishes before it begins shares it.

    `is_asked`: a gate is made even if no setting changed, for it looks again at what there is.
    """

    done: asyncio.Future[Reload]
    reads: bool = False
    features: dict[str, bool | None] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    is_asked: bool = False


class Reloading:
    """Fills the admin API's Administration. Nothing happens but while `run` runs."""

    def __init__(self, running: Running, build: Build, source: Source | None, telemetry: Telemetry) -> None:
        """`source` None: what was read at the start is read no more."""
        self._running = running
        self._build = build
        self._source = source
        self._telemetry = telemetry
        self._started = self._read = running.gate.config
        self._overrides: dict[str, bool] = {}
        self._wish: Wish | None = None
        self._wake = asyncio.Event()
        self.loaded_unix = time.time()
        self.last: Reload | None = None

    # ----------------------------------------------------------------------------------------------- who wishes

    @property
    def config(self) -> Config:
        return self._running.gate.config

    @property
    def needs_restart(self) -> tuple[str, ...]:
        return needs_restart(differences(self._started, self.config))

    async def reload(self) -> Reload:
        """Read everything anew, in the first build that begins after this call."""
        wish = self._next()
        wish.reads = wish.is_asked = True
        # Shielded: one caller who leaves must not take the answer from the others.
        return await asyncio.shield(wish.done)

    async def switch(self, features: Mapping[str, bool | None]) -> Reload:
        """Switch features on top of the configuration; None takes a switch back. Files are not read."""
        wish = self._next()
        wish.features |= features
        return await asyncio.shield(wish.done)

    def _next(self) -> Wish:
        if self._wish is None:
            self._wish = Wish(done=asyncio.get_running_loop().create_future())
            self._wake.set()
        return self._wish

    # ----------------------------------------------------------------------------------------------- who fulfils

    async def run(self, told: Told) -> None:
        """Look at the files and fulfil wishes until cancelled. `told` hears of every reload."""
        wish: Wish | None = None
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await self._wake.wait()
                await self._running.let_go()
                wish = await self._take()
                if wish is not None:
                    reload = await self._fulfil(wish)
                    self._note(wish, reload)
                    # Who cannot be told, as a closed terminal, does not end what runs.
                    with contextlib.suppress(OSError):
                        told(reload, self._running.gate)
                    wish.done.set_result(reload)
        finally:
            for left in filter(None, (wish, self._wish)):
                left.done.cancel()

    async def _take(self) -> Wish | None:
        """What is wished, or what the files say."""
        if self._wish is None and self._source is not None:
            files = await asyncio.to_thread(self._source.look)
            if files is not None:
                wish = self._next()
                wish.reads = True
                wish.files = files
                wish.is_asked = wish.is_asked or not files
        taken, self._wish = self._wish, None
        self._wake.clear()
        return taken

    async def _fulfil(self, wish: Wish) -> Reload:
        """A new gate in place of the present one; or the reasons against it, and the present one goes on."""
        before = self.config
        try:
            read = await asyncio.to_thread(self._load) if wish.reads else self._read
            overrides = {**self._overrides, **wish.features}
            kept = {name: value for name, value in overrides.items() if value is not None}
            config = switched(read, kept)
            warnings = tuple(dict.fromkeys((*config.notices, *check_entries(config))))
            changes = differences(before, config)
            if changes or wish.is_asked:
                await asyncio.to_thread(lambda: config.generation)
                self._running.exchange(await self._build(config))
            self._read, self._overrides = read, kept
        except ConfigError as error:
            return self._failed(wish, error.problems)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a new gate must not end the one that runs
            log.traceback(error)
            return self._failed(wish, (f"the providers cannot be made: {type(error).__name__}: the log has its place",))
        self.loaded_unix = time.time()
        return Reload(
            at_unix=self.loaded_unix,
            config=self.config,
            files=wish.files,
            changes=changes,
            needs_restart=needs_restart(changes),
            warnings=warnings,
            mends=wish.reads and self.last is not None and bool(self.last.problems),
        )

    def _load(self) -> Config:
        if self._source is None:
            return self._read
        read = self._source.load()
        check_following(self._read, read)
        return read

    def _failed(self, wish: Wish, problems: tuple[str, ...]) -> Reload:
        return Reload(at_unix=time.time(), config=self.config, files=wish.files, problems=problems)

    def _note(self, wish: Wish, reload: Reload) -> None:
        """For the log and the metrics. A switch reads nothing: it cannot mend what was last read."""
        if reload.ending != "failed":
            changed = ", ".join(change.path for change in reload.changes) or "nothing"
            log.info("config_reloaded", generation=reload.config.generation, changed=changed)
        elif self.last is None or self.last.problems != reload.problems:
            # Once: a storm of reloads of the same broken file says nothing new.
            for problem in reload.problems:
                log.warning("not_reloaded", reason=problem)
        if wish.reads:
            self._telemetry.config_reloaded(reload.ending)
            self.last = reload
