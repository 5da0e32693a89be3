"""One run of the program: arguments in, exit code out. Whatever goes wrong ends in one line, never in a traceback."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import typer
from typer.main import get_command

from farmgate.surfaces.cli.exits import Exit, exit_of
from farmgate.surfaces.cli.out import Out
from farmgate.surfaces.cli.session import Begun
from farmgate.surfaces.cli.verbs import app

if TYPE_CHECKING:
    from farmgate.surfaces.cli.house import House

__all__ = ["joined", "program"]


def program(arguments: Sequence[str], house: Callable[[], House]) -> int:
    """Run one command."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        # What cannot be read or shown becomes a question mark, not a crash.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    begun = Begun(arguments=tuple(arguments), started=time.monotonic(), house=house)
    out = Out(json="--json" in arguments)
    try:
        code = get_command(app).main(joined(arguments), prog_name="farmgate", standalone_mode=False, obj=begun)
    except typer.Abort:
        return stopped(out)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        said = error.format_message().rstrip()
        said = said if said.endswith((".", "?", "!")) else f"{said}."
        message = f"{said} Try: {context.command_path if context else 'farmgate'} --help"
        out.fail(message, error=told(message, code="usage", type="invalid_request_error"))
        return Exit.USAGE
    except KeyboardInterrupt:
        return stopped(out)
    except Exception as error:  # noqa: BLE001 - the last line of defence: people get a line, not a traceback
        return explain(error, out)
    # Typer makes an exit code of a Ctrl-C in a command.
    return stopped(out) if code == Exit.INTERRUPTED else int(code or 0)


def stopped(out: Out) -> Exit:
    # What the terminal echoed of the Ctrl-C stands on the line already.
    out.say("\nstopped")
    return Exit.INTERRUPTED


def explain(error: Exception, out: Out) -> Exit:
    """Say what went wrong."""
    from farmgate.config import ConfigError
    from farmgate.core.errors import FarmError

    match error:
        case ConfigError() if out.json:
            out.fail(
                str(error),
                error={
                    **told("The configuration cannot be used.", code="invalid_config", type="invalid_request_error"),
                    "problems": list(error.problems),
                },
            )
        case ConfigError():
            for problem in error.problems:
                out.fail(problem)
        case FarmError():
            out.fail(
                error.message, error={**told(error.message, code=error.code, type=error.type), "param": error.param}
            )
        case OSError():
            message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            out.fail(message, error=told(message, code="os_error", type="server_error"))
        case _:
            message = f"Farmgate made a mistake: {type(error).__name__}: {error} (FARM_TRACE=1 shows where)"
            out.fail(message, error=told(message, code="internal_error", type="server_error"))
            trace(error)
    return exit_of(error)


def told(message: str, *, code: str, type: str) -> Mapping[str, object]:
    return {"message": message, "type": type, "param": None, "code": code}


def trace(error: Exception) -> None:
    from farmgate.config.process import variable

    if variable("FARM_TRACE"):
        import traceback

        traceback.print_exception(error)


def joined(arguments: Sequence[str]) -> list[str]:
    """`-o name value` as `-o name=value`: both are understood, as people know the first from other tools."""
    given = list(arguments)
    last = given.index("--") if "--" in given else len(given)
    for at in range(last - 3, -1, -1):
        flag, name, value = given[at : at + 3]
        if flag in ("-o", "--option") and name.isidentifier() and not value.startswith("-o"):
            given[at + 1 : at + 3] = [f"{name}={value}"]
    return given
