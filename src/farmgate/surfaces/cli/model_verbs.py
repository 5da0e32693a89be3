"""The commands about models: which there are, which are in memory, and changing that."""

from __future__ import annotations

from typing import Annotated

import typer

from farmgate.surfaces.cli.flags import ConfigPath, Env, Json, ModelName, Quiet, session_of

__all__ = ["MODEL_VERBS"]


def ls(
    context: typer.Context, config: ConfigPath = None, env: Env = None, json: Json = False, quiet: Quiet = False
) -> int:
    """List the models of every provider."""
    from farmgate.surfaces.cli.models import list_models as do

    return do(session_of(context, config, env, json, quiet))


def ps(
    context: typer.Context, config: ConfigPath = None, env: Env = None, json: Json = False, quiet: Quiet = False
) -> int:
    """List what a running Farmgate has loaded, and how busy it is."""
    from farmgate.surfaces.cli.loaded import ps as do

    return do(session_of(context, config, env, json, quiet))


def top(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Show it once, and end.")] = False,
    config: ConfigPath = None,
    env: Env = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Watch devices and models of a running Farmgate."""
    from farmgate.surfaces.cli.loaded import top as do

    return do(session_of(context, config, env, json, quiet), once=once)


def load(
    context: typer.Context,
    name: ModelName,
    config: ConfigPath = None,
    env: Env = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Have a running Farmgate load a model."""
    from farmgate.surfaces.cli.operate import load as do

    return do(session_of(context, config, env, json, quiet), name)


def unload(
    context: typer.Context,
    name: ModelName,
    config: ConfigPath = None,
    env: Env = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Have a running Farmgate take a model out of memory."""
    from farmgate.surfaces.cli.operate import unload as do

    return do(session_of(context, config, env, json, quiet), name)


def swap(
    context: typer.Context,
    name: ModelName,
    to: Annotated[
        str | None, typer.Option("--to", metavar="VERSION", help="The version; none: the present one, loaded anew.")
    ] = None,
    config: ConfigPath = None,
    env: Env = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Let another version of a model answer; no request is lost."""
    from farmgate.surfaces.cli.operate import swap as do

    return do(session_of(context, config, env, json, quiet), name, to)


def rollback(
    context: typer.Context,
    name: ModelName,
    config: ConfigPath = None,
    env: Env = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Go back to the version a model had before."""
    from farmgate.surfaces.cli.operate import rollback as do

    return do(session_of(context, config, env, json, quiet), name)


def pull(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="hf:owner/name[@revision][:file.gguf], https://host/model.gguf, ./model.gguf or a folder, "
            "ollama:model or provider/model, a name under `models`, or starter.",
        ),
    ],
    name: Annotated[str | None, typer.Option("--as", metavar="NAME", help="What it is called here.")] = None,
    config: ConfigPath = None,
    env: Env = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Get a model, going on where a try was cut."""
    from farmgate.surfaces.cli.pulling import pull as do

    return do(session_of(context, config, env, json, quiet), source, name)


def rm(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A pulled model.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: ConfigPath = None,
    env: Env = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Delete a pulled model."""
    from farmgate.surfaces.cli.models import remove as do

    return do(session_of(context, config, env, json, quiet), name, yes=yes)


MODEL_VERBS = (ls, ps, top, load, unload, swap, rollback, pull, rm)
