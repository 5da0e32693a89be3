"""What each field of a Messages request may hold. A field without a rule is the provider's business."""

from __future__ import annotations

from typing import cast

from farmgate.core.errors import InvalidMessages, InvalidValue, MissingParameter, TooManyItems
from farmgate.wire.addresses import InvalidImage, image_url, public_address
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
from farmgate.wire.openai.schemas import InvalidSchema, check_schema

__all__ = ["CONTINUED", "MESSAGES"]

ROLES = ("user", "assistant", "system")
MOST_STOPS = 64
LONGEST_NAME = 256


def one_of(*words: str) -> Rule:
    """An object whose `type` is one of these."""

    def rule(value: object, name: str, limits: ListLimits) -> None:
        mapping(value, name, limits)
        if cast("dict[str, object]", value).get("type") not in words:
            raise InvalidValue(f"`{name}.type` must be one of {', '.join(words)}.", param=f"{name}.type")

    return rule


def stop_sequences(value: object, name: str, _: ListLimits) -> None:
    if type(value) is not list or any(type(item) is not str for item in value):
        raise wrong_type(name, "a list of strings", value)
    if len(value) > MOST_STOPS:
        raise TooManyItems(f"`{name}` holds more than {MOST_STOPS} strings.", param=name)


def metadata(value: object, name: str, limits: ListLimits) -> None:
    mapping(value, name, limits)
    user = cast("dict[str, object]", value).get("user_id")
    if user is not None:
        text(user, f"{name}.user_id", limits)


def thinking(value: object, name: str, limits: ListLimits) -> None:
    mapping(value, name, limits)
    told = cast("dict[str, object]", value)
    text(told.get("type"), f"{name}.type", limits)
    if told["type"] == "enabled":
        if told.get("budget_tokens") is None:
            raise MissingParameter(f"`{name}.budget_tokens` is required.", param=f"{name}.budget_tokens")
        integer(1)(told["budget_tokens"], f"{name}.budget_tokens", limits)


def output_config(value: object, name: str, limits: ListLimits) -> None:
    mapping(value, name, limits)
    told = cast("dict[str, object]", value)
    if told.get("effort") is not None:
        text(told["effort"], f"{name}.effort", limits)
    if told.get("format") is not None:
        output_format(told["format"], f"{name}.format", limits)


def output_format(value: object, name: str, limits: ListLimits) -> None:
    one_of("json_schema")(value, name, limits)
    if type(cast("dict[str, object]", value).get("schema")) is not dict:
        raise InvalidSchema(f"`{name}.schema` must be a JSON schema.", param=f"{name}.schema")


def tool_choice(value: object, name: str, limits: ListLimits) -> None:
    one_of("auto", "any", "tool", "none")(value, name, limits)
    told = cast("dict[str, object]", value)
    if told["type"] == "tool":
        text(told.get("name"), f"{name}.name", limits)
    if told.get("disable_parallel_tool_use") is not None:
        boolean(told["disable_parallel_tool_use"], f"{name}.disable_parallel_tool_use", limits)


def tools(value: object, name: str, limits: ListLimits) -> None:
    if type(value) is not list:
        raise wrong_type(name, "a list", value)
    if len(value) > limits.tools:
        raise TooManyItems(f"`{name}` holds more than {limits.tools} tools.", param=name)
    for at, item in enumerate(value):
        where = f"{name}[{at}]"
        if type(item) is not dict:
            raise wrong_type(where, "an object", item)
        if item.get("type") in (None, "custom"):
            client_tool(item, where)
        else:
            text(item["type"], f"{where}.type", limits)


def client_tool(tool: dict[str, object], where: str) -> None:
    called = tool.get("name")
    if type(called) is not str or not called or len(called) > LONGEST_NAME:
        raise InvalidValue(f"`{where}.name` must be a name.", param=f"{where}.name")
    if tool.get("description") is not None and type(tool["description"]) is not str:
        raise wrong_type(f"{where}.description", "a string", tool["description"])
    check_schema(tool.get("input_schema"), where, field="input_schema")


def system(value: object, name: str, _: ListLimits) -> None:
    """Text, or blocks of text."""
    if type(value) is str:
        return
    if type(value) is not list:
        raise wrong_type(name, "a string or a list of text blocks", value)
    for at, block in enumerate(value):
        if type(block) is not dict or block.get("type") != "text" or type(block.get("text")) is not str:
            raise InvalidMessages(f"`{name}[{at}]` must be a text block.", param=f"{name}[{at}]")


class AnyCall(set[str]):
    """Calls that were made where nobody here can see them."""

    def __contains__(self, call: object) -> bool:
        return True


def messages(value: object, name: str, limits: ListLimits) -> None:
    """A conversation: known roles, blocks of the right form, and every tool result to a call that was made."""
    conversation(value, name, limits, set())


def later_messages(value: object, name: str, limits: ListLimits) -> None:
    """The end of a conversation whose beginning the provider keeps."""
    conversation(value, name, limits, AnyCall())


def conversation(value: object, name: str, limits: ListLimits, calls: set[str]) -> None:
    if type(value) is not list:
        raise wrong_type(name, "a list", value)
    if not value:
        raise InvalidMessages("`messages` is empty: send at least one.", param=name)
    if len(value) > limits.messages:
        raise TooManyItems(f"`messages` holds more than {limits.messages} messages.", param=name)
    images = sum(one_message(message, f"{name}[{at}]", calls) for at, message in enumerate(value))
    if images > limits.images:
        raise TooManyItems(f"`messages` holds more than {limits.images} images.", param=name)


def one_message(message: object, where: str, calls: set[str]) -> int:
    """Check one turn; how many images it holds. `calls` gathers the ids of the tool calls made so far."""
    if type(message) is not dict:
        raise wrong_type(where, "an object", message)
    if message.get("role") not in ROLES:
        raise InvalidMessages(f"`{where}.role` must be one of {', '.join(ROLES)}.", param=f"{where}.role")
    return blocks(message.get("content"), f"{where}.content", calls)


def blocks(content: object, where: str, calls: set[str]) -> int:
    """Check a content; how many images it holds."""
    if type(content) is str:
        return 0
    if content is None:
        raise InvalidMessages(f"`{where}` is missing.", param=where)
    if type(content) is not list:
        raise InvalidMessages(f"`{where}` must be text or a list of blocks.", param=where)
    return sum(one_block(block, f"{where}[{at}]", calls) for at, block in enumerate(content))


TEXTS = {
    "text": ("text",),
    "thinking": ("thinking",),
    "redacted_thinking": ("data",),
    "tool_use": ("id", "name"),
    "tool_result": ("tool_use_id",),
}
"""The fields of each kind of block that must be strings."""


def one_block(block: object, where: str, calls: set[str]) -> int:
    if type(block) is not dict or type(block.get("type")) is not str:
        raise InvalidMessages(f"`{where}.type` is missing.", param=f"{where}.type")
    kind = block["type"]
    for name in TEXTS.get(kind, ()):
        if type(block.get(name)) is not str:
            raise InvalidMessages(f"`{where}.{name}` must be a string.", param=f"{where}.{name}")
    match kind:
        case "image" | "document":
            return source(block.get("source"), f"{where}.source", calls, is_image=kind == "image")
        case "tool_use":
            if type(block.get("input")) is not dict:
                raise InvalidMessages(f"`{where}.input` must be an object.", param=f"{where}.input")
            calls.add(block["id"])
        case "tool_result":
            if block["tool_use_id"] not in calls:
                place = f"{where}.tool_use_id"
                raise InvalidMessages(f"`{place}` answers no call before it.", param=place)
            if block.get("content") is not None:
                return blocks(block["content"], f"{where}.content", calls)
    return 0


SOURCES = {"base64": ("media_type", "data"), "url": ("url",), "file": ("file_id",), "text": ("data",), "content": ()}


def source(told: object, where: str, calls: set[str], *, is_image: bool) -> int:
    """Where an image or a document is; how many images that makes."""
    kind = told.get("type") if type(told) is dict else None
    if type(told) is not dict or type(kind) is not str:
        raise InvalidMessages(f"`{where}.type` is missing.", param=f"{where}.type")
    for name in SOURCES.get(kind, ()):
        if type(told.get(name)) is not str or not told[name]:
            raise InvalidMessages(f"`{where}.{name}` must be a string.", param=f"{where}.{name}")
    if kind == "url":
        image_url(told["url"], where)
    elif kind == "base64" and is_image and not told["media_type"].startswith("image/"):
        raise InvalidImage(f"`{where}.media_type` must be that of an image.", param=f"{where}.media_type")
    elif kind == "content":
        return blocks(told.get("content"), f"{where}.content", calls)
    return int(is_image)


def servers(value: object, name: str, _: ListLimits) -> None:
    """Servers of tools, for a provider that calls them itself. The rest of their form is its business."""
    for at, server in enumerate(value if type(value) is list else ()):
        url = server.get("url") if type(server) is dict else None
        if type(url) is str:
            public_address(url, f"{name}[{at}].url")


MESSAGES: dict[str, Rule] = {
    "model": text,
    "stream": boolean,
    "max_tokens": integer(0),
    "messages": messages,
    "system": system,
    "temperature": number(0, 1),
    "top_p": number(0, 1),
    "top_k": integer(0),
    "stop_sequences": stop_sequences,
    "metadata": metadata,
    "service_tier": text,
    "thinking": thinking,
    "output_config": output_config,
    "output_format": output_format,
    "mcp_servers": servers,
    "tools": tools,
    "tool_choice": tool_choice,
}
CONTINUED = MESSAGES | {"messages": later_messages}
"""The rules where `thread` continues a conversation."""
