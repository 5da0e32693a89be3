"""Every command with its options. What a command does is imported when it is called: `--help` must be quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from farmgate import __version__
from farmgate.surfaces.cli.flags import ConfigPath, Env, Host, Json, Port, Quiet, session_of
from farmgate.surfaces.cli.model_verbs import MODEL_VERBS
from farmgate.surfaces.cli.session import Options

__all__ = ["SHORT_HELP", "app"]

SHORT_HELP = f"""\
farmgate {__version__}: the gate between applications and models

  farmgate dev                        start here: finds or gets a model and serves it on http://127.0.0.1:8000
  farmgate run starter "Hello"        ask a model; without a prompt, chat with it
  farmgate run ./model.gguf "Hello"   ask any GGUF file
  farmgate ls                         the models there are
  farmgate doctor                     what is missing, and how to get it

  farmgate --help                     every command
"""

app = typer.Typer(
    name="farmgate",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
    help="The gate between applications and models.\n\nStart with: farmgate dev",
)
config_app = typer.Typer(name="config", rich_markup_mode=None, invoke_without_command=True)
app.add_typer(config_app, name="config", help="Write, check and show the configuration.")


def show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"farmgate {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    config: ConfigPath = None,
    env: Env = None,
    json: Json = False,
    quiet: Quiet = False,
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The gate between applications and models."""
    from dataclasses import replace

    options = Options(config=config, environment=env, json=json, quiet=quiet)
    context.obj = replace(context.obj, options=options)
    if context.invoked_subcommand is None:
        typer.echo(SHORT_HELP, nl=False)


@app.command()
def dev(
    context: typer.Context,
    host: Host = None,
    port: Port = None,
    pull: Annotated[bool, typer.Option("--pull/--no-pull", help="Get models that are missing.")] = True,
    config: ConfigPath = None,
    env: Env = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Serve for development; get what is missing."""
    from farmgate.surfaces.cli.dev import dev as do

    return do(session_of(context, config, env, json, quiet), host=host, port=port, pull=pull)


@app.command()
def serve(
    context: typer.Context,
    host: Host = None,
    port: Port = None,
    config: ConfigPath = None,
    env: Env = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Serve for production.

    FARM_ENV or --env names another environment. Nothing is asked, started or pulled."""
    from farmgate.surfaces.cli.serve import serve as do

    return do(session_of(context, config, env, json, quiet), host=host, port=port)


@app.command()
def run(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name, provider/name, or path to a GGUF file.")],
    prompt: Annotated[
        list[str] | None, typer.Argument(metavar="[PROMPT]...", help="What to ask; - stands for stdin. None: chat.")
    ] = None,
    system: Annotated[str | None, typer.Option("--system", "-s", help="System message.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", metavar="NAME=VALUE", help="Model option, such as temperature=0.2."),
    ] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="Longest answer, in tokens.")] = None,
    no_stream: Annotated[bool, typer.Option("--no-stream", help="Print the answer when it is whole.")] = False,
    config: ConfigPath = None,
    env: Env = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Ask a model; without a prompt, chat with it."""
    from farmgate.surfaces.cli.run import Wish
    from farmgate.surfaces.cli.run import run as do

    wish = Wish(
        model=model,
        prompt=tuple(prompt or ()),
        system=system,
        options=tuple(option or ()),
        max_tokens=max_tokens,
        stream=not no_stream,
    )
    return do(session_of(context, config, env, json, quiet), wish)


for verb in MODEL_VERBS:
    app.command()(verb)


@app.command()
def reload(
    context: typer.Context, config: ConfigPath = None, env: Env = None, json: Json = False, quiet: Quiet = False
) -> int:
    """Have a running Farmgate read its configuration anew."""
    from farmgate.surfaces.cli.reload import reload as do

    return do(session_of(context, config, env, json, quiet))


@app.command()
def route(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The name a caller would ask for.")],
    explain: Annotated[bool, typer.Option("--explain", help="Tell why, and who is left out.")] = False,
    provider: Annotated[str | None, typer.Option("--provider", help="The provider a caller would name.")] = None,
    kind: Annotated[str, typer.Option("--kind", help="chat, completion, embedding, rerank, ...")] = "chat",
    key: Annotated[str | None, typer.Option("--key", metavar="NAME", help="Name of the key that would ask.")] = None,
    config: ConfigPath = None,
    env: Env = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Tell who would be asked for a model; nothing is sent."""
    from farmgate.surfaces.cli.route import Wish
    from farmgate.surfaces.cli.route import route as do

    wish = Wish(model=model, provider=provider, kind=kind, key=key, explain=explain)
    return do(session_of(context, config, env, json, quiet), wish)


@app.command()
def mock(
    context: typer.Context,
    host: Host = None,
    port: Port = None,
    script: Annotated[
        Path | None, typer.Option("--script", metavar="FILE", help="Steps that decide who fails, in YAML or JSON.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of all that is drawn at random.")] = 0,
    keep: Annotated[
        int, typer.Option("--keep", min=0, max=1_000_000, help="Calls that /mock/calls can show.")
    ] = 10_000,
    faults: Annotated[bool, typer.Option("--faults", help="List the faults there are, and end.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Be a provider that fails as it is told to, for tests."""
    from farmgate.surfaces.cli import mocking

    session = session_of(context, None, None, json, quiet)
    if faults:
        return mocking.faults(session)
    at = mocking.PORT if port is None else port
    return mocking.mock(session, mocking.Wish(host=host, port=at, script=script, seed=seed, keep=keep))


@app.command()
def usage(
    context: typer.Context,
    since: Annotated[str, typer.Option("--since", metavar="SPAN", help="30m, 24h, 7d, 2w or all.")] = "24h",
    config: ConfigPath = None,
    env: Env = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Sum up calls and tokens."""
    from farmgate.surfaces.cli.used import usage as do

    return do(session_of(context, config, env, json, quiet), since)


@app.command()
def doctor(
    context: typer.Context, config: ConfigPath = None, env: Env = None, json: Json = False, quiet: Quiet = False
) -> int:
    """Check what is needed, and how to mend it."""
    from farmgate.surfaces.cli.doctor import doctor as do

    return do(session_of(context, config, env, json, quiet))


@app.command()
def version(context: typer.Context, json: Json = False, quiet: Quiet = False) -> int:
    """Print the versions."""
    import platform

    out = session_of(context, None, None, json, quiet).out
    system = f"{platform.system()} {platform.machine()}"
    if out.json:
        out.record({"farmgate": __version__, "python": platform.python_version(), "system": system})
    else:
        out.data(f"farmgate {__version__} (Python {platform.python_version()}, {system})")
    return 0


@config_app.callback()
def config_root(context: typer.Context) -> None:
    """Write, check and show the configuration."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@config_app.command("init")
def config_init(
    context: typer.Context,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    config: ConfigPath = None,
    env: Env = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Write farm.config.yaml with what is found."""
    from farmgate.surfaces.cli.settings import init as do

    return do(session_of(context, config, env, json, quiet), force=force)


@config_app.command("check")
def config_check(
    context: typer.Context, config: ConfigPath = None, env: Env = None, json: Json = False, quiet: Quiet = False
) -> int:
    """Check the configuration; tell every problem."""
    from farmgate.surfaces.cli.settings import check as do

    return do(session_of(context, config, env, json, quiet))


@config_app.command("show")
def config_show(
    context: typer.Context,
    origin: Annotated[bool, typer.Option("--origin", help="Tell where each value comes from.")] = False,
    config: ConfigPath = None,
    env: Env = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Print every setting in effect, secrets masked."""
    from farmgate.surfaces.cli.settings import show as do

    return do(session_of(context, config, env, json, quiet), origin=origin)


@config_app.command("schema")
def config_schema(context: typer.Context, json: Json = False, quiet: Quiet = False) -> int:
    """Print the JSON schema, for editors."""
    from farmgate.surfaces.cli.settings import schema as do

    return do(session_of(context, None, None, json, quiet))
