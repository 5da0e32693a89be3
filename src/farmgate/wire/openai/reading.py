"""The words in OpenAI's requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from farmgate.core.errors import InvalidType, InvalidValue, UnsupportedParameter
from farmgate.core.request import Kind
from farmgate.core.words import (
    Ask,
    AudioPart,
    Chat,
    Complete,
    Content,
    ContentPart,
    Embed,
    FilePart,
    FormatKind,
    HostedTool,
    ImagePart,
    Message,
    OtherPart,
    Rerank,
    ResponseFormat,
    Role,
    Sampling,
    TextPart,
    Thinking,
    Tool,
    ToolChoice,
    ToolMode,
    ToolUse,
)
from farmgate.wire.openai.proofs import decode_proof
from farmgate.wire.strictjson import encode

__all__ = ["DECODERS", "decode_format", "decode_part", "decode_tool_choice"]

# What there is a word for; anything else travels in `extra`.
SAMPLING_WORDS = frozenset(
    (
        *("model", "stream", "stream_options", "n", "user"),
        *("temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "stop", "seed"),
        *("presence_penalty", "frequency_penalty", "logprobs", "top_logprobs"),
    )
)
CHAT_WORDS = SAMPLING_WORDS | {
    "messages",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "reasoning_effort",
}
COMPLETE_WORDS = SAMPLING_WORDS | {"prompt", "suffix"}
# How vectors are written is the surface's business: no provider is asked for base64 in words.
EMBED_WORDS = frozenset(("model", "input", "dimensions", "encoding_format", "user"))
RERANK_WORDS = frozenset(("model", "query", "documents", "top_n"))


def decode_chat(fields: Mapping[str, object]) -> Chat:
    """A checked chat body as words."""
    return Chat(
        messages=tuple(
            decode_message(message, f"messages[{at}]") for at, message in enumerate(items(fields["messages"]))
        ),
        sampling=decode_sampling(fields),
        tools=tuple(decode_tool(tool, f"tools[{at}]") for at, tool in enumerate(items(fields.get("tools") or ()))),
        tool_choice=decode_tool_choice(fields.get("tool_choice")),
        parallel_tools=cast("bool | None", fields.get("parallel_tool_calls")),
        response_format=decode_format(fields.get("response_format")),
        thinking=decode_effort(fields.get("reasoning_effort")),
        user=cast("str | None", fields.get("user")),
        extra=other_than(CHAT_WORDS, fields),
    )


def decode_effort(effort: object) -> Thinking | None:
    if effort is None:
        return None
    return Thinking(is_enabled=effort != "none", effort=str(effort))


def decode_tool_choice(choice: object) -> ToolChoice | None:
    """OpenAI's `tool_choice`. Raises InvalidValue."""
    if choice is None:
        return None
    if isinstance(choice, str) and choice in ("auto", "none", "required"):
        return ToolChoice(mode=ToolMode(choice))
    function = choice.get("function") if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        raise InvalidValue("`tool_choice` must be `auto`, `none`, `required` or name a function.", param="tool_choice")
    return ToolChoice(mode=ToolMode.NAMED, name=name)


def decode_format(wanted: object) -> ResponseFormat | None:
    """OpenAI's `response_format`. Raises InvalidValue."""
    if wanted is None:
        return None
    told = cast("dict[str, object]", wanted)
    if told.get("type") in ("text", "json_object"):
        return ResponseFormat(kind=FormatKind.TEXT if told["type"] == "text" else FormatKind.JSON)
    if told.get("type") != "json_schema":
        raise InvalidValue(
            "`response_format.type` must be `text`, `json_object` or `json_schema`.", param="response_format.type"
        )
    named = told.get("json_schema")
    schema = named.get("schema") if isinstance(named, dict) else None
    if not isinstance(named, dict) or not isinstance(schema, dict):
        place = "response_format.json_schema.schema"
        raise InvalidValue(f"`{place}` must be a JSON schema.", param=place)
    strict = named.get("strict")
    return ResponseFormat(
        kind=FormatKind.SCHEMA,
        schema=schema,
        name=str(named.get("name") or "answer"),
        description=text_or_none(named, "description", "response_format.json_schema"),
        strict=strict if isinstance(strict, bool) else None,
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
    return ToolUse(id=str(call["id"]), name=str(function["name"]), arguments=text, signature=decode_proof(call))


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
        if not isinstance(image, dict):
            return ImagePart(url=str(image))
        return ImagePart(url=str(image["url"]), detail=text_or_none(image, "detail", "image_url"))
    if kind == "input_audio" and isinstance(sound := part.get("input_audio"), dict):
        return AudioPart(data=str(sound.get("data", "")), format=str(sound.get("format", "wav")))
    if kind == "file" and isinstance(file := part.get("file"), dict):
        return decode_file(file)
    return OtherPart(kind=kind, data=part)


def decode_file(file: dict[str, object]) -> FilePart:
    """A document: a `data:` URL or a provider's id for one."""
    data = text_or_none(file, "file_data", "file")
    head, comma, rest = (data or "").partition(",")
    media_type = head.removeprefix("data:").removesuffix(";base64") if comma else "application/pdf"
    return FilePart(
        data=rest if comma else data,
        id=text_or_none(file, "file_id", "file"),
        name=text_or_none(file, "filename", "file"),
        media_type=media_type,
    )


def decode_tool(tool: dict[str, object], where: str) -> Tool | HostedTool:
    if tool.get("type", "function") != "function":
        return HostedTool(kind=str(tool["type"]), data=tool)
    function = function_of(tool, where)
    strict = function.get("strict")
    return Tool(
        strict=strict if isinstance(strict, bool) else None,
        name=str(function["name"]),
        description=text_or_none(function, "description", f"{where}.function"),
        parameters=cast("Mapping[str, object]", function.get("parameters") or {}),
    )


def decode_sampling(fields: Mapping[str, object]) -> Sampling:
    stop = fields.get("stop")
    most = fields.get("max_completion_tokens") or fields.get("max_tokens")
    seed, top_k = fields.get("seed"), fields.get("top_k")
    return Sampling(
        count=int(cast("float", fields.get("n") or 1)),
        top_logprobs=decode_logprobs(fields),
        top_k=None if top_k is None else int(cast("float", top_k)),
        temperature=cast("float | None", fields.get("temperature")),
        top_p=cast("float | None", fields.get("top_p")),
        max_tokens=None if most is None else int(cast("float", most)),
        stop=(stop,) if isinstance(stop, str) else tuple(cast("list[str]", stop or ())),
        seed=None if seed is None else int(cast("float", seed)),
        presence_penalty=cast("float | None", fields.get("presence_penalty")),
        frequency_penalty=cast("float | None", fields.get("frequency_penalty")),
    )


def decode_logprobs(fields: Mapping[str, object]) -> int | None:
    """How many alternatives are wanted with each token; a completion says the number itself."""
    wanted = fields.get("logprobs")
    if wanted is None or wanted is False:
        return None
    return int(cast("float", (fields.get("top_logprobs") or 0) if wanted is True else wanted))


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
        user=cast("str | None", fields.get("user")),
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
        user=cast("str | None", fields.get("user")),
        extra=other_than(EMBED_WORDS, fields),
    )


def decode_rerank(fields: Mapping[str, object]) -> Rerank:
    """A checked rerank body as words, in the form Cohere, Jina, vLLM and llama.cpp share."""
    most = fields.get("top_n")
    documents = cast("list[object]", fields["documents"])
    return Rerank(
        query=str(fields["query"]),
        documents=tuple(str(one["text"] if isinstance(one, dict) else one) for one in documents),
        most=None if most is None else int(cast("float", most)),
        extra=other_than(RERANK_WORDS, fields),
    )


DECODERS: dict[Kind, Callable[[Mapping[str, object]], Ask]] = {
    Kind.RERANK: decode_rerank,
    Kind.CHAT: decode_chat,
    Kind.COMPLETION: decode_complete,
    Kind.EMBEDDING: decode_embed,
}
