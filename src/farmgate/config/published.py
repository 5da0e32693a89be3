"""The JSON schema of the configuration, as editors read it."""

from __future__ import annotations

import json

from farmgate.config.schema import Root

__all__ = ["SCHEMA_NAME", "json_schema", "published_schema"]

SCHEMA_NAME = "farm.config.schema.json"
REFERENCE = {"type": "string", "pattern": "\\$\\{"}
ABOUT = ("description", "default")
# Bounds behind a validator of ours keep their Python names in the generated schema.
KEYWORDS = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum"}


def json_schema() -> dict[str, object]:
    """JSON Schema 2020-12. A number or a switch may also be a text with a `${...}` in it."""
    schema: dict[str, object] = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema.update(Root.model_json_schema(by_alias=True))
    schema["title"] = "Farmgate configuration"
    tidy(schema, titled=True)
    return schema


def published_schema() -> str:
    """The text of docs/farm.config.schema.json."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def tidy(schema: object, *, titled: bool = False) -> None:
    """Drop the generated titles, which only repeat the names, and let references stand for plain values."""
    if isinstance(schema, list):
        for item in schema:
            tidy(item)
        return
    if not isinstance(schema, dict):
        return
    if not titled and isinstance(schema.get("title"), str):
        del schema["title"]
    properties = schema.get("properties")
    for key, child in schema.items():
        if key == "properties" and isinstance(properties, dict):
            for name, wanted in properties.items():
                tidy(wanted)
                properties[name] = or_reference(wanted)
        elif key not in ("default", "enum", "required"):
            tidy(child)


def or_reference(wanted: dict[str, object]) -> dict[str, object]:
    arms = wanted.get("anyOf")
    if isinstance(arms, list) and any(arm.get("type") in ("integer", "number", "boolean") for arm in arms):
        # A number that may be left out.
        rules = [{KEYWORDS.get(key, key): value for key, value in arm.items()} for arm in arms]
        return {**wanted, "anyOf": [*rules, REFERENCE]}
    if wanted.get("type") not in ("integer", "number", "boolean") and "enum" not in wanted:
        return wanted
    rule = {KEYWORDS.get(key, key): value for key, value in wanted.items() if key not in ABOUT}
    return {"anyOf": [rule, REFERENCE], **{key: value for key, value in wanted.items() if key in ABOUT}}
