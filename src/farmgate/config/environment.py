"""Environment variables as this configuration sees them: the real ones, then `.env.<environment>`, then `.env`."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from farmgate.config.errors import ConfigError, one_of, quoted, suggestion
from farmgate.config.files import Files

__all__ = ["ENVIRONMENTS", "Environment", "Variable", "environment_name", "read_env_file"]

ENVIRONMENTS = ("development", "staging", "production")


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable's value and where it was set."""

    value: str
    where: str


@dataclass(frozen=True, slots=True)
class Environment:
    """Variables by name. `files` are the `.env` files, the strongest first."""

    real: Mapping[str, str]
    files: tuple[Mapping[str, Variable], ...] = ()

    def get(self, name: str) -> Variable | None:
        """The variable as it was set, empty or not."""
        if name in self.real:
            return sound(name, Variable(self.real[name], f"environment variable {name}"))
        for file in self.files:
            if name in file:
                return sound(name, file[name])
        return None

    def merged(self) -> dict[str, str]:
        """Every variable, the strongest winning."""
        both: dict[str, str] = {}
        for file in reversed(self.files):
            both.update({name: variable.value for name, variable in file.items()})
        return {**both, **self.real}


def sound(name: str, variable: Variable) -> Variable:
    if "\0" in variable.value or any("\ud800" <= c <= "\udfff" for c in variable.value):
        raise ConfigError(f"{variable.where}: {quoted(name)} is not UTF-8 text")
    return variable


def environment_name(argument: str | None, environment: Environment) -> Variable:
    """The environment: the argument, else FARM_ENV, else development."""
    found = Variable(argument, "command line") if argument else environment.get("FARM_ENV")
    if found is None or not found.value.strip():
        return Variable("development", "default")
    name = found.value.strip()
    if name not in ENVIRONMENTS:
        hint = suggestion(name, ENVIRONMENTS)
        raise ConfigError(
            f"{found.where}: the environment must be {one_of(ENVIRONMENTS)}, not {quoted(name)}{hint}",
        )
    return Variable(name, found.where)


def read_env_file(path: Path, files: Files) -> Mapping[str, Variable]:
    """The variables of a `.env` file with their lines; none when there is no such file. Nothing in a value is
    replaced: `${...}` means something in the configuration only. Raises ConfigError for a line that is no setting."""
    if not path.is_file():
        return {}
    from dotenv.parser import parse_stream

    found: dict[str, Variable] = {}
    problems: list[str] = []
    for binding in parse_stream(io.StringIO(files.text(path))):
        text = binding.original.string
        blank = text[: len(text) - len(text.lstrip())]
        where = f"{files.name(path)}:{binding.original.line + blank.count(chr(10))}"
        if binding.error:
            problems.append(f"{where}: not a line of the form NAME=value")
        elif binding.key is not None:
            found[binding.key] = Variable(binding.value or "", where)
    if problems:
        raise ConfigError(*problems)
    return found
