"""OpenAI's requests: read from callers, written for providers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from farmgate.core.errors import InvalidType, MissingParameter, UnsupportedParameter
from farmgate.core.request import (
    Ask,
    Chat,
    Complete,
    Content,
    ContentPart,
    Dialect,
    Embed,
    ImagePart,
    Kind,
    Message,
    OtherPart,
    Request,
    Role,
    Sampling,
    TextPart,
    Tool,
    ToolUse,
)
from farmgate.wire.openai import rules
from farmgate.wire.openai.rules import ListLimits
from farmgate.wire.strictjson import BOM, JsonLimits, decode_object, encode

__all__ = ["OpenAIBody", "decode_request", "encode_request"]

# Before Python 3.12 a member looked up on its class costs as much as three function calls.
OPENAI = Dialect.OPENAI
EMBEDDING = Kind.EMBEDDING
RULES = {Kind.CHAT: rules.CHAT, Kind.COMPLETION: rules.COMPLETION, Kind.EMBEDDING: rules.EMBEDDING}
REQUIRED = {Kind.CHAT: "messages", Kind.COMPLETION: "prompt", Kind.EMBEDDING: "input"}


class OpenAIBody:
    """A caller's body, checked. `fields` is the whole decoded object."""

    __slots__ = ("_words", "fields", "kind", "raw")

    dialect = Dialect.OPENAI

    def __init__(self, raw: bytes, fields: dict[str, object], kind: Kind) -> None:
        self.raw = raw
        self.fields = fields
        self.kind = kind
        self._words: Ask | None = None

    def ask(self) -> Ask:
        """The typed words, for a provider of another dialect. Raises UnsupportedParameter for what has none."""
        if self._words is None:
            self._words = DECODERS[self.kind](self.fields)
        return self._words


def decode_request(body: bytes, kind: Kind, *, json_limits: JsonLimits, list_limits: ListLimits) -> OpenAIBody:
    """A caller's body as a request of that kind. Raises a BadRequest that names the field."""
    fields = decode_object(body, json_limits)
    rules.check(fields, RULES[kind], list_limits)
    for name in ("model", REQUIRED[kind]):
        if fields.get(name) is None:
            raise MissingParameter(f"`{name}` is required.", param=name)
    return OpenAIBody(body.removeprefix(BOM), fields, kind)


def encode_request(request: Request, *, ask_usage: bool) -> bytes:
    """The body for an OpenAI-compatible provider.

    A body that came in this dialect goes out byte for byte, unless the model has another name there or usage must
    be asked for. `ask_usage`: the provider knows `stream_options`.
    """
    body = request.body
    changes: dict[str, object] = {}
    streams = request.stream and request.kind is not EMBEDDING
    if body.dialect is OPENAI:
        fields: Mapping[str, object] = body.fields
    else:
        fields = encode_words(body.ask()) | ({"stream": True} if streams else {})
    if fields.get("model") != request.model:
        changes["model"] = request.model
    if streams and ask_usage:
        options = fields.get("stream_options")
        asked = options if isinstance(options, Mapping) else {}
        if asked.get("include_usage") is not True:
            changes["stream_options"] = {**asked, "include_usage": True}
    if not changes and body.dialect is OPENAI:
        return body.raw
    return encode({**fields, **changes})


# ----------------------------------------------------------------------------------------- words from bodies

# What there is a word for; anything else travels in `extra`.
SAMPLING_WORDS = frozenset(
    (
        *("model", "stream", "stream_options", "n"),
        *("temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "seed"),
        *("presence_penalty", "frequency_penalty"),
    )
)
CHAT_WORDS = SAMPLING_WORDS | {"messages", "tools", "tool_choice", "response_format", "reasoning_effort"}
COMPLETE_WORDS = SAMPLING_WORDS | {"prompt", "suffix"}
# How vectors are written is the surface's business: no provider is asked for base64 in words.
EMBED_WORDS = frozenset(("model", "input", "dimensions", "encoding_format"))


def decode_chat(fields: Mapping[str, object]) -> Chat:
    """A checked chat body as words."""
    return Chat(
        messages=tuple(
            decode_message(message, f"messages[{at}]") for at, message in enumerate(items(fields["messages"]))
        ),
        sampling=decode_sampling(fields),
        tools=tuple(decode_tool(tool, f"tools[{at}]") for at, tool in enumerate(items(fields.get("tools") or ()))),
        tool_choice=fields.get("tool_choice"),
        response_format=cast("Mapping[str, object] | None", fields.get("response_format")),
        reasoning_effort=cast("str | None", fields.get("reasoning_effort")),
        extra=other_than(CHAT_WORDS, fields),
    )


def other_than(words: frozenset[str], fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if name not in words}


def items(value: object) -> list[dict[str, object]]:
    """A list of objects that a rule has already checked."""
    return cast("list[dict[str, object]]", value)


def decode_message(message: dict[str, object], where: str) -> Message:
    role = message["role"]
    if role == "function" or message.get("function_call") is not None:
        raise UnsupportedParameter(f"`{where}`: this provider knows `tool_calls`, not `function_call`.", param=where)
    calls = enumerate(items(message.get("tool_calls") or ()))
    content = message.get("content")
    return Message(
        role=Role(str(role)),
        content=text_or_none(message, "refusal", where) if content is None else decode_content(content),
        name=text_or_none(message, "name", where),
        tool_uses=tuple(decode_tool_use(call, f"{where}.tool_calls[{at}]") for at, call in calls),
        tool_call_id=text_or_none(message, "tool_call_id", where),
    )


def text_or_none(fields: Mapping[str, object], name: str, where: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidType(f"`{where}.{name}` must be a string.", param=f"{where}.{name}")
    return value


def decode_tool_use(call: dict[str, object], where: str) -> ToolUse:
    function = function_of(call, where)
    arguments = function.get("arguments") or ""
    text = arguments if isinstance(arguments, str) else encode(arguments).decode()
    return ToolUse(id=str(call["id"]), name=str(function["name"]), arguments=text)


def function_of(tool: dict[str, object], where: str) -> dict[str, object]:
    """The function in a tool or in a call of one."""
    if tool.get("type", "function") != "function":
        raise UnsupportedParameter(f"`{where}`: this provider's tools are functions.", param=where)
    return cast("dict[str, object]", tool["function"])


def decode_content(content: object) -> Content:
    if isinstance(content, str):
        return content
    return tuple(decode_part(part) for part in items(content))


def decode_part(part: dict[str, object]) -> ContentPart:
    kind = str(part["type"])
    if kind == "text":
        return TextPart(text=str(part["text"]))
    if kind == "image_url":
        image = part["image_url"]
        return ImagePart(url=str(image["url"] if isinstance(image, dict) else image))
    return OtherPart(kind=kind, data=part)


def decode_tool(tool: dict[str, object], where: str) -> Tool:
    function = function_of(tool, where)
    return Tool(
        name=str(function["name"]),
        description=text_or_none(function, "description", f"{where}.function"),
        parameters=cast("Mapping[str, object]", function.get("parameters") or {}),
    )


def decode_sampling(fields: Mapping[str, object]) -> Sampling:
    if fields.get("n") not in (None, 1):
        raise UnsupportedParameter("This provider gives one answer per request: `n` must be 1.", param="n")
    stop = fields.get("stop")
    most = fields.get("max_completion_tokens") or fields.get("max_tokens")
    seed = fields.get("seed")
    return Sampling(
        temperature=cast("float | None", fields.get("temperature")),
        top_p=cast("float | None", fields.get("top_p")),
        max_tokens=None if most is None else int(cast("float", most)),
        stop=(stop,) if isinstance(stop, str) else tuple(cast("list[str]", stop or ())),
        seed=None if seed is None else int(cast("float", seed)),
        presence_penalty=cast("float | None", fields.get("presence_penalty")),
        frequency_penalty=cast("float | None", fields.get("frequency_penalty")),
    )


def decode_complete(fields: Mapping[str, object]) -> Complete:
    """A checked completion body as words."""
    prompt = fields["prompt"]
    if isinstance(prompt, list):
        if len(prompt) != 1 or not isinstance(prompt[0], str):
            raise UnsupportedParameter("This provider takes one text as `prompt`.", param="prompt")
        prompt = prompt[0]
    return Complete(
        prompt=str(prompt),
        suffix=cast("str | None", fields.get("suffix")),
        sampling=decode_sampling(fields),
        extra=other_than(COMPLETE_WORDS, fields),
    )


def decode_embed(fields: Mapping[str, object]) -> Embed:
    """A checked embeddings body as words."""
    told = fields["input"]
    texts = [told] if isinstance(told, str) else cast("list[object]", told)
    if not all(isinstance(text, str) for text in texts):
        raise UnsupportedParameter("This provider embeds text, not tokens.", param="input")
    dimensions = fields.get("dimensions")
    return Embed(
        inputs=tuple(cast("list[str]", texts)),
        dimensions=None if dimensions is None else int(cast("float", dimensions)),
        extra=other_than(EMBED_WORDS, fields),
    )


DECODERS: dict[Kind, Callable[[Mapping[str, object]], Ask]] = {
    Kind.CHAT: decode_chat,
    Kind.COMPLETION: decode_complete,
    Kind.EMBEDDING: decode_embed,
}


# ----------------------------------------------------------------------------------------- bodies from words


def encode_words(words: Ask) -> dict[str, object]:
    """Typed words as the fields of an OpenAI body."""
    match words:
        case Chat():
            told = {"messages": [encode_message(message) for message in words.messages]}
            tools = [encode_tool(tool) for tool in words.tools]
            optional = {
                "tools": tools or None,
                "tool_choice": words.tool_choice,
                "response_format": words.response_format,
                "reasoning_effort": words.reasoning_effort,
            }
            return told | present(optional) | encode_sampling(words.sampling) | dict(words.extra)
        case Complete():
            told_text: dict[str, object] = {"prompt": words.prompt}
            return told_text | present({"suffix": words.suffix}) | encode_sampling(words.sampling) | dict(words.extra)
        case Embed():
            told_inputs: dict[str, object] = {"input": list(words.inputs), "encoding_format": "float"}
            return told_inputs | present({"dimensions": words.dimensions}) | dict(words.extra)


def present(fields: Mapping[str, object]) -> dict[str, object]:
    """The fields that were said."""
    return {name: value for name, value in fields.items() if value is not None}


def encode_sampling(sampling: Sampling) -> dict[str, object]:
    return present(
        {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "stop": list(sampling.stop) or None,
            "seed": sampling.seed,
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
        }
    )


def encode_message(message: Message) -> dict[str, object]:
    content = message.content
    told: dict[str, object] = {
        "role": message.role,
        "content": content if content is None or isinstance(content, str) else [encode_part(part) for part in content],
    }
    uses = [
        {"id": use.id, "type": "function", "function": {"name": use.name, "arguments": use.arguments}}
        for use in message.tool_uses
    ]
    return told | present({"name": message.name, "tool_calls": uses or None, "tool_call_id": message.tool_call_id})


def encode_part(part: ContentPart) -> Mapping[str, object]:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            return {"type": "image_url", "image_url": {"url": part.url}}
        case OtherPart():
            return part.data


def encode_tool(tool: Tool) -> dict[str, object]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters) or None}
    return {"type": "function", "function": present(function)}
