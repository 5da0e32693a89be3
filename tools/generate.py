"""Files made from code: write them, or with --check say which are out of date."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def openapi() -> str:
    """The typed API's OpenAPI document."""
    from farmgate.surfaces.http.auth import Doorman
    from farmgate.surfaces.http.desk import Desk, HttpLimits
    from farmgate.surfaces.http.farm import document, farm_app
    from farmgate.telemetry import Telemetry

    nobody: Any = None  # the document asks nobody anything
    desk = Desk(doorman=Doorman({}), limits=HttpLimits(), telemetry=Telemetry())
    app = farm_app(
        desk,
        target=nobody,
        models=nobody,
        health=nobody,
        load=nobody,
        jobs=nobody,
        care=nobody,
        streaming=True,
    )
    return json.dumps(document(app, needs_key=True), indent=2, ensure_ascii=False) + "\n"


def config_schema() -> str:
    """The configuration's JSON schema."""
    from farmgate.config import published_schema

    return published_schema()


def published_models() -> str:
    """The table of published models and their prices."""
    sys.path.insert(0, str(ROOT))
    from tools.known_models import known_models

    return known_models(ROOT / MODELS)


def clients() -> str:
    """The page on clients, with the versions that the locks hold. Ours comes first where several hold one."""
    locked: dict[str, str] = {}
    for lock in (ROOT / "requirements/dev.txt", *sorted((ROOT / "requirements/clients").glob("*.txt"))):
        for name, version in re.findall(r"^([\w.-]+)==(\S+)", lock.read_text(), re.MULTILINE):
            locked.setdefault(name, version)
    node = json.loads((ROOT / "tests/live/clients/vercel/package-lock.json").read_text())["packages"]
    locked |= {path.removeprefix("node_modules/"): package.get("version", "") for path, package in node.items()}
    page = (ROOT / "docs/clients.md").read_text()
    return re.sub(r"`([\w@/-]+) \d[\w.]*`", lambda found: f"`{found[1]} {locked[found[1]]}`", page)


def dialects() -> str:
    """What each API can say to each provider, as the matrix test sees it."""
    from tests.matrix.table import observed, page

    from farmgate.telemetry import log_like_a_command

    log_like_a_command()

    return page(observed())


def mock() -> str:
    """The page on the mock, with the faults there are."""
    from farmgate.mock import show_faults

    lines = []
    for group, faults in show_faults():
        rows = (f"| `{name}` | {text} |" for name, text in faults)
        lines += [f"**{group}**", "", "| fault | what happens |", "|---|---|", *rows, ""]
    page = (ROOT / "docs/mock.md").read_text()
    start, end = "<!-- faults: written by tools/generate.py -->", "<!-- /faults -->"
    before, _, rest = page.partition(start)
    return "\n".join((before + start, "", *lines, end)) + rest.partition(end)[2]


MODELS = "src/farmgate/admin/models.json"
GENERATED = {
    "docs/farm.config.schema.json": config_schema,
    "docs/openapi.json": openapi,
    "docs/clients.md": clients,
    "docs/dialects.md": dialects,
    "docs/mock.md": mock,
    MODELS: published_models,
}


def main(check: bool) -> int:
    stale = []
    for name, make in GENERATED.items():
        path = ROOT / name
        text = make()
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if not check:
            path.write_text(text)
            print(f"wrote {name}")
    if check and stale:
        print(f"out of date: {', '.join(stale)}. Run: python tools/generate.py")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
