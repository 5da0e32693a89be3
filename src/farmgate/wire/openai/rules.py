"""What each field of an OpenAI request may hold. A field without a rule is the provider's business."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, cast

from farmgate.core.errors import (
    InvalidMessages,
    InvalidType,
    InvalidValue,
    MissingParameter,
    TooManyItems,
)
from farmgate.wire.addresses import image_url, public_addresses
from farmgate.wire.openai.schemas import check_schema
from farmgate.wire.strictjson import kind_of

__all__ = [
    "CHAT",
    "COMPLETION",
    "EMBEDDING",
    "SAMPLING",
    "ListLimits",
    "Rule",
    "boolean",
    "check",
    "integer",
    "mapping",
    "number",
    "text",
    "wrong_type",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListLimits:
    """How many items the lists of a request may hold."""

    messages: int = 2048
    tools: int = 256
    inputs: int = 2048
    images: int = 256


Rule: TypeAlias = Callable[[object, str, ListLimits], None]


def check(fields: Mapping[str, object], rules: Mapping[str, Rule], limits: ListLimits) -> None:
    """Hold every field against its rule; null stands for absent. Raises the BadRequest of the first that breaks it."""
    for name, value in fields.items():
        rule = rules.get(name)
        if rule is not None and value is not None:
            rule(value, name, limits)
        elif rule is None and name.endswith("_url"):
            public_addresses({name: value}, name)


def wrong_type(name: str, wanted: str, value: object) -> InvalidType:
    return InvalidType(f"`{name}` must be {wanted}, not {kind_of(value)}.", param=name)


def number(low: float, high: float) -> Rule:
    """A number between two bounds, both allowed."""

    def rule(value: object, name: str, _: ListLimits) -> None:
        if type(value) is not float and type(value) is not int:
            raise wrong_type(name, "a number", value)
        if not low <= value <= high:
            raise InvalidValue(f"`{name}` must be between {low:g} and {high:g}.", param=name)

    return rule


def integer(low: int, high: int = 1 << 40) -> Rule:
    """A whole number between two bounds, both allowed."""

    def rule(value: object, name: str, _: ListLimits) -> None:
        if type(value) is float and not value.is_integer():
            raise InvalidValue(f"`{name}` must be a whole number.", param=name)
        if type(value) is not int and type(value) is not float:
            raise wrong_type(name, "a whole number", value)
        if not low <= value <= high:
            bounds = f"at least {low}" if high == 1 << 40 else f"between {low} and {high}"
            raise InvalidValue(f"`{name}` must be {bounds}.", param=name)

    return rule


def boolean(value: object, name: str, _: ListLimits) -> None:
    if type(value) is not bool:
        raise wrong_type(name, "true or false", value)


def text(value: object, name: str, _: ListLimits) -> None:
    if type(value) is not str:
        raise wrong_type(name, "a string", value)


def mapping(value: object, name: str, _: ListLimits) -> None:
    if type(value) is not dict:
        raise wrong_type(name, "an object", value)


def stream_options(value: object, name: str, limits: ListLimits) -> None:
    mapping(value, name, limits)
    told = cast("dict[str, object]", value).get("include_usage")
    if told is not None:
        boolean(told, f"{name}.include_usage", limits)


def stop(value: object, name: str, _: ListLimits) -> None:
    texts = value if type(value) is list else [value]
    if any(type(item) is not str for item in texts):
        raise wrong_type(name, "a string or a list of strings", value)
    if len(texts) > 16:
        raise TooManyItems(f"`{name}` holds more than 16 strings.", param=name)


def encoding_format(value: object, name: str, _: ListLimits) -> None:
    if value not in ("float", "base64"):
        raise InvalidValue(f"`{name}` must be `float` or `base64`.", param=name)


def prompt(value: object, name: str, limits: ListLimits) -> None:
    """A text, tokens, or a list of either."""
    if type(value) is str:
        return
    if type(value) is not list:
        raise wrong_type(name, "a string or a list", value)
    if not value:
        raise InvalidValue(f"`{name}` is empty.", param=name)
    if type(value[0]) is int:
        if any(type(item) is not int or item < 0 for item in value):
            raise InvalidType(f"`{name}` mixes tokens with something else.", param=name)
        return
    if len(value) > limits.inputs:
        raise TooManyItems(f"`{name}` holds more than {limits.inputs} items.", param=name)
    for at, item in enumerate(value):
        if type(item) is not str and not (type(item) is list and item and all(type(token) is int for token in item)):
            raise InvalidType(f"`{name}[{at}]` must be a string or a list of tokens.", param=f"{name}[{at}]")


def inputs(value: object, name: str, limits: ListLimits) -> None:
    """What to embed: like a prompt, and nothing in it may be empty."""
    prompt(value, name, limits)
    if value == "" or (type(value) is list and "" in value):
        raise InvalidValue(f"`{name}` holds an empty string.", param=name)


def tools(value: object, name: str, limits: ListLimits) -> None:
    if type(value) is not list:
        raise wrong_type(name, "a list", value)
    if len(value) > limits.tools:
        raise TooManyItems(f"`{name}` holds more than {limits.tools} tools.", param=name)
    for at, item in enumerate(value):
        where = f"{name}[{at}]"
        if type(item) is not dict:
            raise wrong_type(where, "an object", item)
        if item.get("type", "function") == "function":
            function_tool(item.get("function"), where)


def function_tool(function: object, where: str) -> None:
    if type(function) is not dict:
        raise MissingParameter(f"`{where}.function` must be an object.", param=f"{where}.function")
    called = function.get("name")
    if type(called) is not str or not called or len(called) > 256:
        raise InvalidValue(f"`{where}.function.name` must be a name.", param=f"{where}.function.name")
    schema = function.get("parameters")
    if schema is not None:
        check_schema(schema, where)


INSTEAD_OF_CONTENT = ("tool_calls", "function_call", "refusal", "audio")
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


def messages(value: object, name: str, limits: ListLimits) -> None:
    """A conversation: known roles, contents of the right kind, and every tool answer to a call that was made."""
    if type(value) is not list:
        raise wrong_type(name, "a list", value)
    if not value:
        raise InvalidMessages("`messages` is empty: send at least one.", param=name)
    if len(value) > limits.messages:
        raise TooManyItems(f"`messages` holds more than {limits.messages} messages.", param=name)
    calls: set[object] = set()
    images = 0
    for at, message in enumerate(value):
        images += one_message(message, f"messages[{at}]", calls)
    if images > limits.images:
        raise TooManyItems(f"`messages` holds more than {limits.images} images.", param=name)


def one_message(message: object, where: str, calls: set[object]) -> int:
    """Check one turn; how many images it holds. `calls` gathers the ids of the tool calls made so far."""
    if type(message) is not dict:
        raise wrong_type(where, "an object", message)
    role = message.get("role")
    if type(role) is not str or role not in ROLES:
        raise InvalidMessages(f"`{where}.role` must be one of {', '.join(sorted(ROLES))}.", param=f"{where}.role")
    content = message.get("content")
    images = 0
    if type(content) is list:
        for at, part in enumerate(content):
            images += content_part(part, f"{where}.content[{at}]")
    elif content is None:
        if role != "assistant" or not any(map(message.get, INSTEAD_OF_CONTENT)):
            raise InvalidMessages(f"`{where}.content` is missing.", param=f"{where}.content")
    elif type(content) is not str:
        raise InvalidMessages(f"`{where}.content` must be text or a list of parts.", param=f"{where}.content")
    if message.get("tool_calls") is not None:
        calls.update(tool_calls(message["tool_calls"], f"{where}.tool_calls"))
    if role == "tool":
        answered = message.get("tool_call_id")
        if type(answered) is not str or not answered:
            raise InvalidMessages(f"`{where}.tool_call_id` is missing.", param=f"{where}.tool_call_id")
        if answered not in calls:
            raise InvalidMessages(f"`{where}.tool_call_id` answers no call before it.", param=f"{where}.tool_call_id")
    return images


def tool_calls(value: object, where: str) -> list[str]:
    """The ids of the calls an assistant message makes."""
    if type(value) is not list:
        raise wrong_type(where, "a list", value)
    ids: list[str] = []
    for at, call in enumerate(value):
        function = call.get("function") if type(call) is dict else None
        if type(call) is not dict or type(call.get("id")) is not str:
            raise InvalidMessages(f"`{where}[{at}].id` is missing.", param=f"{where}[{at}].id")
        if call.get("type", "function") == "function" and (
            type(function) is not dict or type(function.get("name")) is not str
        ):
            raise InvalidMessages(f"`{where}[{at}].function.name` is missing.", param=f"{where}[{at}].function")
        ids.append(call["id"])
    return ids


def content_part(part: object, where: str) -> int:
    """Check one part of a content; how many images it is."""
    if type(part) is not dict or type(part.get("type")) is not str:
        raise InvalidMessages(f"`{where}.type` is missing.", param=where)
    if part["type"] == "text" and type(part.get("text")) is not str:
        raise InvalidMessages(f"`{where}.text` must be a string.", param=where)
    public_addresses(part, where)
    if part["type"] != "image_url":
        return 0
    image = part.get("image_url")
    url = image.get("url") if type(image) is dict else image
    if type(url) is not str:
        raise InvalidMessages(f"`{where}.image_url.url` must be a string.", param=where)
    image_url(url, where)
    return 1


SAMPLING: dict[str, Rule] = {
    "model": text,
    "stream": boolean,
    "stream_options": stream_options,
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "top_k": integer(-1),
    "max_tokens": integer(1),
    "max_completion_tokens": integer(1),
    "n": integer(1, 128),
    "seed": integer(-(1 << 63), (1 << 63) - 1),
    "stop": stop,
    "presence_penalty": number(-2, 2),
    "frequency_penalty": number(-2, 2),
    "logit_bias": mapping,
    "user": text,
}
CHAT: dict[str, Rule] = SAMPLING | {
    "messages": messages,
    "logprobs": boolean,
    "top_logprobs": integer(0, 20),
    "tools": tools,
    "parallel_tool_calls": boolean,
    "response_format": mapping,
    "metadata": mapping,
    "reasoning_effort": text,
}
COMPLETION: dict[str, Rule] = SAMPLING | {
    "messages": messages,
    "prompt": prompt,
    "suffix": text,
    "echo": boolean,
    "best_of": integer(1, 128),
    "logprobs": integer(0, 20),
}
EMBEDDING: dict[str, Rule] = {
    "model": text,
    # Some servers embed a conversation, images and all.
    "messages": messages,
    "input": inputs,
    "encoding_format": encoding_format,
    "dimensions": integer(1, 1 << 20),
    "user": text,
}
