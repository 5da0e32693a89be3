"""Which file is the configuration, and its bytes as text: bounded, regular, UTF-8, and remembered for reloading."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

from farmgate.config.errors import ConfigError, one_of
from farmgate.config.nodes import Node, strings_are_sound

__all__ = ["EXTENSIONS", "Files", "find", "overlay_of"]

EXTENSIONS = ("yaml", "yml", "toml", "json", "js", "cjs")
STEM = "farm.config"
MAX_BYTES = 1024 * 1024


class Files:
    """Reads files for one load and remembers which. Names in messages are relative to the working directory."""

    def __init__(self, cwd: Path) -> None:
        self.cwd = cwd
        self.read: list[Path] = []
        self.silent: list[Path] = []

    def name(self, path: Path) -> str:
        return str(path.relative_to(self.cwd)) if path.is_relative_to(self.cwd) else str(path)

    def text(self, path: Path) -> str:
        """Raises ConfigError for what is not a readable, regular UTF-8 file of at most 1 MiB."""
        name = self.name(path)
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise ConfigError(f"{name}: not a file")
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            raise ConfigError(f"{name}: there is no such file") from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise ConfigError(f"{name}: cannot be read: {(reason or 'not a valid path').lower()}") from None
        self.read.append(path)
        if len(data) > MAX_BYTES:
            raise ConfigError(f"{name}: larger than {MAX_BYTES} bytes: a configuration is a small text file")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ConfigError(f"{name}: not UTF-8 text (byte {error.start}): save it as UTF-8") from None
        if "\0" in text:
            raise ConfigError(f"{name}: not a text file: it holds a NUL character")
        return text

    def settings(self, path: Path, environ: Mapping[str, str]) -> Node:
        """The file as Nodes, a mapping at the top. `environ` is what a .js file sees as `process.env`."""
        text, name = self.text(path), self.name(path)
        match path.suffix:
            case ".yaml" | ".yml":
                from farmgate.config.formats.read_yaml import read_yaml

                root = read_yaml(text, name)
            case ".toml":
                from farmgate.config.formats.read_toml import read_toml

                root = read_toml(text, name)
            case ".json":
                from farmgate.config.formats.read_json import read_json

                root = read_json(text, name)
            case ".js" | ".cjs":
                from farmgate.config.formats.read_js import read_js

                root = read_js(path, name, environ)
            case _:
                raise ConfigError(f"{name}: the name of a configuration ends in {one_of('.' + e for e in EXTENSIONS)}")
        if not root.value and not any("{" in line.partition("#")[0] for line in text.splitlines()):
            # Not even `{}` is written there.
            self.silent.append(path)
        if root.value is None:
            return Node({}, root.place)
        if not isinstance(root.value, dict):
            raise ConfigError(f"{root.place}: the top of a configuration is a mapping, like `ai:` or `server:`")
        strings_are_sound(root)
        return root


def find(path: Path | None, environ: Mapping[str, str], cwd: Path, home: Path) -> Path | None:
    """The configuration file: `path`, else FARM_CONFIG, else the first found from `cwd` upwards.

    The way up ends at the root of the git repository or at the home directory. Outside both, only `cwd` itself is
    looked at: a directory anybody may write to must not decide what runs here.
    """
    if path is not None:
        return existing(cwd / path.expanduser(), "named by --config")
    if named := environ.get("FARM_CONFIG"):
        return existing(cwd / Path(named).expanduser(), "named by FARM_CONFIG")
    for folder in way_up(cwd, home):
        if found := only_one(folder, STEM):
            return found
    return None


def overlay_of(source: Path, environment: str) -> Path | None:
    """The file beside `source` that changes it for one environment: `farm.config.staging.yaml`."""
    return only_one(source.parent, f"{source.stem}.{environment}")


def existing(path: Path, who: str) -> Path:
    try:
        if path.exists():
            return path
    except (OSError, ValueError):
        pass
    raise ConfigError(f"{path}: there is no such file ({who})")


def way_up(cwd: Path, home: Path) -> tuple[Path, ...]:
    folders: list[Path] = []
    for folder in (cwd, *cwd.parents):
        folders.append(folder)
        if folder == home or (folder / ".git").exists():
            return tuple(folders)
    return (cwd,)


def only_one(folder: Path, stem: str) -> Path | None:
    found = [file for extension in EXTENSIONS if (file := folder / f"{stem}.{extension}").is_file()]
    if len(found) > 1:
        names = " and ".join(file.name for file in found)
        raise ConfigError(
            f"{folder}: {names}: two configurations in one directory: keep one, or name one with --config"
        )
    return found[0] if found else None
