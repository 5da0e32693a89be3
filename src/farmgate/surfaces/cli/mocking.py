"""`farmgate mock`: a provider that fails as it is told to, until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from farmgate.surfaces.cli.exits import Exit, WrongUse
from farmgate.surfaces.cli.serving import AddressUnusable, run_loop
from farmgate.surfaces.cli.session import Session
from farmgate.surfaces.cli.words import one_line

if TYPE_CHECKING:
    from farmgate.mock import Call, Mock
    from farmgate.surfaces.cli.out import Out

__all__ = ["Wish", "call_line", "faults", "mock", "read_file"]

LOOPBACK = "127.0.0.1"
PORT = 9000
MOST_NAME = 44


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the command line says."""

    host: str | None = None
    port: int = PORT
    script: Path | None = None
    seed: int = 0
    keep: int = 10_000


def mock(session: Session, wish: Wish) -> Exit:
    """Serve until Ctrl-C or SIGTERM."""
    from farmgate.mock import WrongFault

    script = None if wish.script is None else read_file(wish.script)
    try:
        run_loop(live(session.out, wish, script))
    except WrongFault as error:
        raise WrongUse(f"{wish.script}: {error.message}") from error
    return Exit.OK


def faults(session: Session) -> Exit:
    """Print every fault there is."""
    from farmgate.mock import show_faults

    groups = show_faults()
    width = max(len(name) for _, rows in groups for name, _ in rows)
    for at, (group, rows) in enumerate(groups):
        if session.out.json:
            for name, text in rows:
                session.out.record({"group": group, "fault": name, "help": text})
            continue
        session.out.data(("\n" if at else "") + group)
        for name, text in rows:
            session.out.data(f"  {name:<{width}}  {text}")
    return Exit.OK


def read_file(path: Path) -> object:
    """A script in YAML or JSON. Raises WrongUse."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WrongUse(f"{path}: {error.strerror}") from error
    except MarkedYAMLError as error:
        at = error.problem_mark or error.context_mark
        raise WrongUse(f"{path}:{at.line + 1}:{at.column + 1}: {error.problem}") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise WrongUse(f"{path}: {one_line(str(error))}") from error


async def live(out: Out, wish: Wish, script: object) -> None:
    """From the first line to the last."""
    from farmgate.mock import Mock

    mock = Mock(
        host=wish.host or LOOPBACK,
        port=wish.port,
        script=script,
        seed=wish.seed,
        most_calls=wish.keep,
        told=lambda call: tell(out, call),
    )
    stop = asyncio.Event()
    with signals(stop.set):
        try:
            await mock.start()
        except OSError as error:
            raise AddressUnusable(
                f"{wish.host or LOOPBACK}:{wish.port} cannot be listened on: {reason(error)}. "
                "Stop what listens there or choose another --port."
            ) from error
        try:
            begin(out, wish, mock)
            await stop.wait()
        finally:
            await mock.stop()
    if not out.json:
        total = mock.counted.total
        out.say(f"\nstopped after {total} call{'' if total == 1 else 's'}")


@contextlib.contextmanager
def signals(stop: Callable[[], object]) -> Iterator[None]:
    """Ctrl-C and SIGTERM do that, for as long as this lasts."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, stop)
                stack.callback(loop.remove_signal_handler, number)
        yield


def reason(error: OSError) -> str:
    """What the system says. asyncio puts the address around it a second time."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)


def begin(out: Out, wish: Wish, mock: Mock) -> None:
    """Say where it is, and how it is used."""
    if out.json:
        out.record({"event": "ready", "url": mock.url, "script": None if wish.script is None else str(wish.script)})
    else:
        for line in panel(mock.url, wish):
            out.say(line)
    if wish.host and wish.host not in (LOOPBACK, "localhost", "::1"):
        out.say(f"note: {wish.host} can be reached from other machines, and nobody is asked for a key")


def panel(url: str, wish: Wish) -> list[str]:
    """What a person needs to begin."""
    script = f"script     {wish.script}" if wish.script else "script     none: PUT /mock/script, or --script FILE"
    return [
        "",
        f"  farmgate mock  {url}",
        f"  OpenAI     {url}/v1",
        f"  Anthropic  {url}",
        f"  Ollama     {url}",
        "  faults     in the model's name, mock:status=503 (farmgate mock --faults lists them)",
        f"  {script}",
        f"  calls      {url}/mock/calls",
        "",
    ]


def tell(out: Out, call: Call) -> None:
    """One call that is over."""
    if out.quiet:
        return
    if out.json:
        out.record({"event": "call"} | call.told())
    else:
        out.data(call_line(call))


def call_line(call: Call) -> str:
    """`    3  chat stream         mock:rst=2               200  rst: 2 frames, 433 bytes, 0.4 ms`."""
    model = one_line(call.model) or "-"
    model = model if len(model) <= MOST_NAME else model[: MOST_NAME - 1] + "…"
    what = call.endpoint + (" stream" if call.stream else "")
    ended = "caller left" if call.ended == "left" else call.ended
    sent = f"{ended}: {call.sent_frames} frame{'' if call.sent_frames == 1 else 's'}, {call.sent_bytes} bytes"
    took_ms = (call.took_s or 0.0) * 1000
    return f"{call.number:>5}  {what:<19} {model:<24} {call.status or '-':<4} {sent}, {took_ms:.1f} ms"
