"""`farmgate doctor`: what is needed, whether it is there, and for each thing that is not, what to do."""

from __future__ import annotations

import asyncio
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from farmgate.core.errors import FarmError
from farmgate.core.model import Health, HealthStatus
from farmgate.surfaces.cli.exits import Exit
from farmgate.surfaces.cli.remote import RemoteGate
from farmgate.surfaces.cli.session import Session
from farmgate.surfaces.cli.words import path_text, size

if TYPE_CHECKING:
    from farmgate.config import Config, ConfigError
    from farmgate.surfaces.cli.house import House, OpenGate

__all__ = ["Check", "State", "doctor"]

LOW_DISK_BYTES = 1_000_000_000
OLDEST_PYTHON = (3, 11)


class State(StrEnum):
    """`warn`: Farmgate works without it; `fail`: it does not."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


COLOUR = {State.OK: "good", State.WARN: "warn", State.FAIL: "bad"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line. `fix` is what to do, where there is something to do."""

    name: str
    state: State
    text: str
    fix: str | None = None


def doctor(session: Session) -> Exit:
    """Print every check. 1 if something needed fails."""
    checks = []
    for check in examine(session):
        checks.append(check)
        show(session, check)
    failed = sum(check.state is State.FAIL for check in checks)
    warned = sum(check.state is State.WARN for check in checks)
    session.out.say(f"{failed} failed, {warned} to look at" if failed or warned else "all is well")
    return Exit.ERROR if failed else Exit.OK


def show(session: Session, check: Check) -> None:
    out = session.out
    if out.json:
        out.record({"name": check.name, "state": check.state, "text": check.text, "fix": check.fix})
        return
    state = out.paint(f"{check.state:<4}", COLOUR[check.state])
    out.data(f"{state}  {check.name:<12} {check.text}")
    if check.fix:
        out.data(f"{'':18} fix: {check.fix}")


def examine(session: Session) -> Iterator[Check]:
    """Every check in turn; those that need a configuration are left out when there is no valid one."""
    from farmgate.config import ConfigError

    yield check_python(sys.version_info[:3])
    try:
        config = session.load()
    except ConfigError as error:
        yield from wrong(error)
        return
    yield from check_config(session.house, config)
    yield from check_home(config.home)
    yield check_engine(session.house)
    yield check_weights(session.house, config)
    yield check_port(session.house, config)
    yield from check_gate(session.house, config)


def wrong(error: ConfigError) -> Iterator[Check]:
    for problem in error.problems:
        yield Check(name="config", state=State.FAIL, text=problem, fix="mend that, then: farmgate config check")


def check_python(version: tuple[int, ...]) -> Check:
    text = f"{'.'.join(map(str, version))} ({platform.system()} {platform.machine()})"
    if version >= OLDEST_PYTHON:
        return Check(name="python", state=State.OK, text=text)
    return Check(name="python", state=State.FAIL, text=text, fix="use Python 3.11 or newer")


def check_config(house: House, config: Config) -> Iterator[Check]:
    from farmgate.config import ConfigError

    source = path_text(config.source) if config.source else "no file, which is fine"
    try:
        notices = house.check(config)
    except ConfigError as error:
        yield from wrong(error)
        notices = ()
    else:
        yield Check(name="config", state=State.OK, text=f"{source} ({config.environment})")
    for notice in (*config.notices, *notices):
        yield Check(name="config", state=State.WARN, text=notice)
    if config.source is not None and not config.left_out:
        keyed = [name for name, one in config.ai.providers.items() if one.api_key]
        if keyed:
            yield Check(name="keys", state=State.OK, text=f"set for {', '.join(keyed)}")


def check_home(home: Path) -> Iterator[Check]:
    name = path_text(home)
    existing = next(path for path in (home, *home.parents) if path.exists())
    if not can_write(existing):
        yield Check(
            name="data",
            state=State.FAIL,
            text=f"{name} cannot be written to",
            fix="set FARM_HOME to a directory of yours",
        )
        return
    yield Check(name="data", state=State.OK, text=f"{name} can be written to")
    free = shutil.disk_usage(existing).free
    if free < LOW_DISK_BYTES:
        yield Check(
            name="disk", state=State.WARN, text=f"only {size(free)} free", fix="free some space, or move FARM_HOME"
        )
    else:
        yield Check(name="disk", state=State.OK, text=f"{size(free)} free")


def can_write(folder: Path) -> bool:
    """Tried, not asked: permissions do not tell of file systems that are read-only or no place for files."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def check_engine(house: House) -> Check:
    if house.has_engine():
        return Check(name="engine", state=State.OK, text="the engine for local models is installed")
    text = "the engine for local models is not installed"
    return Check(name="engine", state=State.WARN, text=text, fix="pip install 'farmgate[local]'")


def check_weights(house: House, config: Config) -> Check:
    models = house.weights(config).models()
    if models:
        return Check(name="models", state=State.OK, text=f"pulled: {', '.join(model.name for model in models)}")
    return Check(name="models", state=State.WARN, text="no model is pulled", fix="farmgate pull starter")


def check_port(house: House, config: Config) -> Check:
    server = config.server
    running = RemoteGate(server.host, server.port)
    if server.port and running.is_alive():
        return Check(name="address", state=State.OK, text=f"a Farmgate answers on {running.url}")
    try:
        house.listen(server.host, server.port).close()
    except OSError as error:
        fix = f"stop what listens there, or: farmgate dev --port {server.port + 1 if server.port < 65_535 else 8001}"
        return Check(name="address", state=State.FAIL, text=str(error), fix=fix)
    return Check(name="address", state=State.OK, text=f"{server.host}:{server.port} is free")


def check_gate(house: House, config: Config) -> Iterator[Check]:
    """Open a gate as a command would, and ask every provider how it is."""
    from farmgate.config import ConfigError

    async def looked() -> tuple[OpenGate, Mapping[str, Health]]:
        async with house.open(config) as gate:
            return gate, await gate.health()

    try:
        gate, healths = asyncio.run(looked())
    except ConfigError:
        return  # told already, with the configuration
    except FarmError as error:
        yield Check(name="gate", state=State.FAIL, text=error.message)
        return
    default = gate.default[0] if gate.default else None
    for name, health in healths.items():
        yield check_provider(name, health, is_needed=name == default)
    for finding in gate.findings:
        if not finding.is_there and finding.name not in healths:
            yield Check(name=finding.name, state=State.OK, text=f"not in use: {finding.text}")
    if gate.is_demo:
        fix = "farmgate pull starter, or start Ollama, or set OPENAI_API_KEY"
        yield Check(name="answers", state=State.WARN, text="nothing but the demo can answer", fix=fix)


def check_provider(name: str, health: Health, *, is_needed: bool) -> Check:
    match health.status:
        case HealthStatus.HEALTHY:
            count = len(health.models)
            return Check(name=name, state=State.OK, text=f"{count} model{'' if count == 1 else 's'}")
        case HealthStatus.LOADING:
            return Check(name=name, state=State.WARN, text=health.detail or "is loading", fix="wait a moment")
        case _:
            return Check(
                name=name,
                state=State.FAIL if is_needed else State.WARN,
                text=health.detail or "does not answer",
                fix="farmgate pull starter"
                if name == "local"
                else f"see that it runs and that ai.providers.{name} has the right url and apiKey, or disable it",
            )
