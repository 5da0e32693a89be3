"""From files, variables and flags to one Config, or to one ConfigError with everything that is wrong."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from farmgate.config import checks
from farmgate.config.canonical import Canonical
from farmgate.config.environment import Environment, Variable, environment_name, read_env_file
from farmgate.config.errors import ConfigError
from farmgate.config.files import Files, find, overlay_of
from farmgate.config.interpolate import Interpolation, Missing
from farmgate.config.keys import Written, from_entries, from_file, permissions_notice, unlike
from farmgate.config.messages import explain
from farmgate.config.nodes import EMPTY, Node, at, merged, plain, without_nothing
from farmgate.config.notices import notices_of
from farmgate.config.origins import Origin, Setting, masked, settings_of
from farmgate.config.overrides import from_flags, from_variables
from farmgate.config.providers import provider_names, settle
from farmgate.config.schema import Root
from farmgate.config.settings import Config

__all__ = ["load_config"]


@dataclass(slots=True)
class Load:
    """One load under way: what it reads from, and what it has to say so far."""

    files: Files
    folder: Path
    source: Path | None
    variables: Environment
    environment: Variable
    problems: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def load_config(
    path: Path | None,
    *,
    environment: str | None,
    cwd: Path,
    environ: Mapping[str, str],
    overrides: Mapping[str, object],
) -> Config:
    """See `farmgate.config.load`."""
    load = begin(path, environment, cwd, environ)
    tree = interpolated_tree(load, overrides)
    settled = settle(*tree, load.environment.value)
    load.problems += settled.problems
    try:
        root = Root.model_validate(plain(settled.tree))
    except ValidationError as error:
        raise ConfigError(*load.problems, *explain(error, settled.tree)) from None
    unset = {lost.path[1] for lost in tree[1] if lost.path[:1] == ("keys",)}
    written = read_keys(load, root, settled.tree, unset)
    load.problems += cross_checks(load, root, settled.tree, settled.left_out, has_keys=bool(written or unset))
    if load.problems:
        raise ConfigError(*load.problems)
    home = home_directory(load.variables, cwd)
    listed = (*ours(load, home), *settings_of(root, settled.tree), *key_settings(written))
    return Config(
        environment=load.environment.value,
        home=Path(home.value),
        server=root.server,
        keys=tuple(one.key for one in written),
        ai=root.ai,
        journal=root.journal,
        responses=root.responses,
        log=root.log,
        models=root.models,
        source=load.source,
        watched=tuple(dict.fromkeys(load.files.read)),
        silent=tuple(load.files.silent),
        notices=(*load.notices, *notices_of(root, settled.tree, settled.left_out)),
        left_out=settled.left_out,
        provider_places=places_of_providers(settled.tree),
        variables=load.variables,
        settings=listed,
    )


def begin(path: Path | None, environment: str | None, cwd: Path, environ: Mapping[str, str]) -> Load:
    """Find the files and decide the environment: FARM_ENV itself may stand in `.env`."""
    files = Files(cwd)
    source = find(path, environ, cwd, user_home(environ))
    folder = source.parent if source else cwd
    base = read_env_file(folder / ".env", files)
    chosen = environment_name(environment, Environment(environ, (base,)))
    special = read_env_file(folder / f".env.{chosen.value}", files)
    return Load(files, folder, source, Environment(environ, (special, base)), chosen)


def interpolated_tree(load: Load, overrides: Mapping[str, object]) -> tuple[Node, list[Missing]]:
    """All layers merged, the strongest last, and every `${...}` in them replaced."""
    canonical = Canonical(load.problems)
    tree = EMPTY
    for path in layers(load):
        settings = load.files.settings(path, load.variables.merged())
        tree = merged(tree, canonical.model(settings, Root) or EMPTY)
    variables = from_variables(load.variables, load.environment.value, provider_names(tree))
    load.notices += variables.notices
    for layer in (variables.settings, from_flags(overrides)):
        tree = merged(tree, canonical.model(layer, Root) or EMPTY)
    interpolation = Interpolation(load.variables, load.files, load.folder)
    return interpolation.root(without_nothing(tree)), interpolation.missing


def layers(load: Load) -> Iterator[Path]:
    if load.source:
        yield load.source
        if overlay := overlay_of(load.source, load.environment.value):
            yield overlay


def read_keys(load: Load, root: Root, tree: Node, unset: Container[str | int]) -> list[Written]:
    """`unset`: entries whose variable is missing, which is told already."""
    written = from_entries(root.keys, tree, load.problems, unset=unset)
    if root.key_file is not None:
        node = at(tree, ("keyFile",))
        try:
            path = load.folder / Path(root.key_file).expanduser()
            written += from_file(path, load.files, load.problems)
            if notice := permissions_notice(path, load.files):
                load.notices.append(notice)
        except (ConfigError, RuntimeError) as error:
            load.problems.append(f"{node.place if node else 'default'}: keyFile: {error}")
    unlike(written, load.problems)
    return written


def cross_checks(load: Load, root: Root, tree: Node, left_out: Mapping[str, str], *, has_keys: bool) -> Iterator[str]:
    def has_overlay(environment: str) -> bool:
        return load.source is not None and overlay_of(load.source, environment) is not None

    environment = load.environment.value
    yield from checks.routing_problems(
        root.ai, tree, environment=environment, left_out=left_out, has_overlay=has_overlay
    )
    yield from checks.route_problems(root.ai, tree, left_out)
    yield from checks.adapter_problems(root.models, tree)
    yield from checks.default_model_problems(root.ai, tree, environment)
    if problem := checks.bind_problem(root.server, tree, has_keys=has_keys):
        yield problem


def places_of_providers(tree: Node) -> dict[str, str]:
    entries = at(tree, ("ai", "providers"))
    return {name: node.key_place or node.place for name, node in (entries.mapping if entries else {}).items()}


def user_home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or "~").expanduser()


def home_directory(variables: Environment, cwd: Path) -> Variable:
    """FARM_HOME, else the place the XDG base directory specification gives to an application's data."""
    farm = variables.get("FARM_HOME")
    if farm and farm.value.strip():
        return Variable(str(cwd / Path(farm.value.strip()).expanduser()), farm.where)
    xdg = variables.get("XDG_DATA_HOME")
    if xdg and Path(xdg.value).is_absolute():
        return Variable(str(Path(xdg.value) / "farmgate"), xdg.where)
    return Variable(str(user_home(variables.real) / ".local" / "share" / "farmgate"), "default")


def ours(load: Load, home: Variable) -> Iterator[Setting]:
    yield Setting("environment", load.environment.value, Origin(load.environment.where))
    yield Setting("home", home.value, Origin(home.where))


def key_settings(written: list[Written]) -> Iterator[Setting]:
    for one in written:
        key, origin = one.key, Origin(one.place)
        yield Setting(f"keys.{key.name}", f"sha256 {masked(key.sha256)}", origin, key.sha256)
        if key.is_admin:
            yield Setting(f"keys.{key.name}.admin", True, origin)
