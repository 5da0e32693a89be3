"""What each field of a Responses request may hold. What an item may hold is looked at when it is read."""

from __future__ import annotations

from typing import cast

from farmgate.core.errors import InvalidMessages, InvalidType, InvalidValue, MissingParameter, TooManyItems
from farmgate.wire.addresses import foreign_parts, image_url, public_addresses
from farmgate.wire.openai.rules import (
    ListLimits,
    Rule,
    boolean,
    integer,
    mapping,
    number,
    text,
    wrong_type,
)
from farmgate.wire.openai.schemas import check_schema

__all__ = ["RESPONSES"]

METADATA_PAIRS = 16
METADATA_KEY = 64
METADATA_VALUE = 512


def one_of(*words: str) -> Rule:
    """One of a few words."""

    def rule(value: object, name: str, _: ListLimits) -> None:
        if type(value) is not str:
            raise wrong_type(name, "a string", value)
        if value not in words:
            raise InvalidValue(f"`{name}` must be {' or '.join(f'`{word}`' for word in words)}.", param=name)

    return rule


def words(value: object, name: str, _: ListLimits) -> None:
    """A list of words."""
    if type(value) is not list:
        raise wrong_type(name, "a list of strings", value)
    for at, item in enumerate(value):
        if type(item) is not str:
            raise wrong_type(f"{name}[{at}]", "a string", item)


def metadata(value: object, name: str, limits: ListLimits) -> None:
    """OpenAI's bounds: 16 pairs, keys of 64 characters, values of 512."""
    mapping(value, name, limits)
    pairs = cast("dict[str, object]", value)
    if len(pairs) > METADATA_PAIRS:
        raise TooManyItems(f"`{name}` holds more than {METADATA_PAIRS} pairs.", param=name)
    for key, told in pairs.items():
        if len(key) > METADATA_KEY:
            raise InvalidValue(f"`{name}` has a key of more than {METADATA_KEY} characters.", param=name)
        if type(told) is not str:
            raise InvalidType(f"`{name}.{key}` must be a string.", param=f"{name}.{key}")
        if len(told) > METADATA_VALUE:
            raise InvalidValue(f"`{name}.{key}` has more than {METADATA_VALUE} characters.", param=f"{name}.{key}")


def reasoning(value: object, name: str, limits: ListLimits) -> None:
    mapping(value, name, limits)
    told = cast("dict[str, object]", value)
    for field in ("effort", "summary", "generate_summary"):
        if told.get(field) is not None:
            text(told[field], f"{name}.{field}", limits)


def text_config(value: object, name: str, limits: ListLimits) -> None:
    mapping(value, name, limits)
    told = cast("dict[str, object]", value)
    if told.get("format") is not None:
        text_format(told["format"], f"{name}.format", limits)
    if told.get("verbosity") is not None:
        text(told["verbosity"], f"{name}.verbosity", limits)


def text_format(value: object, name: str, limits: ListLimits) -> None:
    mapping(value, name, limits)
    told = cast("dict[str, object]", value)
    kind = told.get("type")
    if kind not in ("text", "json_object", "json_schema"):
        raise InvalidValue(f"`{name}.type` must be `text`, `json_object` or `json_schema`.", param=f"{name}.type")
    if kind == "json_schema":
        if type(told.get("schema")) is not dict:
            raise InvalidValue(f"`{name}.schema` must be a JSON schema.", param=f"{name}.schema")
        for field in ("name", "description"):
            if told.get(field) is not None:
                text(told[field], f"{name}.{field}", limits)


def stream_options(value: object, name: str, limits: ListLimits) -> None:
    mapping(value, name, limits)
    told = cast("dict[str, object]", value).get("include_obfuscation")
    if told is not None:
        boolean(told, f"{name}.include_obfuscation", limits)


def tools(value: object, name: str, limits: ListLimits) -> None:
    if type(value) is not list:
        raise wrong_type(name, "a list", value)
    if len(value) > limits.tools:
        raise TooManyItems(f"`{name}` holds more than {limits.tools} tools.", param=name)
    for at, tool in enumerate(value):
        one_tool(tool, f"{name}[{at}]")


def one_tool(tool: object, where: str) -> None:
    if type(tool) is not dict:
        raise wrong_type(where, "an object", tool)
    if type(tool.get("type")) is not str:
        raise MissingParameter(f"`{where}.type` is required: `function`, or a tool of the provider's.", param=where)
    # Where a tool is served, for a provider that calls it itself.
    public_addresses(tool, where)
    if tool["type"] != "function":
        return
    called = tool.get("name")
    if type(called) is not str or not called or len(called) > 256:
        raise InvalidValue(f"`{where}.name` must be a name.", param=f"{where}.name")
    schema = tool.get("parameters")
    if schema is not None:
        check_schema(schema, where)


def given(value: object, name: str, limits: ListLimits) -> None:
    """The input: a text, or items. No address in it leads into a private network."""
    if type(value) is str:
        return
    if type(value) is not list:
        raise wrong_type(name, "a string or a list of items", value)
    if not value:
        raise InvalidMessages(f"`{name}` is empty: send a text or at least one item.", param=name)
    if len(value) > limits.messages:
        raise TooManyItems(f"`{name}` holds more than {limits.messages} items.", param=name)
    images = sum(one_item(item, f"{name}[{at}]") for at, item in enumerate(value))
    if images > limits.images:
        raise TooManyItems(f"`{name}` holds more than {limits.images} images.", param=name)


def one_item(item: object, where: str) -> int:
    """Check an item as far as any provider needs it checked; how many images are in it."""
    if type(item) is not dict:
        raise wrong_type(where, "an object", item)
    kind = item.get("type", "message")
    if type(kind) is not str:
        raise InvalidMessages(f"`{where}.type` must be a string.", param=f"{where}.type")
    if kind not in ("message", "function_call_output"):
        for field in ("content", "output"):
            foreign_parts(item.get(field), f"{where}.{field}")
        return 0
    field = "output" if kind == "function_call_output" else "content"
    parts = item.get(field)
    if type(parts) is not list:
        return 0
    return sum(one_part(part, f"{where}.{field}[{at}]") for at, part in enumerate(parts))


def one_part(part: object, where: str) -> int:
    """Check a part of a content; how many images it is."""
    if type(part) is not dict or type(part.get("type")) is not str:
        raise InvalidMessages(f"`{where}.type` is missing.", param=where)
    kind = part["type"]
    public_addresses(part, where)
    address = part.get({"input_image": "image_url", "input_file": "file_url"}.get(kind, ""))
    if address is not None:
        if type(address) is not str:
            raise wrong_type(where, "a string as its address", address)
        if kind == "input_image" or not address.startswith("data:"):
            image_url(address, where)
    return 1 if kind == "input_image" else 0


RESPONSES: dict[str, Rule] = {
    "model": text,
    "input": given,
    "instructions": text,
    "stream": boolean,
    "stream_options": stream_options,
    "store": boolean,
    "background": boolean,
    "previous_response_id": text,
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "top_logprobs": integer(0, 20),
    "max_output_tokens": integer(1),
    "max_tool_calls": integer(1),
    "tools": tools,
    "parallel_tool_calls": boolean,
    "text": text_config,
    "reasoning": reasoning,
    "include": words,
    "truncation": one_of("auto", "disabled"),
    "metadata": metadata,
    "user": text,
    "safety_identifier": text,
    "prompt_cache_key": text,
    "service_tier": text,
}
