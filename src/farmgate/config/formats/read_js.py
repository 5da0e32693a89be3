"""JavaScript as Nodes: `node` runs the file; what it exports comes back as JSON and gets its places from the text."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path as FilePath

from farmgate.config.errors import ConfigError
from farmgate.config.nodes import Node, Path, from_plain

__all__ = ["read_js"]

TIMEOUT_S = 10.0
MAX_BYTES = 1024 * 1024
# A key of an object literal, bare or quoted.
KEY = re.compile(r"""(?<![\w$.'"])(?:([A-Za-z_$][\w$]*)|['"]([^'"\n]+)['"])\s*:""")

# The answer goes to a file: the configuration may print what it likes.
SCRIPT = r"""
const fs = require("node:fs");
const { pathToFileURL } = require("node:url");
const [file, out] = process.argv.slice(1);
const say = (answer) => { fs.writeFileSync(out, JSON.stringify(answer)); process.exit(0); };
async function read() {
  try {
    return await import(pathToFileURL(file).href);
  } catch (error) {
    // An ES module named .js where no package.json says so: older versions of node take it for CommonJS.
    if (!(error instanceof SyntaxError) || !/\b(export|import)\b/.test(error.message)) throw error;
    return await import("data:text/javascript;base64," + fs.readFileSync(file).toString("base64"));
  }
}
read()
  .then(async (module) => {
    const value = await module.default;
    return value && value.__esModule ? value.default : value;
  })
  .then((value) => say({ value }))
  .catch((error) => say({ error: String((error && error.message) || error), stack: String(error && error.stack) }));
"""


def read_js(path: FilePath, name: str, environ: Mapping[str, str]) -> Node:
    """Run `path` in node with `environ`, for at most ten seconds. Raises ConfigError when node is missing."""
    node = shutil.which("node", path=environ.get("PATH", os.defpath))
    if node is None:
        raise ConfigError(
            f"{name}: node is not installed, and it is needed to read a .js file: install Node.js, "
            "or write the same settings in farm.config.yaml"
        )
    with tempfile.TemporaryDirectory(prefix="farmgate-") as folder:
        out = FilePath(folder) / "config.json"
        run(node, path, out, name, environ)
        answer = answered(out, name)
    if "error" in answer:
        place = name + line_in_stack(str(answer.get("stack")), path)
        raise ConfigError(f"{place}: node could not read it: {one_line(str(answer['error']))}")
    if not isinstance(answer.get("value"), dict):
        raise ConfigError(f"{name}: it must export an object: `module.exports = {{...}}` or `export default {{...}}`")
    return from_plain(answer["value"], places_in(source_of(path), name))


def run(node: str, path: FilePath, out: FilePath, name: str, environ: Mapping[str, str]) -> None:
    try:
        process = subprocess.Popen(  # noqa: S603  # the user's own configuration, named by the user
            [node, "-e", SCRIPT, str(path), str(out)],
            env=dict(environ),
            cwd=path.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise ConfigError(f"{name}: node could not be started: {error}") from error
    with process:
        try:
            process.wait(TIMEOUT_S)
        except BaseException as error:
            # The whole group: what the file itself started must not outlive it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise ConfigError(
                    f"{name}: node was still running it after {TIMEOUT_S:g} s: export the settings without waiting"
                ) from None
            raise


def answered(out: FilePath, name: str) -> dict[str, object]:
    try:
        with out.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError:
        raise ConfigError(f"{name}: node ended before the file had exported anything") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{name}: what it exports is larger than {MAX_BYTES} bytes")
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        raise ConfigError(f"{name}: what it exports is not plain data, or is nested too deeply") from None
    return answer if isinstance(answer, dict) else {}


def line_in_stack(stack: str, path: FilePath) -> str:
    """`:4` or `:4:7`, where node says at which line of the file it was; nothing where it does not."""
    found = re.search(rf"{re.escape(str(path))}(:\d+(?::\d+)?)", stack)
    return found[1] if found else ""


def source_of(path: FilePath) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def places_in(source: str, name: str) -> Callable[[Path], tuple[str, str]]:
    """A key that is written just once in the file has its line and column; any other has only the file."""
    found: dict[str, list[int]] = {}
    for match in KEY.finditer(source):
        found.setdefault(match[1] or match[2], []).append(match.start(1) if match[1] else match.start(2))

    def places(path: Path) -> tuple[str, str]:
        starts = found.get(str(path[-1]), ()) if path else ()
        if len(starts) != 1:
            return name, name
        before = source[: starts[0]]
        place = f"{name}:{before.count(chr(10)) + 1}:{starts[0] - before.rfind(chr(10))}"
        return place, place

    return places


def one_line(text: str) -> str:
    first = text.strip().splitlines()[0] if text.strip() else "it failed without a message"
    return "".join(c for c in first if c.isprintable())[:200]
