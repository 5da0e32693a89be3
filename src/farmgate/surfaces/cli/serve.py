"""`farmgate serve`: production by default, one line when ready, nothing asked and nothing pulled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from farmgate.surfaces.cli.exits import Exit
from farmgate.surfaces.cli.panel import advice, default_text, ready_line, record
from farmgate.surfaces.cli.reloaded import Notices, reload_lines, reloaded_record
from farmgate.surfaces.cli.serving import facts_of, listen, reload_on_hangup, run_loop, url_of
from farmgate.surfaces.cli.session import Session
from farmgate.surfaces.cli.watch import Watch

if TYPE_CHECKING:
    from farmgate.config import Config
    from farmgate.config.reloads import Reload
    from farmgate.surfaces.cli.house import OpenGate

__all__ = ["serve"]


def serve(session: Session, *, host: str | None, port: int | None) -> Exit:
    """Until SIGTERM or SIGINT, then drain."""
    from farmgate.config.process import environment_said

    out = session.out
    environment = session.options.environment or environment_said(session.options.config) or "production"

    def load() -> Config:
        return session.load(environment=environment, overrides={"server.host": host, "server.port": port})

    config = load()
    watch = Watch(config, load)
    with listen(session, config) as sock:
        url = url_of(sock)

        def ready(gate: OpenGate, stop: Callable[[], None]) -> None:
            reload_on_hangup(watch.ask)
            facts = facts_of(session, config, gate, url)
            if out.json:
                out.record({**record(facts, "ready"), "notices": [*facts.notices, *dev_only(config)]})
                return
            for notice in (*facts.notices, *dev_only(config)):
                out.say(f"note: {notice}")
            if facts.is_demo:
                for line in advice(facts):
                    out.say(line)
            out.say(ready_line(facts))

        notices = Notices(config.notices)

        def reloaded(reload: Reload, gate: OpenGate) -> None:
            for line in reload_lines(reload, notices.new(reload.warnings), default_text(gate.default)):
                out.say(line)
            if out.json and not (reload.problems or reload.is_nothing):
                out.record(reloaded_record(facts_of(session, reload.config, gate, url), reload))

        run_loop(session.house.serve(config, sock, ready=ready, reload=watch, reloaded=reloaded))
    return Exit.OK


def dev_only(config: Config) -> list[str]:
    """Settings that only `farmgate dev` acts on."""
    return [
        f"ai.providers.{name}: autoStart and autoPull are for `farmgate dev`; nothing is started or pulled here"
        for name, provider in config.ai.providers.items()
        if provider.enabled and (provider.auto_start or provider.auto_pull)
    ]
