"""What the demo makes for a schema satisfies it, comes from what was said, and is small whatever the schema asks."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmgate.providers.demo_values import value_for

SAID = 'Send "good morning" to Ada Lovelace in Paris, 3 times within 2.5 hours.'


def of(**schemas: object) -> dict[str, object]:
    """An object's schema of which all is required."""
    return {"type": "object", "properties": schemas, "required": list(schemas)}


TEXT, WHOLE, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}


def test_texts_and_numbers_come_from_what_was_said_each_in_turn() -> None:
    schema = of(text=TEXT, times=WHOLE, to=TEXT, hours=NUMBER, place=TEXT, again=WHOLE, rest=TEXT)
    assert value_for(schema, SAID) == {
        "text": "good morning",
        "times": 3,
        "to": "Ada Lovelace",
        "hours": 2.5,
        "place": "Paris",
        "again": 1,
        "rest": SAID,
    }


def test_a_whole_number_is_not_taken_from_a_fraction() -> None:
    assert value_for(of(a=WHOLE, b=WHOLE), "2.5 and 7") == {"a": 7, "b": 1}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"enum": ["celsius", "fahrenheit"]}, "celsius"),
        ({"const": {"a": 1}}, {"a": 1}),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["null", "integer"]}, 1),
        ({"anyOf": [{"type": "null"}, TEXT]}, "hi"),
        ({"oneOf": [WHOLE, TEXT]}, 1),
        ({"type": "array", "items": TEXT}, ["hi"]),
        ({"items": TEXT, "minItems": 2}, ["hi", "hi"]),
        ({"type": "array", "maxItems": 0}, []),
        ({"type": "integer", "minimum": 4.5}, 5),
        ({"type": "integer", "maximum": -1}, -1),
        ({"type": "integer", "exclusiveMinimum": 1}, 2),
        ({"type": "number", "exclusiveMaximum": 1, "minimum": 0}, 0.999999),
        ({"type": "string", "maxLength": 1}, "h"),
        ({"type": "string", "minLength": 4}, "hi.."),
        ({"type": "string", "format": "date"}, "2026-01-31"),
        ({"type": "object"}, {}),
        ({"properties": {"a": TEXT}}, {"a": "hi"}),
        ({"properties": {"a": TEXT, "b": TEXT}, "required": ["b"]}, {"b": "hi"}),
        ({"required": ["c"], "type": "object"}, {"c": "hi"}),
        ({}, "hi"),
    ],
)
def test_a_simple_schema_is_satisfied(schema: dict[str, object], value: object) -> None:
    assert value_for(schema, "hi") == value


def test_a_number_out_of_bounds_is_left_for_another() -> None:
    schema = of(hour={"type": "integer", "minimum": 0, "maximum": 23}, year=WHOLE)
    assert value_for(schema, "At 9 in 2026") == {"hour": 9, "year": 2026}
    assert value_for(schema, "In 2026 at 9") == {"hour": 9, "year": 2026}


def test_what_is_referred_to_is_followed_and_what_must_hold_together_is_joined() -> None:
    schema = {
        "$defs": {"place": of(city=TEXT), "age": {"type": "integer", "minimum": 18}},
        **of(
            home={"$ref": "#/$defs/place"},
            work={"allOf": [{"$ref": "#/$defs/place"}, of(floor=WHOLE)]},
            age={"allOf": [{"$ref": "#/$defs/age"}], "description": "in years"},
        ),
    }
    assert value_for(schema, "hi") == {
        "home": {"city": "hi"},
        "work": {"city": "hi", "floor": 1},
        "age": 18,
    }


def test_a_schema_that_refers_to_itself_comes_to_an_end() -> None:
    node = of(name=TEXT, next={"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]})
    made = value_for({"$defs": {"node": node}, "$ref": "#/$defs/node"}, "hi")
    assert json.dumps(made).count("name") < 10
    assert json.dumps(made).count("null") == 1
    assert value_for({"$ref": "#"}, "hi") is None
    endless = of(again={"$ref": "#"}, also={"items": {"$ref": "#"}})
    assert json.dumps(value_for(endless, "hi"))


def test_nobody_can_ask_for_a_value_that_fills_the_memory() -> None:
    wide: dict[str, object] = {"type": "array", "minItems": 1 << 40, "items": {"type": "string", "minLength": 1 << 40}}
    for _ in range(6):
        wide = {"type": "array", "minItems": 100, "items": wide}
    assert len(json.dumps(value_for(wide, "hi"))) < 2_000_000
    assert value_for({"type": "integer"}, "9" * 5000) == 1


NAMES = ["type", "properties", "required", "items", "enum", "anyOf", "allOf", "$ref", "const", "format"]
BOUNDS = ["minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength"]
VALUES = ["object", "array", "string", "integer", "number", "#", "#/items"]
WORDS = st.sampled_from([*NAMES, *BOUNDS, *VALUES])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS | st.text(max_size=5)
SCHEMAS = st.dictionaries(
    WORDS,
    st.recursive(LEAVES, lambda some: st.lists(some, max_size=3) | st.dictionaries(WORDS, some, max_size=4)),
)


@given(schema=SCHEMAS, said=st.text(max_size=30))
def test_no_schema_breaks_it(schema: dict[str, object], said: str) -> None:
    json.dumps(value_for(schema, said))
