"""The options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from farmgate.surfaces.cli.session import Options, Session

__all__ = ["ConfigPath", "Env", "Host", "Json", "ModelName", "Port", "Quiet", "session_of"]

ConfigPath = Annotated[
    Path | None, typer.Option("--config", metavar="PATH", help="Configuration file instead of the one found.")
]
Env = Annotated[str | None, typer.Option("--env", metavar="ENVIRONMENT", help="development, staging or production.")]
Json = Annotated[bool, typer.Option("--json", help="Print data, progress and errors as JSON lines.")]
ModelName = Annotated[str, typer.Argument(metavar="NAME", help="The model, as callers name it.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but data and errors.")]
Host = Annotated[str | None, typer.Option("--host", metavar="HOST", help="Address to listen on.")]
Port = Annotated[int | None, typer.Option("--port", min=0, max=65_535, help="Port to listen on; 0 picks a free one.")]


def session_of(context: typer.Context, config: Path | None, env: str | None, json: bool, quiet: bool) -> Session:
    return Session(context.obj, Options(config=config, environment=env, json=json, quiet=quiet))
