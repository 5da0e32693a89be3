"""`farmgate dev`: start what is missing, get a model if there is none, serve, and listen to the keyboard."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from farmgate import __version__
from farmgate.surfaces.cli.exits import Exit
from farmgate.surfaces.cli.keyboard import is_there, listen_to_keys, single_keys
from farmgate.surfaces.cli.models import HEAD, row_of
from farmgate.surfaces.cli.panel import default_text, keys_line, panel, record
from farmgate.surfaces.cli.reloaded import Notices, reload_lines, reloaded_record
from farmgate.surfaces.cli.serving import facts_of, listen, reload_on_hangup, run_loop, url_of
from farmgate.surfaces.cli.session import Session
from farmgate.surfaces.cli.starter import try_starter
from farmgate.surfaces.cli.uv import again_with_engine, uv_command
from farmgate.surfaces.cli.watch import Watch
from farmgate.surfaces.cli.words import columns

if TYPE_CHECKING:
    import socket

    from farmgate.config import Config
    from farmgate.config.reloads import Reload
    from farmgate.surfaces.cli.house import OpenGate

__all__ = ["dev"]

DEVELOPMENT = "development"


def dev(session: Session, *, host: str | None, port: int | None, pull: bool) -> Exit:
    """Until q, Ctrl-C or SIGTERM; requests in flight are finished first."""
    session.out.say(f"farmgate {__version__}: reading the configuration, looking for models")
    environment = session.options.environment or DEVELOPMENT

    def load() -> Config:
        config = session.load(environment=environment, overrides={"server.host": host, "server.port": port})
        return quiet(config if pull else without_pulls(config))

    config = load()
    said = config.variable("FARM_ENV")
    if said not in (None, environment):
        session.out.say(f"note: FARM_ENV is {said}, but dev runs {environment}: --env {said} changes that")
    start_again_with_engine(session, config)
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(listen(session, config))
        run_loop(DevServer(session, Watch(config, load), sock).live(config, pull=pull))
    return Exit.OK


def start_again_with_engine(session: Session, config: Config) -> None:
    """Where uvx started us without the engine and nothing else can answer. Then it does not return."""
    if session.house.has_engine() or config.ai.providers:
        return
    uv = uv_command()
    if uv is not None and run_loop(is_demo(session, config)):
        again_with_engine(uv, session.begun.arguments, session.out)


async def is_demo(session: Session, config: Config) -> bool:
    async with session.house.open(config) as gate:
        return gate.is_demo


def quiet(config: Config) -> Config:
    """The panel tells what `info` would; who wants both says so with `log.level`."""
    if config.origin("log.level").where != "default":
        return config
    return replace(config, log=config.log.model_copy(update={"level": "warning"}))


def without_pulls(config: Config) -> Config:
    """The same with every `autoPull` empty or off."""
    providers = {name: one.model_copy(update={"auto_pull": ()}) for name, one in config.ai.providers.items()}
    models = {name: one.model_copy(update={"auto_pull": False}) for name, one in config.models.items()}
    return replace(config, ai=config.ai.model_copy(update={"providers": providers}), models=models)


class DevServer:
    """One `farmgate dev` under way."""

    def __init__(self, session: Session, watch: Watch, sock: socket.socket) -> None:
        self._session = session
        self._out = session.out
        self._watch = watch
        self._notices = Notices()
        self._sock = sock
        self._url = url_of(sock)
        self._gate: OpenGate | None = None
        self._has_keys = False

    async def live(self, config: Config, *, pull: bool) -> None:
        """Prepare, serve, end."""
        self._config = config
        self._notices.new(config.notices)
        house = self._session.house
        for finding in await house.prepare(config, self._out.progress):
            self._out.say(f"{finding.name}: {finding.text}")
        if pull and await self._lacks_model(config):
            await try_starter(self._session, config)
        with self._keyboard():
            await house.serve(config, self._sock, ready=self._ready, reload=self._watch, reloaded=self._reloaded)

    async def _lacks_model(self, config: Config) -> bool:
        """Whether the starter model would make the difference. Opening a gate to see costs, so it is asked last."""
        house = self._session.house
        if not house.has_engine() or "demo" in config.ai.providers or house.weights(config).models():
            return False
        return await is_demo(self._session, config)

    @contextlib.contextmanager
    def _keyboard(self) -> Iterator[None]:
        if not (self._out.moves and is_there()):
            yield
            return
        with single_keys(sys.stdin.fileno()) as has_keys:
            self._has_keys = has_keys
            yield

    def _ready(self, gate: OpenGate, stop: Callable[[], None]) -> None:
        self._gate = gate
        reload_on_hangup(self._watch.ask)
        facts = facts_of(self._session, self._config, gate, self._url)
        if self._out.json:
            self._out.record(record(facts, "ready"))
            return
        keys = {"r": "reload", "m": "models", "h": "this list", "q": "quit"} if self._has_keys else {}
        for line in panel(facts, keys):
            self._out.say(line)
        if keys:
            actions = {"r": self._watch.ask, "m": self._models, "h": lambda: self._out.say(keys_line(keys))}
            listen_to_keys(sys.stdin.fileno(), {**actions, "q": self._quit(stop)})

    def _quit(self, stop: Callable[[], None]) -> Callable[[], None]:
        def quit_now() -> None:
            self._out.say("finishing what is in flight (q again ends it)")
            stop()

        return quit_now

    def _reloaded(self, reload: Reload, gate: OpenGate) -> None:
        self._gate = gate
        for line in reload_lines(reload, self._notices.new(reload.warnings), default_text(gate.default)):
            self._out.say(line)
        if reload.problems or reload.is_nothing:
            return
        if self._out.json:
            self._out.record(reloaded_record(facts_of(self._session, reload.config, gate, self._url), reload))
            return
        for finding in gate.findings:
            if not finding.is_there:
                self._out.say(f"  {finding.name}: {finding.text}")

    def _models(self) -> None:
        rows = [row_of(model) for model in self._gate.models()] if self._gate else []
        for line in columns(HEAD, rows):
            self._out.say(f"  {line}")
