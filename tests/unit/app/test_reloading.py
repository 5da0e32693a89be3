"""One owner changes what runs: one build at a time, shared by all who wished, and the last good one goes on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.matrix.stage import Engine

from farmgate.app.entries import Entries
from farmgate.app.gate import Gate, Shared
from farmgate.app.reloading import Reloading
from farmgate.app.running import Running
from farmgate.config import Config, ConfigError, load
from farmgate.config.reloads import Reload
from farmgate.flow.health import Ward
from farmgate.stores.journal import MemoryJournal
from farmgate.stores.responses import NoResponses
from farmgate.telemetry import Telemetry
from farmgate.work.jobs import Jobs

DEMO = "ai: {{providers: {{demo: {{options: {{text: {text}}}}}}}}}"


class Files:
    """A configuration file, and whoever looks at it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "farm.config.yaml"
        self.folder = folder
        self.say("first")
        self.loads = 0
        self.asked = False

    def say(self, text: str) -> None:
        self.path.write_text(DEMO.format(text=text))

    def read(self) -> Config:
        return load(self.path, cwd=self.folder, environ={"HOME": str(self.folder)})

    def look(self) -> tuple[Path, ...] | None:
        asked, self.asked = self.asked, False
        return () if asked else None

    def load(self) -> Config:
        self.loads += 1
        return self.read()


class Stage:
    """A gate being served, and what was built and told."""

    def __init__(self, folder: Path) -> None:
        self.files = Files(folder)
        self.built: list[Gate] = []
        self.told: list[Reload] = []
        self.may_build = asyncio.Event()
        self.may_build.set()
        self.building = 0
        self.telemetry = Telemetry()
        nobody = Engine(url="", model="m")
        self.shared = Shared(
            telemetry=self.telemetry,
            journal=MemoryJournal(keep=0),
            responses=NoResponses(),
            jobs=Jobs(time.time),
            engines=nobody,
            ward=Ward(),
            weights=nobody,
            is_draining=lambda: False,
        )
        self.running = Running(self.gate(self.files.read()))
        self.reloading = Reloading(self.running, self.build, self.files, self.telemetry)

    def gate(self, config: Config) -> Gate:
        return Gate(config, Entries(entries=config.ai.providers), self.shared)

    async def build(self, config: Config) -> Gate:
        self.building += 1
        assert self.building == 1, "two builds at once"
        await self.may_build.wait()
        self.building -= 1
        self.built.append(self.gate(config))
        return self.built[-1]

    @property
    def text(self) -> object:
        return self.reloading.config.ai.providers["demo"].options["text"]

    def metric(self, name: str) -> str:
        lines = self.telemetry.render().decode().splitlines()
        return next(line.rpartition(" ")[2] for line in lines if line.startswith(name))


@contextlib.asynccontextmanager
async def staged(folder: Path) -> AsyncIterator[Stage]:
    stage = Stage(folder)
    owner = asyncio.create_task(stage.reloading.run(lambda reload, _: stage.told.append(reload)))
    try:
        yield stage
    finally:
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)
        await stage.running.stop()


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not is_true():
            await asyncio.sleep(0)


async def test_a_reload_swaps_whole_and_tells_what_changed(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        first = stage.running.gate
        stage.files.say("second")
        reload = await stage.reloading.reload()
        assert list(map(str, reload.changes)) == ["ai.providers.demo.options.text: first → second"]
        assert stage.running.gate is stage.built[0] is not first
        assert stage.text == "second"
        assert stage.told == [reload]
        again = await stage.reloading.reload()
        assert (again.ending, again.changes) == ("unchanged", ())
        assert len(stage.built) == 2
        assert stage.metric("farmgate_config_last_reload_success ") == "1.0"


async def test_everybody_who_wished_before_a_build_began_shares_it(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.may_build.clear()
        early = asyncio.create_task(stage.reloading.reload())
        await until(lambda: stage.building == 1)
        stage.files.say("second")
        late = [asyncio.create_task(stage.reloading.reload()) for _ in range(100)]
        await asyncio.sleep(0)
        stage.may_build.set()
        assert (await early).ending == "unchanged"
        told = await asyncio.gather(*late)
        assert all(reload is told[0] for reload in told)
        assert told[0].ending == "changed"
        assert (len(stage.built), stage.files.loads) == (2, 2)


async def test_one_who_leaves_takes_the_answer_from_nobody(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.may_build.clear()
        leaves, stays = (asyncio.create_task(stage.reloading.reload()) for _ in range(2))
        await until(lambda: stage.building == 1)
        leaves.cancel()
        stage.may_build.set()
        assert (await stays).ending == "unchanged"


async def test_what_cannot_be_used_is_told_and_the_last_good_one_goes_on(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        first = stage.running.gate
        for broken, says in (("a: [", "farm.config.yaml:1"), ("", "is empty"), ("log: {levle: x}", "levle")):
            stage.files.path.write_text(broken)
            reload = await stage.reloading.reload()
            assert reload.ending == "failed"
            assert says in reload.problems[0]
        stage.files.path.unlink()
        assert (await stage.reloading.reload()).problems
        assert stage.running.gate is first
        assert stage.built == []
        assert stage.metric("farmgate_config_last_reload_success ") == "0.0"
        assert stage.metric('farmgate_config_reloads_total{outcome="failed"}') == "4.0"
        stage.files.say("first")
        assert (await stage.reloading.reload()).ending == "unchanged"
        assert stage.metric("farmgate_config_last_reload_success ") == "1.0"


@pytest.mark.parametrize("error", [RuntimeError("SECRET"), ConfigError("no such provider")])
async def test_a_gate_that_cannot_be_made_changes_nothing(
    tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async with staged(tmp_path) as stage:

        async def fails(_: Config) -> Gate:
            raise error

        stage.reloading._build = fails
        stage.files.say("second")
        reload = await stage.reloading.reload()
        assert reload.ending == "failed"
        assert "SECRET" not in str(reload.problems) + caplog.text
        assert stage.text == "first"
        stage.reloading._build = stage.build
        assert (await stage.reloading.reload()).ending == "changed"


async def test_a_switch_holds_over_reloads_and_while_the_file_is_broken_until_it_is_taken_back(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.files.path.write_text("a: [")
        failed = await stage.reloading.reload()
        reload = await stage.reloading.switch({"streaming": False})
        assert stage.reloading.last is failed
        assert stage.metric("farmgate_config_last_reload_success ") == "0.0"
        assert list(map(str, reload.changes)) == ["ai.features.streaming: true → false"]
        stage.files.say("second")
        assert (await stage.reloading.reload()).mends
        assert (stage.text, stage.reloading.config.ai.features.streaming) == ("second", False)
        assert (await stage.reloading.switch({"streaming": False})).ending == "unchanged"
        assert len(stage.built) == 2
        await stage.reloading.switch({"streaming": None})
        assert stage.reloading.config.ai.features.streaming


async def test_a_signal_is_a_wish_like_any_other(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.files.say("second")
        stage.files.asked = True
        await stage.reloading.switch({"streaming": False})
        await until(lambda: len(stage.told) == 2)
        assert stage.text == "second"


async def test_a_gate_is_stopped_when_its_last_request_and_its_last_download_have_ended(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        first = stage.running.gate
        stopped = asyncio.Event()

        async def stop() -> None:
            stopped.set()

        first.stop = stop  # type: ignore[method-assign]  # to see it
        first.front.open = 1
        first._loads = 1
        await stage.reloading.reload()
        await stage.reloading.reload()
        assert not stopped.is_set()
        first.front.open = 0
        await stage.reloading.reload()
        assert not stopped.is_set()
        first._loads = 0
        await stage.reloading.reload()
        assert stopped.is_set()


async def test_whoever_still_waits_at_the_end_is_told_so(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.may_build.clear()
        waiting = asyncio.create_task(stage.reloading.reload())
        await until(lambda: stage.building == 1)
        queued = asyncio.create_task(stage.reloading.reload())
        await asyncio.sleep(0)
    assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], asyncio.CancelledError)
    assert isinstance((await asyncio.gather(queued, return_exceptions=True))[0], asyncio.CancelledError)
