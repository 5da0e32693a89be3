"""What is published says what the code does: the schema, the documentation, the first file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.unit.config.conftest import Folder

from farmgate.config import EXAMPLE, Found, init_text, json_schema, load, published_schema

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "configuration.md").read_text()
BLOCKS = re.findall(r"```yaml ?(\S*)\n(.*?)```", PAGE, re.DOTALL)
KEY = "0123456789abcdef-web"


def test_the_published_schema_is_current() -> None:
    assert (DOCS / "farm.config.schema.json").read_text() == published_schema()


def test_every_field_of_the_schema_is_described() -> None:
    schema = json_schema()
    definitions = schema["$defs"]
    assert isinstance(definitions, dict)
    for told in (schema, *definitions.values()):
        # A section that may be written shorter is one of several forms.
        section = told["anyOf"][0] if "anyOf" in told else told
        assert section["description"]
        assert section["additionalProperties"] is False
        for name, field in section["properties"].items():
            target = definitions[field["$ref"].rsplit("/", 1)[1]] if "$ref" in field else field
            assert target["description"], name


def test_the_schema_says_bounds_in_its_own_words() -> None:
    definitions = json_schema()["$defs"]
    assert isinstance(definitions, dict)
    port = definitions["Server"]["properties"]["port"]
    assert port["anyOf"] == [
        {"type": "integer", "minimum": 0, "maximum": 65535},
        {"type": "string", "pattern": "\\$\\{"},
    ]
    assert port["default"] == 8000
    assert not re.search(r'"(ge|le|gt|lt|title)":', json.dumps(definitions))


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_each_example_of_the_documentation_loads(folder: Folder, number: int) -> None:
    name, text = BLOCKS[number]
    if name:
        folder.write(BLOCKS[0][1])
        folder.write(text, name)
        config = folder.load(environment="production", WEB_KEY=KEY, OPENAI_API_KEY=KEY)
        assert config.server.host == "0.0.0.0"
    else:
        folder.load(text, WEB_KEY=KEY, OPENAI_API_KEY=KEY)


def as_written(value: object) -> str:
    if value is None or value == []:
        return "none" if value is None else "empty"
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_the_documentation_has_every_setting_with_its_default(folder: Folder) -> None:
    rows = {row[1]: row[2] for row in re.finditer(r"^\| `([\w.\[\]]+)` \| (.*?) \|", PAGE, re.MULTILINE)}
    config = folder.load("ai: {providers: {NAME: {}}}")
    for path, value, origin in config.origins():
        if path in ("environment", "home"):
            continue
        assert rows[path] == as_written(value), path
        assert origin.where == "default"


def test_every_variable_is_documented() -> None:
    from farmgate.config.overrides import PLACES

    for name in (
        *PLACES,
        "FARM_ENV",
        "FARM_HOME",
        "FARM_CONFIG",
        "AI_PROVIDER",
        "AI_FALLBACK_PROVIDER",
        "AI_RATE_LIMIT",
    ):
        assert f"`{name}`" in PAGE


@pytest.mark.parametrize(
    "found",
    [
        (),
        (Found(name="demo"),),
        (
            Found(name="ollama", url="http://localhost:11434", models=("a:b", 'x"${HOME}'), default_model="a:b"),
            Found(name="openai", key_variable="OPENAI_API_KEY"),
        ),
    ],
)
def test_the_first_file_holds_what_was_found_and_loads(folder: Folder, found: tuple[Found, ...]) -> None:
    text = init_text(found)
    assert text.startswith("# yaml-language-server: $schema=./farm.config.schema.json\n")
    config = folder.load(text, OPENAI_API_KEY=KEY)
    assert [one.name for one in found if one.name != "openai"] == [n for n in config.ai.providers if n != "openai"]
    if found:
        assert config.ai.routing["development"] == found[0].name
        assert config.ai.providers[found[0].name].models == found[0].models


def test_the_example_loads_without_any_key(tmp_path: Path) -> None:
    (tmp_path / "farm.config.yaml").write_text(EXAMPLE)
    config = load(cwd=tmp_path, environ={"HOME": str(tmp_path)})
    assert list(config.ai.providers) == ["ollama"]
