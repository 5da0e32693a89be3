"""What each field of an OpenAI request may hold, and which field is named when it holds something else."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farmgate.core.errors import BadRequest
from farmgate.core.request import Kind
from farmgate.wire.openai.requests import OpenAIBody, decode_request
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.strictjson import JsonLimits

steady = settings(max_examples=100, deadline=None, derandomize=True, database=None)

HI = {"role": "user", "content": "hi"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
PNG = "data:image/png;base64,iVBORw0KGgo="


def decode(fields: object, kind: Kind = Kind.CHAT, limits: ListLimits | None = None) -> OpenAIBody:
    body = json.dumps(fields).encode()
    return decode_request(body, kind, json_limits=JsonLimits(), list_limits=limits or ListLimits())


def chat(**fields: object) -> OpenAIBody:
    return decode({"model": "m", "messages": [HI]} | fields)


def says(*messages: object) -> OpenAIBody:
    return chat(messages=list(messages))


def offers(parameters: object, **function: object) -> OpenAIBody:
    return chat(tools=[{"type": "function", "function": {"name": "f", "parameters": parameters} | function}])


def refusal_of(fields: dict[str, object], kind: Kind = Kind.CHAT) -> tuple[str, str | None]:
    with pytest.raises(BadRequest) as caught:
        decode(fields, kind)
    assert (caught.value.status, caught.value.type) == (400, "invalid_request_error")
    assert len(caught.value.message) <= 200
    return caught.value.code, caught.value.param


FIELDS = [
    # required
    ("messages", None, "missing_required_parameter", "messages"),
    # of the wrong type
    ("model", 5, "invalid_type", "model"),
    ("stream", "yes", "invalid_type", "stream"),
    ("stream", 1, "invalid_type", "stream"),
    ("stream_options", "yes", "invalid_type", "stream_options"),
    ("stream_options", {"include_usage": "yes"}, "invalid_type", "stream_options.include_usage"),
    ("temperature", "1", "invalid_type", "temperature"),
    ("temperature", True, "invalid_type", "temperature"),
    ("max_tokens", "10", "invalid_type", "max_tokens"),
    ("max_tokens", True, "invalid_type", "max_tokens"),
    ("messages", "hi", "invalid_type", "messages"),
    ("messages", {}, "invalid_type", "messages"),
    ("messages", ["hi"], "invalid_type", "messages[0]"),
    ("stop", 5, "invalid_type", "stop"),
    ("stop", ["a", 5], "invalid_type", "stop"),
    ("logit_bias", [], "invalid_type", "logit_bias"),
    ("logprobs", 99, "invalid_type", "logprobs"),
    ("tools", {}, "invalid_type", "tools"),
    ("tools", ["f"], "invalid_type", "tools[0]"),
    ("response_format", "json", "invalid_type", "response_format"),
    ("reasoning_effort", 1, "invalid_type", "reasoning_effort"),
    # out of range
    ("temperature", 3, "invalid_value", "temperature"),
    ("temperature", -0.1, "invalid_value", "temperature"),
    ("temperature", 2.0001, "invalid_value", "temperature"),
    ("top_p", 2, "invalid_value", "top_p"),
    ("max_tokens", -1, "invalid_value", "max_tokens"),
    ("max_tokens", 0, "invalid_value", "max_tokens"),
    ("max_tokens", 1.5, "invalid_value", "max_tokens"),
    ("max_tokens", 10**30, "invalid_value", "max_tokens"),
    ("max_completion_tokens", 0, "invalid_value", "max_completion_tokens"),
    ("n", 0, "invalid_value", "n"),
    ("n", 1_000_000, "invalid_value", "n"),
    ("top_logprobs", 99, "invalid_value", "top_logprobs"),
    ("presence_penalty", 2.5, "invalid_value", "presence_penalty"),
    ("frequency_penalty", -2.5, "invalid_value", "frequency_penalty"),
    ("seed", 2**63, "invalid_value", "seed"),
    ("stop", ["a"] * 17, "too_many_items", "stop"),
]


@pytest.mark.parametrize(("field", "value", "code", "param"), FIELDS)
def test_a_field_that_holds_something_else_is_named(field: str, value: object, code: str, param: str) -> None:
    assert refusal_of({"model": "m", "messages": [HI], field: value}) == (code, param)


ALLOWED = [
    ("temperature", 0),
    ("temperature", 2),
    ("top_p", 1.0),
    ("max_tokens", 1),
    ("max_tokens", 10.0),
    ("seed", -(2**63)),
    ("n", 128),
    ("stop", "a"),
    ("stop", ["a"] * 16),
    ("logprobs", True),
    ("stream_options", {"include_usage": None}),
    ("stream_options", {}),
]


@pytest.mark.parametrize(("field", "value"), ALLOWED)
def test_the_bounds_themselves_are_allowed(field: str, value: object) -> None:
    assert chat(**{field: value}).fields[field] == value


@pytest.mark.parametrize("field", sorted({field for field, *_ in FIELDS} - {"model", "messages"}))
def test_null_stands_for_absent(field: str) -> None:
    assert chat(**{field: None}).fields[field] is None


def test_a_field_without_a_rule_is_the_providers_business() -> None:
    # Unknown parameters pass; there is no strict mode.
    assert chat(min_p="whatever", repetition_penalty={"a": [1]}).fields["min_p"] == "whatever"


# ----------------------------------------------------------------------------------------- messages

MESSAGES = {
    "none": ([], "messages"),
    "unknown role": ([HI, HI, HI, {"role": "wizard", "content": "x"}], "messages[3].role"),
    "no role": ([{"content": "x"}], "messages[0].role"),
    "a role that is a list": ([{"role": ["user"], "content": "x"}], "messages[0].role"),
    "no content": ([{"role": "user"}], "messages[0].content"),
    "null from the user": ([{"role": "user", "content": None}], "messages[0].content"),
    "null from the user, with calls": (
        [{"role": "user", "content": None, "tool_calls": [CALL]}],
        "messages[0].content",
    ),
    "null without calls": ([HI, {"role": "assistant", "content": None}], "messages[1].content"),
    "null with no calls in the list": ([{"role": "assistant", "tool_calls": []}], "messages[0].content"),
    "a number": ([{"role": "user", "content": 5}], "messages[0].content"),
    "an object": ([{"role": "user", "content": {"type": "text", "text": "x"}}], "messages[0].content"),
    "a part that is text": ([{"role": "user", "content": ["x"]}], "messages[0].content[0]"),
    "a part without type": ([{"role": "user", "content": [{"text": "x"}]}], "messages[0].content[0]"),
    "a text part without text": ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0]"),
    "an image without url": (
        [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}],
        "messages[0].content[0]",
    ),
    "a tool message without id": ([CALLS, {"role": "tool", "content": "x"}], "messages[1].tool_call_id"),
    "an empty id": ([CALLS, {"role": "tool", "content": "x", "tool_call_id": ""}], "messages[1].tool_call_id"),
    "an id that is a list": ([CALLS, {"role": "tool", "content": "x", "tool_call_id": []}], "messages[1].tool_call_id"),
    "an orphan": ([HI, {"role": "tool", "content": "x", "tool_call_id": "c1"}], "messages[1].tool_call_id"),
    "an answer before its call": (
        [{"role": "tool", "content": "x", "tool_call_id": "c1"}, CALLS],
        "messages[0].tool_call_id",
    ),
    "a call without id": (
        [{"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}],
        "messages[0].tool_calls[0].id",
    ),
    "a call without name": (
        [{"role": "assistant", "tool_calls": [{"id": "c", "function": {}}]}],
        "messages[0].tool_calls[0].function",
    ),
}


@pytest.mark.parametrize(("messages", "param"), MESSAGES.values(), ids=MESSAGES)
def test_a_conversation_that_is_none_is_refused_at_its_place(messages: list[object], param: str) -> None:
    assert refusal_of({"model": "m", "messages": messages}) == ("invalid_messages", param)


@pytest.mark.parametrize("role", ["user", "assistant", "system"])
def test_tool_calls_are_a_list_whoever_makes_them(role: str) -> None:
    message = {"role": role, "content": "x", "tool_calls": "abc"}
    assert refusal_of({"model": "m", "messages": [message]}) == ("invalid_type", "messages[0].tool_calls")


@pytest.mark.parametrize(
    "message",
    [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": ""},
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]},
        {"role": "assistant", "content": None, "refusal": "no"},
        {"role": "assistant", "content": None, "audio": {"id": "a"}},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}},
        {"role": "function", "name": "f", "content": "x"},
        {"role": "assistant", "content": "x", "tool_calls": None},
    ],
)
def test_what_openai_allows_passes(message: dict[str, object]) -> None:
    says(HI, message)


def test_a_tool_message_may_answer_any_call_before_it() -> None:
    says(HI, CALLS, HI, {"role": "tool", "content": "x", "tool_call_id": "c1"}, CALLS)


# ----------------------------------------------------------------------------------------- lists


def test_lists_hold_as_many_items_as_the_limits_say() -> None:
    image = {"type": "image_url", "image_url": {"url": PNG}}
    tool = {"type": "function", "function": {"name": "f"}}
    limits = ListLimits(messages=2, tools=2, inputs=2, images=2)
    full = {"model": "m", "messages": [{"role": "user", "content": [image]}] * 2, "tools": [tool] * 2}
    decode(full, limits=limits)
    decode({"model": "m", "input": ["a"] * 2}, Kind.EMBEDDING, limits)
    for fields, kind, param in (
        (full | {"messages": [HI] * 3}, Kind.CHAT, "messages"),
        (full | {"messages": [{"role": "user", "content": [image] * 3}]}, Kind.CHAT, "messages"),
        (full | {"tools": [tool] * 3}, Kind.CHAT, "tools"),
        ({"model": "m", "input": ["a"] * 3}, Kind.EMBEDDING, "input"),
        ({"model": "m", "prompt": ["a"] * 3}, Kind.COMPLETION, "prompt"),
    ):
        with pytest.raises(BadRequest) as caught:
            decode(fields, kind, limits)
        assert (caught.value.code, caught.value.param) == ("too_many_items", param)


# ----------------------------------------------------------------------------------------- tools

LOOP = {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}
SCHEMAS: dict[str, object] = {
    "not an object": [],
    "a string": "object",
    "of a string": {"type": "string"},
    "of several types": {"type": ["object", "null"]},
    "a loop of references": LOOP,
    "a reference to itself": {"properties": {"a": {"$ref": "#/properties/a"}}},
    "a loop through a list": {"anyOf": [{"$ref": "#/anyOf/0"}]},
    "a reference to a file": {"properties": {"a": {"$ref": "file:///etc/passwd"}}},
    "a reference to the network": {"properties": {"a": {"$ref": "http://example.com/schema.json"}}},
}

EXPONENTIAL = ["(a+)+$", "^([a-z]*)*$", r"(?:\w+){2,}", r"((\d{1,})+x)", "(?<word>.+)*", r"^([\]a]+)+$", "(a+?)+"]
HARMLESS = [
    r"^[a-z]+(-[a-z]+)*$",
    r"^(\d{3})+$",
    "(ab+)+",
    "(a|b)*",
    "(a+)?",
    r"\(a+\)+",
    "^(a+)$",
    "((",
    "([" * 50_000,
]


@pytest.mark.parametrize("pattern", EXPONENTIAL)
def test_a_pattern_that_takes_exponential_time_is_refused(pattern: str) -> None:
    with pytest.raises(BadRequest) as caught:
        offers({"properties": {"x": {"type": "string", "pattern": pattern}}})
    assert (caught.value.code, caught.value.param) == ("invalid_schema", "tools[0]")


@pytest.mark.parametrize("parameters", SCHEMAS.values(), ids=SCHEMAS)
def test_parameters_that_are_no_schema_of_an_object_are_refused(parameters: object) -> None:
    with pytest.raises(BadRequest) as caught:
        offers(parameters)
    assert (caught.value.code, caught.value.param) == ("invalid_schema", "tools[0]")


@pytest.mark.parametrize(
    "parameters",
    [
        None,
        {},
        {"type": "object", "properties": {"a": {"type": "string"}}},
        # A tree is a schema that contains itself, and none the worse for it.
        {"type": "object", "properties": {"child": {"$ref": "#"}, "list": {"items": {"$ref": "#/properties/child"}}}},
        {"$defs": {"a~b/c": {"type": "string"}}, "properties": {"x": {"$ref": "#/$defs/a~0b~1c"}}},
        {"properties": {"$ref": {"type": "string"}}},
        {"properties": {"x": {"$ref": "#/nowhere"}}},
        # Groups that hold more than one repetition are common, and take no longer than what they match.
        *({"properties": {"x": {"type": "string", "pattern": pattern}}} for pattern in HARMLESS),
        {"properties": {"pattern": {"type": "string"}}},
    ],
)
def test_schemas_that_functions_have_pass(parameters: object) -> None:
    offers(parameters)


def test_long_chains_of_references_are_walked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from farmgate.wire.openai import schemas

    steps = 0
    place_of = schemas.place_of

    def counting(schema: object, target: str) -> object:
        nonlocal steps
        steps += 1
        return place_of(schema, target)

    monkeypatch.setattr(schemas, "place_of", counting)
    long = 2000
    offers({"$defs": {f"a{at}": {"$ref": f"#/$defs/a{at + 1}"} for at in range(long)}})
    assert steps == long


@pytest.mark.parametrize("name", [None, "", 5, "x" * 257])
def test_a_function_has_a_name(name: object) -> None:
    with pytest.raises(BadRequest) as caught:
        offers({}, name=name)
    assert (caught.value.code, caught.value.param) == ("invalid_value", "tools[0].function.name")


def test_a_tool_without_its_function_is_refused_and_tools_of_other_types_pass() -> None:
    assert refusal_of({"model": "m", "messages": [HI], "tools": [{"type": "function"}]}) == (
        "missing_required_parameter",
        "tools[0].function",
    )
    chat(tools=[{"type": "web_search"}])


# ----------------------------------------------------------------------------------------- prompts and inputs

PROMPTS = [
    ({}, "missing_required_parameter", ""),
    ([], "invalid_value", ""),
    (5, "invalid_type", ""),
    ({"a": 1}, "invalid_type", ""),
    ([True], "invalid_type", "[0]"),
    ([1.5], "invalid_type", "[0]"),
    (["a", 5], "invalid_type", "[1]"),
    (["a", []], "invalid_type", "[1]"),
    ([[1, "a"]], "invalid_type", "[0]"),
    ([1, "a"], "invalid_type", ""),
    ([1, -1], "invalid_type", ""),
]


@pytest.mark.parametrize(("kind", "field"), [(Kind.COMPLETION, "prompt"), (Kind.EMBEDDING, "input")])
@pytest.mark.parametrize(("value", "code", "place"), PROMPTS)
def test_a_prompt_is_text_or_tokens(kind: Kind, field: str, value: object, code: str, place: str) -> None:
    fields: dict[str, object] = {"model": "m"} if value == {} else {"model": "m", field: value}
    assert refusal_of(fields, kind) == (code, field + place)


@pytest.mark.parametrize("value", ["a", ["a", "b"], [1, 2], [[1, 2], [3]]])
def test_texts_and_tokens_and_lists_of_them_pass(value: object) -> None:
    decode({"model": "m", "prompt": value}, Kind.COMPLETION)
    decode({"model": "m", "input": value}, Kind.EMBEDDING)


OTHERS = [
    (Kind.EMBEDDING, {"input": ""}, "invalid_value", "input"),
    (Kind.EMBEDDING, {"input": ["a", ""]}, "invalid_value", "input"),
    (Kind.EMBEDDING, {"input": "a", "encoding_format": "hex"}, "invalid_value", "encoding_format"),
    (Kind.EMBEDDING, {"input": "a", "encoding_format": []}, "invalid_value", "encoding_format"),
    (Kind.EMBEDDING, {"input": "a", "dimensions": 0}, "invalid_value", "dimensions"),
    (Kind.COMPLETION, {"prompt": "a", "logprobs": 99}, "invalid_value", "logprobs"),
    (Kind.COMPLETION, {"prompt": "a", "best_of": 0}, "invalid_value", "best_of"),
    (Kind.COMPLETION, {"prompt": "a", "max_completion_tokens": "x"}, "invalid_type", "max_completion_tokens"),
    (Kind.COMPLETION, {"prompt": "a", "suffix": 1}, "invalid_type", "suffix"),
]


@pytest.mark.parametrize(("kind", "fields", "code", "param"), OTHERS)
def test_completions_and_embeddings_have_rules_of_their_own(
    kind: Kind, fields: dict[str, object], code: str, param: str
) -> None:
    assert refusal_of({"model": "m"} | fields, kind) == (code, param)


# ----------------------------------------------------------------------------------------- anything at all

NAMES = st.sampled_from(
    [
        *("model", "messages", "role", "content", "type", "text", "image_url", "url", "tool_calls", "id", "function"),
        *("name", "arguments", "tools", "parameters", "$ref", "stop", "prompt", "input", "seed", "n", "refusal"),
        *("tool_call_id", "max_completion_tokens", "function_call", "description", "stream_options", "dimensions"),
    ]
)
WORDS = st.sampled_from(
    ["user", "tool", "assistant", "text", "image_url", "function", "#", "http://a.b", "data:", "x", ""]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats(-3, 3) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=25,
)
TURNS = st.dictionaries(NAMES, ANYTHING, max_size=4).map(lambda more: {"role": "user", "content": "x"} | more)


@steady
@given(
    st.sampled_from([Kind.CHAT, Kind.COMPLETION, Kind.EMBEDDING]),
    st.dictionaries(NAMES, ANYTHING, max_size=6),
    st.none() | st.lists(TURNS, min_size=1, max_size=3),
)
def test_whatever_fields_hold_they_are_words_or_a_bad_request(
    kind: Kind, fields: dict[str, object], turns: list[object] | None
) -> None:
    usual = {"model": "m", "prompt": "p", "input": "i", "messages": turns or [HI]}
    with contextlib.suppress(BadRequest):
        decode(usual | fields | ({"messages": turns} if turns else {}), kind).ask()
