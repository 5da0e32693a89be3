"""Responses requests that are wrong: each is refused by name, and nothing else comes of any JSON."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.responses_bodies import CALL, OUTPUT, body_of, read, user

from farmgate.core.errors import BadRequest, FarmError, NotSupported
from farmgate.core.words import Chat

steady = settings(max_examples=100, deadline=None, derandomize=True, database=None)

PRIVATE = "http://169.254.169.254/latest"
IMAGE = {"type": "input_image", "image_url": PRIVATE}
SCREEN: dict[str, Any] = {"type": "computer_call_output", "call_id": "c"}
RECURSIVE = {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/a"}}}
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"input": None}, "missing_required_parameter", "input"),
    ({"input": []}, "invalid_messages", "input"),
    ({"input": 7}, "invalid_type", "input"),
    ({"input": ["a"]}, "invalid_type", "input[0]"),
    ({"input": [user("x")] * 3000}, "too_many_items", "input"),
    ({"input": [user([{"type": "input_image", "image_url": "https://a.example/b"}] * 300)]}, "too_many_items", "input"),
    ({"input": [{"role": "king", "content": "x"}]}, "invalid_messages", "input[0].role"),
    ({"input": [{"role": "user"}]}, "invalid_messages", "input[0].content"),
    ({"input": [user([{"text": "x"}])]}, "invalid_messages", "input[0].content[0]"),
    ({"input": [user([{"type": "input_text"}])]}, "invalid_messages", "input[0].content[0].text"),
    ({"input": [user([IMAGE])]}, "url_not_allowed", "input[0].content[0]"),
    (
        {"input": [user([{"type": "input_file", "file_url": "http://localhost/x"}])]},
        "url_not_allowed",
        "input[0].content[0]",
    ),
    (
        {"input": [user([{"type": "input_image", "image_url": "data:text/html,x"}])]},
        "invalid_image",
        "input[0].content[0]",
    ),
    ({"input": [user([{"type": "input_file"}])]}, "invalid_messages", "input[0].content[0]"),
    ({"input": [user([{"type": "input_image", "file_id": "f"}])]}, "unsupported_parameter", "input[0].content[0]"),
    ({"input": [CALL, OUTPUT | {"output": [IMAGE]}]}, "url_not_allowed", "input[1].output[0]"),
    ({"input": [user([{"type": "input_video", "video_url": PRIVATE}])]}, "url_not_allowed", "input[0].content[0]"),
    ({"input": [SCREEN | {"output": {"image_url": PRIVATE}}]}, "url_not_allowed", "input[0].output"),
    ({"input": [SCREEN | {"output": [{"file_url": PRIVATE}]}]}, "url_not_allowed", "input[0].output[0]"),
    ({"input": [user([IMAGE]) | {"output": "x"}]}, "url_not_allowed", "input[0].content[0]"),
    ({"tools": [{"type": "mcp", "server_url": PRIVATE}]}, "url_not_allowed", "tools[0]"),
    ({"input": [OUTPUT]}, "invalid_messages", "input[0].call_id"),
    ({"input": [CALL | {"name": None}]}, "invalid_messages", "input[0].name"),
    ({"input": [{"type": "reasoning", "summary": "x"}]}, "invalid_messages", "input[0].summary"),
    ({"input": [{"type": "computer_call"}]}, "unsupported_parameter", "input[0]"),
    ({"input": [{"type": 7}]}, "invalid_messages", "input[0].type"),
    ({"instructions": ["x"]}, "invalid_type", "instructions"),
    ({"stream": "yes"}, "invalid_type", "stream"),
    ({"store": 1}, "invalid_type", "store"),
    ({"temperature": 3}, "invalid_value", "temperature"),
    ({"top_p": 2}, "invalid_value", "top_p"),
    ({"top_logprobs": 99}, "invalid_value", "top_logprobs"),
    ({"max_output_tokens": 0}, "invalid_value", "max_output_tokens"),
    ({"max_output_tokens": "5"}, "invalid_type", "max_output_tokens"),
    ({"metadata": {"a": 1}}, "invalid_type", "metadata.a"),
    ({"metadata": {str(at): "x" for at in range(17)}}, "too_many_items", "metadata"),
    ({"metadata": {"x" * 65: "x"}}, "invalid_value", "metadata"),
    ({"metadata": {"x": "x" * 513}}, "invalid_value", "metadata.x"),
    ({"tools": {}}, "invalid_type", "tools"),
    ({"tools": [{"name": "f"}]}, "missing_required_parameter", "tools[0]"),
    ({"tools": [{"type": "function"}]}, "invalid_value", "tools[0].name"),
    ({"tools": [{"type": "function", "name": "f", "parameters": RECURSIVE}]}, "invalid_schema", "tools[0]"),
    ({"tools": [{"type": "function", "name": "f"}] * 300}, "too_many_items", "tools"),
    ({"tool_choice": "maybe"}, "invalid_value", "tool_choice"),
    ({"tool_choice": {"type": "function"}}, "invalid_value", "tool_choice"),
    ({"tool_choice": {"type": "mcp"}}, "unsupported_parameter", "tool_choice"),
    ({"tool_choice": {"type": "allowed_tools", "tools": {}}}, "invalid_value", "tool_choice.tools"),
    ({"text": "x"}, "invalid_type", "text"),
    ({"text": {"format": {"type": "xml"}}}, "invalid_value", "text.format.type"),
    ({"text": {"format": {"type": "json_schema"}}}, "invalid_value", "text.format.schema"),
    ({"reasoning": {"effort": 7}}, "invalid_type", "reasoning.effort"),
    ({"include": "x"}, "invalid_type", "include"),
    ({"truncation": "some"}, "invalid_value", "truncation"),
    ({"prompt": {"id": "pmpt_1"}}, "unsupported_parameter", "prompt"),
    ({"conversation": "conv_1"}, "unsupported_parameter", "conversation"),
    ({"previous_response_id": 7}, "invalid_type", "previous_response_id"),
    ({"input": [{"type": "item_reference"}]}, "missing_required_parameter", "input[0].id"),
]


@pytest.mark.parametrize(("fields", "code", "param"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_wrong_is_refused_by_name(fields: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read(**fields)
    assert (caught.value.code, caught.value.param) == (code, param)
    assert len(caught.value.message) < 300


def test_work_in_the_background_is_not_supported() -> None:
    with pytest.raises(NotSupported) as caught:
        body_of(background=True)
    assert (caught.value.code, caught.value.param) == ("not_supported", "background")


# ------------------------------------------------------------------------------------------------------------ fuzz

WORDS = st.sampled_from(
    [
        *("message", "function_call", "function_call_output", "reasoning", "item_reference", "input_text", "c", "f"),
        *("output_text", "input_image", "input_file", "refusal", "user", "assistant", "system", "function", "{}"),
        *("allowed_tools", "auto", "json_schema", "text", "https://a.example/b"),
    ]
)
NAMES = st.sampled_from(
    [
        *("type", "role", "content", "text", "call_id", "name", "arguments", "output", "summary", "id", "data"),
        *("encrypted_content", "image_url", "file_data", "file_url", "format", "schema", "mode", "tools", "effort"),
        *("input_audio", "refusal", "signature", "status", "parameters"),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
ITEMS = st.lists(st.dictionaries(NAMES, VALUES, max_size=6), min_size=1, max_size=4)
FIELDS = st.sampled_from(
    [
        *("instructions", "text", "tools", "tool_choice", "reasoning", "include", "metadata", "stream_options"),
        *("top_logprobs", "max_output_tokens", "previous_response_id", "prompt", "user", "parallel_tool_calls"),
    ]
)


def outcome(given: object, fields: dict[str, Any], before: list[dict[str, Any]]) -> FarmError | Chat:
    """The words of a request, or why there are none."""
    try:
        return read(input=given, before=tuple(before), **fields)
    except FarmError as error:
        return error


@steady
@given(VALUES | ITEMS, st.dictionaries(FIELDS, VALUES, max_size=3), ITEMS)
def test_any_json_is_words_or_a_bad_request(
    given: object, fields: dict[str, Any], before: list[dict[str, Any]]
) -> None:
    told = outcome(given, fields, before)
    if isinstance(told, FarmError):
        assert told.status == 400
        assert told.message
    else:
        assert told.messages
